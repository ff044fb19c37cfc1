"""The newest windows and decisions of every model, read once for everybody who looks."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.web.pages.fleet import STRIP

if TYPE_CHECKING:
    from monitor.reports import Decision, Report
    from monitor.stores.protocol import ReportStore

#: Seconds for which what was read is good enough: the newest windows, and each version's.
FRESH, ALL_FRESH = 1.5, 10.0

#: Reports asked for together with each version's newest, and between; decisions each time.
_MANY, _FEW, _DECISIONS = 1_000, 120, 500


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to show.

    Attributes
    ----------
    reports
        The newest windows of each model, oldest first.
    marks
        A short text for each model that is another one once anything of it changed.
    """

    reports: dict[str, list[Report]] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)


class Recent:
    """Reads the store at most every `FRESH` seconds, however many look; safe to share between threads.

    Among hundreds of models the newest windows are those of a few: so each version's newest is asked for too, if more
    seldom. A model that was seen once stays.
    """

    def __init__(
        self, store: Callable[[], ReportStore], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._windows: dict[str, Report] = {}
        self._seen = Seen()
        self._read_at = self._read_all_at = -math.inf

    def look(self) -> Seen:
        """Return what is known now.

        Raises
        ------
        StoreError
            If the store does not answer.
        """
        with self._lock:
            now = self._clock()
            if now - self._read_at > FRESH:
                store = self._store()
                every = now - self._read_all_at > ALL_FRESH
                reports = store.reports(limit=_MANY if every else _FEW)
                reports += store.newest() if every else []
                self._take(reports, store.decisions(limit=_DECISIONS))
                self._read_at = self._clock()
                if every:
                    self._read_all_at = self._read_at
            return self._seen

    def _take(self, reports: Sequence[Report], decisions: list[Decision]) -> None:
        for report in reports:
            known = self._windows.get(report.id)
            if known is None or known.revision <= report.revision:
                self._windows[report.id] = report
        by_model: dict[str, list[Report]] = {}
        for report in sorted(self._windows.values(), key=lambda r: (r.window.end, r.version)):
            by_model.setdefault(report.model, []).append(report)
        kept = {model: some[-2 * STRIP :] for model, some in by_model.items()}
        self._windows = {r.id: r for some in kept.values() for r in some}
        marks = {model: _mark(some, decisions) for model, some in kept.items()}
        self._seen = Seen(kept, decisions, marks)


def _mark(reports: Sequence[Report], decisions: Sequence[Decision]) -> str:
    said = [f"{report.id}:{report.revision}" for report in reports]
    model = reports[0].model
    said += [f"{d.decision_id}:{d.stage.value}" for d in decisions if d.model == model]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]

"""The newest windows and decisions of every model, read once for everybody who looks."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.web.pages.fleet import STRIP

if TYPE_CHECKING:
    from monitor.reports import Decision, Report
    from monitor.stores.protocol import ReportStore

#: Seconds for which what was read is good enough.
FRESH = 1.5

#: Reports and decisions asked for at first, and each time after.
_FIRST, _AGAIN, _DECISIONS = 1_000, 120, 500


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

    A model that was seen once stays, when others have filled the newest windows since.
    """

    def __init__(
        self, store: Callable[[], ReportStore], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._windows: dict[str, Report] = {}
        self._seen = Seen()
        self._read_at: float | None = None

    def look(self) -> Seen:
        """Return what is known now.

        Raises
        ------
        StoreError
            If the store does not answer.
        """
        with self._lock:
            if self._read_at is None or self._clock() - self._read_at > FRESH:
                store = self._store()
                limit = _FIRST if self._read_at is None else _AGAIN
                self._take(store.reports(limit=limit), store.decisions(limit=_DECISIONS))
                self._read_at = self._clock()
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

"""From new labels to labelled reports and verdicts, cycle by cycle.

The labels that came since the last cycle say which predictions, those which windows; each such window is read whole
from the log, measured, and reported if anything changed. Nothing but the topics and tables is remembered: a judge
that starts anew looks at every label once, and says only what the store does not hold already.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import structlog
from msgspec.structs import replace

from monitor.errors import KafkaError, MonitorError, RegistryUnavailable
from monitor.events import ModelVersion
from monitor.health import Pulse
from monitor.outcomes.bench import Bench
from monitor.policy.labelled import judge_labelled
from monitor.policy.thresholds import with_thresholds
from monitor.policy.verdict import decide
from monitor.reports import Basis, Report, Verdict, Window

if TYPE_CHECKING:
    from monitor.engine.records import BaselineSource
    from monitor.policy.model import Policy
    from monitor.predictionlog.joined import LabelledLog, Source

log = structlog.get_logger(__name__)

#: Seconds between two beats of a judge that waits for labels.
_BEAT = 10.0

_MANY = 100_000

#: Labelled reports remembered at once; those before are in the store.
_KEPT = 10_000


class KnownReports(Protocol):
    """What was said of windows: a `ReportStore` is one."""

    def reports(
        self,
        model: str | None = None,
        version: str | None = None,
        *,
        since: float = ...,
        until: float = ...,
        limit: int = ...,
        basis: Basis = ...,
    ) -> list[Report]:
        """Return the newest reports, oldest first."""


class Said(Protocol):
    """Where reports and verdicts go."""

    def say(self, reports: Sequence[Report], verdicts: Sequence[Verdict]) -> None:
        """Publish them, and return when they are durable.

        Raises
        ------
        KafkaError
            If they are not.
        """


@dataclass(slots=True)
class Waiting:
    """Labels of a model that no window has been judged by yet.

    Attributes
    ----------
    arrived
        When the first label of each prediction came, seconds since 1970 UTC.
    unknown
        Of those, which predictions the log does not hold.
    reached
        Last offset seen of each partition of the labels' topic.
    """

    arrived: dict[str, float] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    reached: Mapping[Source, int] = field(default_factory=dict)

    def give_up(self, before: float) -> None:
        """Forget the labels that came before this time: of nothing, or of what is in no window."""
        for name in [name for name, arrived in self.arrived.items() if arrived < before]:
            del self.arrived[name]
            self.unknown.discard(name)

    def unmatched(self, before: float) -> list[str]:
        """Return the predictions that are unknown although their label came before this time."""
        return sorted(name for name in self.unknown if self.arrived[name] < before)


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle did.

    Attributes
    ----------
    labels
        New since the last one.
    waiting
        Predictions that have a label, and no window that could be judged by it yet.
    unmatched
        Of those, unknown to the log for longer than the stated time.
    refused
        Versions that cannot be judged, with the reason: their labels wait.
    """

    labels: int = 0
    reports: tuple[Report, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    waiting: int = 0
    unmatched: tuple[str, ...] = ()
    refused: Mapping[ModelVersion, str] = field(default_factory=dict)


class LabelJudge:
    """Judges windows by their labels.

    Parameters
    ----------
    store
        Tells which windows there are, and what was said of them by labels already.
    patience
        Seconds after which a label whose prediction is unknown is reported; after twice as long it is given up.
    now
        Seconds since 1970 UTC.
    pulse
        Told of each window, and of what a cycle waits for.
    """

    def __init__(
        self,
        labelled: LabelledLog,
        store: KnownReports,
        baselines: BaselineSource,
        policy: Policy,
        said: Said,
        *,
        patience: float,
        now: Callable[[], float],
        pulse: Pulse | None = None,
    ) -> None:
        self._pulse = pulse or Pulse("judge")
        self._log, self._store, self._baselines = labelled, store, baselines
        self._policy, self._said = policy, said
        self._patience, self._now = patience, now
        self._waiting: dict[str, Waiting] = defaultdict(Waiting)
        self._reports: dict[str, Report] = {}
        self._told: set[str] = set()
        self._refused: dict[ModelVersion, str] = {}

    def run(self, stop: threading.Event, *, seconds: float) -> None:
        """Judge, every so many seconds, until told to stop; what does not answer is asked again."""
        while not stop.is_set():
            try:
                done = self.cycle()
                self._pulse.ready()
                if done.reports:
                    log.info("judged", labels=done.labels, windows=len(done.reports))
            except MonitorError as error:
                # The labels are still in the table: the next cycle looks at what this one did not get to.
                self._pulse.wait(str(error))
                log.warning("not_judged", why=str(error))
            self._rest(stop, seconds)

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        """Wait, and be seen to live."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0 and not stop.wait(min(left, _BEAT)):
            self._pulse.beat()

    def cycle(self, models: Sequence[str] | None = None) -> Cycle:
        """Judge what the labels that came since the last cycle say.

        A version whose baseline or rows were altered is not judged, and is no reason not to judge the others.

        Parameters
        ----------
        models
            Only of these; None for all.

        Raises
        ------
        StoreError, RegistryUnavailable, KafkaError
            If something does not answer; then all of it is judged again.
        """
        labels, reports, verdicts = 0, [], []
        for model in self._log.models() if models is None else models:
            waiting = self._waiting[model]
            news = self._log.news(model, waiting.reached)
            labels += len(news.arrived)
            for name, arrived in news.arrived.items():
                waiting.arrived.setdefault(name, arrived)
            waiting.reached = news.reached
            found = self._model(model, waiting)
            reports += found[0]
            verdicts += found[1]
        before = self._now() - self._patience
        unmatched = tuple(
            name for waiting in self._waiting.values() for name in waiting.unmatched(before)
        )
        self._tell(unmatched)
        for waiting in self._waiting.values():
            waiting.give_up(before - self._patience)
        while len(self._reports) > _KEPT:
            del self._reports[next(iter(self._reports))]
        return Cycle(
            labels,
            tuple(reports),
            tuple(verdicts),
            sum(len(waiting.arrived) for waiting in self._waiting.values()),
            unmatched,
            dict(self._refused),
        )

    def _model(self, model: str, waiting: Waiting) -> tuple[list[Report], list[Verdict]]:
        places = self._log.times(model, list(waiting.arrived))
        waiting.unknown = waiting.arrived.keys() - places.keys()
        times: dict[str, dict[str, float]] = defaultdict(dict)
        for name, (version, time) in places.items():
            times[version][name] = time
        reports, verdicts = [], []
        for version, of in sorted(times.items()):
            subject = ModelVersion(model, version)
            windows = self._windows(subject, of)
            try:
                for report, verdict in self._version(subject, sorted(windows)):
                    reports.append(report)
                    verdicts.append(verdict)
            except (KafkaError, RegistryUnavailable):
                raise
            except MonitorError as error:
                self._refuse(subject, str(error))
                continue
            self._refused.pop(subject, None)
            for name in {name for names in windows.values() for name in names}:
                del waiting.arrived[name]
        return reports, verdicts

    def _version(
        self, subject: ModelVersion, windows: Sequence[Window]
    ) -> Iterator[tuple[Report, Verdict]]:
        """Judge windows of one version, and say what is new of them."""
        baseline = self._baselines.baseline(subject)
        if baseline is None:
            return
        policy = with_thresholds(self._policy.of(subject.model), baseline.thresholds)
        sha256 = baseline.thresholds_sha256 or self._policy.sha256
        bench = Bench(self._log, baseline, policy, sha256)
        for window in windows:
            report = self._judged(bench, window)
            if report is None:
                continue
            verdict = self._verdict(bench, report)
            self._said.say([report], [verdict])
            self._reports[report.id] = report
            yield report, verdict

    def _refuse(self, subject: ModelVersion, why: str) -> None:
        """Say, once, that a version cannot be judged; its labels wait, and the others are judged."""
        if self._refused.get(subject) != why:
            log.error("this version is not judged", version="/".join(subject), why=why)
        self._refused[subject] = why

    def _windows(
        self, subject: ModelVersion, times: Mapping[str, float]
    ) -> dict[Window, list[str]]:
        """Return the reported windows that these predictions fell in."""
        longest = self._policy.of(subject.model).windows.max_length
        first, last = min(times.values()), max(times.values())
        known = self._store.reports(
            *subject, since=first, until=last + 2 * longest + 1, limit=_MANY
        )
        spans = sorted(report.window for report in known)
        found: dict[Window, list[str]] = defaultdict(list)
        # Both in order: of a few windows that begin before a prediction, those that end after it.
        open_: list[Window] = []
        position = 0
        for name, time in sorted(times.items(), key=lambda item: item[1]):
            while position < len(spans) and spans[position].start <= time:
                open_.append(spans[position])
                position += 1
            open_ = [window for window in open_ if window.end > time]
            for window in open_:
                found[window].append(name)
        return found

    def _judged(self, bench: Bench, window: Window) -> Report | None:
        """Return the window's report, if it says anything that its last one did not."""
        self._pulse.beat()
        report = judge_labelled(
            bench.window(window),
            0,
            bench.baseline,
            policy=bench.policy,
            policy_sha256=bench.policy_sha256,
            closed_at=self._now(),
        )
        last = self._reports.get(report.id)
        if last is None:
            kept = self._around(bench, report.window, just=True)
            last = next((one for one in kept if one.window == window), None)
        if last is None:
            return report
        revised = replace(report, revision=last.revision, closed_at=last.closed_at)
        return None if revised == last else replace(report, revision=last.revision + 1)

    def _verdict(self, bench: Bench, news: Report) -> Verdict:
        """Return what the policy makes of the windows judged by labels; clean ones end what labels began."""
        known = {report.id: report for report in self._around(bench, news.window)}
        mine = {
            name: report
            for name, report in self._reports.items()
            if report.subject == news.subject
            and abs(report.window.end - news.window.end) <= self._reach(bench)
        }
        return decide(
            list({**known, **mine, news.id: news}.values()),
            bench.merged,
            bench.baseline,
            bench.policy,
            policy_sha256=bench.policy_sha256,
            news=news.window,
        )

    @staticmethod
    def _reach(bench: Bench) -> float:
        """How far apart two windows of one streak can end, seconds, and as much again."""
        return 2 * bench.policy.consecutive * bench.policy.windows.max_length

    def _around(self, bench: Bench, window: Window, *, just: bool = False) -> list[Report]:
        span = 0.0 if just else self._reach(bench)
        return self._store.reports(
            *bench.baseline.subject,
            since=window.end - span,
            until=window.end + span + 1e-3,
            limit=_MANY,
            basis=Basis.LABELLED,
        )

    def _tell(self, unmatched: Sequence[str]) -> None:
        new = set(unmatched) - self._told
        if new:
            log.warning(
                "labels of unknown predictions",
                predictions=len(unmatched),
                for_instance=sorted(new)[:5],
                waited_seconds=self._patience,
            )
        self._told = set(unmatched)

"""One model version within its partition: windows, what is counted in them, what they were reported as."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from monitor.engine.intake import identity
from monitor.engine.notices import Arrivals, Clock, look
from monitor.events import TRACE_HEADER, sampled_trace
from monitor.metrics.protocol import NO_OTHERS
from monitor.policy.judge import judge
from monitor.policy.thresholds import with_thresholds
from monitor.policy.trends import History, remember, with_trends
from monitor.policy.verdict import decide
from monitor.profiles.profile import Profile
from monitor.reports import Report, Status, Verdict, Window
from monitor.windows.spans import Span, Spans, WindowLengths

if TYPE_CHECKING:
    from monitor.baselines import Baseline
    from monitor.engine.records import Record
    from monitor.engine.roads import Batch, Road
    from monitor.events import ModelVersion
    from monitor.metrics.protocol import DriftMetric
    from monitor.policy.model import ModelPolicy
    from monitor.profiles.buffer import RowBuffer
    from monitor.profiles.layout import Layout

#: Event ids remembered per window, for publishers without a sequence.
IDS_CAP = 100_000

#: Traces named per window.
TRACES_CAP = 3


@dataclass(slots=True)
class Content:
    """What is counted in one window.

    Attributes
    ----------
    revision
        Of the last report; -1 before the first.
    stale
        Whether something was counted since the last report; `unsaved` since the last snapshot.
    ids
        Event ids counted, of publishers without a sequence.
    traces
        Trace ids of its first few events that a trace was kept of.
    """

    first: int
    window: Window
    road: Road
    profile: Profile
    buffer: RowBuffer
    revision: int = -1
    stale: bool = True
    unsaved: bool = True
    ids: set[bytes] = field(default_factory=set)
    traces: tuple[str, ...] = ()

    def follow(self, records: Iterable[Record]) -> None:
        """Note the first few traces, in order of arrival: the same ones however the records were fetched."""
        for record in records:
            trace = sampled_trace(dict(record.headers).get(TRACE_HEADER) or b"")
            if trace is not None and trace not in self.traces:
                self.traces = (*self.traces, trace)
                if len(self.traces) == TRACES_CAP:
                    return

    def remember(self, records: Iterable[Record]) -> None:
        """Remember the records' event ids, up to a cap."""
        if len(self.ids) < IDS_CAP:
            self.ids.update(name for name in map(identity, records) if name is not None)


@dataclass(frozen=True, slots=True)
class Source:
    """Where reports say that they come from."""

    partition: int
    offset: int
    closed_at: float
    policy_sha256: str


class Version:
    """The state machine of one model version.

    Parameters
    ----------
    subject
        Which one.
    policy
        What holds for its model.
    """

    def __init__(self, subject: ModelVersion, policy: ModelPolicy) -> None:
        self.subject = subject
        self.policy = policy
        self.policy_sha256: str | None = None
        self.baseline: Baseline | None = None
        self.asked_at = -math.inf
        self.last_arrival = 0.0
        self.idled_until = 0.0
        self.spans = Spans(window_lengths(policy))
        self.contents: dict[int, Content] = {}
        self.kept: dict[int, Content] = {}
        self.reports: dict[int, Report] = {}
        self.history = History()
        self.verdict: Verdict | None = None
        self.road: Road | None = None
        self.clock = Clock(subject)
        self._merged_away: list[int] = []

    def approve(self, baseline: Baseline, policy: ModelPolicy) -> None:
        """Take up the version's baseline, and with it the thresholds that it was registered under.

        Parameters
        ----------
        policy
            What holds for its model in this deployment.
        """
        self.baseline = baseline
        self.policy = with_thresholds(policy, baseline.thresholds)
        self.policy_sha256 = baseline.thresholds_sha256 or None

    @property
    def layout(self) -> Layout | None:
        """How its columns are counted now."""
        return self.road.layout if self.road else None

    @property
    def rests_since(self) -> float:
        """Arrival time since which none of its windows is under way, at the earliest; infinite while one is."""
        return math.inf if self.contents else max(self.last_arrival, self.asked_at) or math.inf

    @property
    def due(self) -> bool:
        """Whether a window is frozen and not reported yet."""
        return any(
            span.frozen and self.contents[first].revision < 0
            for first, span in self.spans.spans.items()
        )

    def knows(self, identity: bytes) -> bool:
        """Whether an event with this id was counted in a window that may still be revised."""
        return any(identity in content.ids for content in self.contents.values())

    def count(self, batch: Batch, *, by_id: bool) -> tuple[list[int], int]:
        """Count decoded events.

        Parameters
        ----------
        by_id
            Remember the events' ids: their publisher gives no sequence to know them by.

        Returns
        -------
        tuple
            The positions, within the batch, of those that came too late; and how many a window that was begun under
            another layout could not read: their records are among the batch's bad ones.
        """
        late: list[int] = []
        unread = 0
        arrivals = Arrivals(batch)
        for step in self.spans.assign(arrivals.times):
            if step is None:
                self.freeze()
                continue
            events, refused = arrivals.split(step.events)
            if step.span is None:
                late += events.tolist()
            else:
                content = self._content(step.span)
                content.stale = content.unsaved = True
                content.profile.notes.refuse(refused)
                look(batch, events, content.road.layout, content.profile.notes)
                lost = batch.append(events, content)
                step.span.n -= lost
                unread += lost
                if len(content.traces) < TRACES_CAP:
                    content.follow(batch.traced(events))
                if by_id:
                    content.remember(batch.record(event) for event in events.tolist())
        return late, unread

    def note_repeats(self, times: Iterable[float]) -> None:
        """Take note of events that came again, in the windows that still have them."""
        for time in times:
            span = self.spans.span_at(time)
            content = self.contents.get(span.first) if span else None
            if content is not None:
                content.profile.notes.repeated += 1
                content.stale = content.unsaved = True

    def pass_time(self, now: float, silence: float) -> None:
        """Move the watermark on by the time for which this version has been silent up to `now` (arrival time).

        Parameters
        ----------
        silence
            Seconds. A shorter pause is none: it would move the watermark or not by where a fetch was cut.
        """
        since = max(self.last_arrival, self.idled_until)
        if now - self.last_arrival < silence:
            return
        while now > since and (left := self.spans.until_final()) > 0:
            step = min(now - since, left)
            self.spans.idle(step)
            self.freeze()
            since += step
            self.idled_until = now

    def freeze(self) -> None:
        """Close what the watermark has passed."""
        frozen, merges = self.spans.freeze()
        for merge in merges:
            target, source = self.contents[merge.target], self.contents.pop(merge.source)
            self._absorb(target, source)
            self._merged_away.append(merge.source)
        for span in frozen:
            self.contents[span.first].window = span.window(self.spans.lengths.length)

    def judge(
        self, source: Source, others: Mapping[str, DriftMetric] = NO_OTHERS
    ) -> tuple[list[Report], list[Verdict]]:
        """Report what is frozen and was not reported as it now is, oldest window first, with a verdict for each.

        Parameters
        ----------
        others
            Third parties' measures of drift, by name.
        """
        reports, verdicts = [], []
        for span in self.spans.frozen():
            content = self.contents[span.first]
            if not content.stale:
                continue
            content.buffer.fold()
            content.revision += 1
            content.stale = False
            content.unsaved = True
            report = self._report(content, source, others)
            # What is only shown has no place in the state: a streak never looks at it.
            self.reports[span.first] = replace(report, distributions=())
            reports.append(report)
            verdict = self._verdict(source, report.window)
            if verdict != self.verdict:
                self.verdict = verdict
                verdicts.append(verdict)
        return reports, verdicts

    @property
    def roads(self) -> list[Road]:
        """How its columns are counted, and were in windows that are still kept."""
        used = [content.road for content in (*self.contents.values(), *self.kept.values())]
        return [*used, self.road] if self.road else used

    def take_gone(self) -> list[int]:
        """Forget windows that are past all lateness; return the slots whose profiles are not kept at all any more.

        The profiles of the last windows of a streak stay: the policy asks for their merger.
        """
        merged, self._merged_away = self._merged_away, []
        return merged + self._forget()

    def _forget(self) -> list[int]:
        for span in self.spans.frozen():
            if self.spans.is_final(span) and not self.contents[span.first].stale:
                self.spans.drop(span)
                self.kept[span.first] = self.contents.pop(span.first)
                self.kept[span.first].ids.clear()
        judged = sorted(f for f, report in self.reports.items() if report.status is Status.OK)
        wanted = set(judged[-self.policy.consecutive :])
        lapse = self.policy.consecutive * self.policy.windows.max_length
        newest = max((report.window.end for report in self.reports.values()), default=0.0)
        for first, report in list(self.reports.items()):
            if (
                report.window.end <= newest - lapse
                and first not in wanted
                and first not in self.contents
            ):
                del self.reports[first]
        gone = [first for first in self.kept if first not in wanted]
        for first in gone:
            del self.kept[first]
        return gone

    def _content(self, span: Span) -> Content:
        content = self.contents.get(span.first)
        if content is None:
            road = self.road
            assert road is not None  # something was decoded
            profile = Profile.empty(road.layout)
            window = span.window(self.spans.lengths.length)
            content = Content(span.first, window, road, profile, road.buffer(profile))
            self.contents[span.first] = content
        return content

    def _absorb(self, target: Content, source: Content) -> None:
        for content in (target, source):
            content.buffer.fold()
        if source.profile.layout != target.profile.layout:
            # A baseline came between two small windows: the larger one stands for both.
            target.road, source.road = source.road, target.road
            target.profile = max(target.profile, source.profile, key=lambda profile: profile.n)
        else:
            target.profile = target.profile.merge(source.profile)
        target.buffer = target.road.buffer(target.profile)
        target.ids |= source.ids
        target.traces = tuple(dict.fromkeys(target.traces + source.traces))[:TRACES_CAP]
        target.stale = target.unsaved = True

    def _report(
        self, content: Content, source: Source, others: Mapping[str, DriftMetric]
    ) -> Report:
        fits = self.baseline is not None and self.baseline.layout == content.profile.layout
        baseline = self.baseline if fits else None
        report = judge(
            self.subject,
            content.window,
            content.revision,
            content.profile,
            baseline,
            policy=self.policy,
            policy_sha256=self.policy_sha256 or source.policy_sha256,
            closed_at=source.closed_at,
            partition=source.partition,
            offset=source.offset,
            others=others,
        )
        if content.traces:
            report = replace(report, traces=content.traces)
        self.history = remember(self.history, report, content.profile, baseline, self.policy)
        return with_trends(report, self.history, self.policy)

    def _verdict(self, source: Source, news: Window) -> Verdict:
        reports = [self.reports[first] for first in sorted(self.reports)]
        return decide(
            reports,
            self._merged,
            self.baseline,
            self.policy,
            policy_sha256=self.policy_sha256 or source.policy_sha256,
            news=news,
        )

    def _merged(self, windows: Sequence[Window]) -> Profile | None:
        profiles = {c.window: c.profile for c in (*self.kept.values(), *self.contents.values())}
        merged: Profile | None = None
        for window in windows:
            profile = profiles.get(window)
            if profile is None or (merged is not None and merged.layout != profile.layout):
                return None
            merged = profile if merged is None else merged.merge(profile)
        return merged


def window_lengths(policy: ModelPolicy) -> WindowLengths:
    """Return how the policy cuts time."""
    rules = policy.windows
    return WindowLengths(
        rules.length, rules.grace, rules.allowed_lateness, rules.min_events, rules.max_length
    )

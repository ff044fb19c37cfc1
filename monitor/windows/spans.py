"""The windows of one model version, driven by event time alone.

Time is cut into slots of the policy's length. A *span* is one slot, or several that merged because each had too few
events. A span is open until the watermark passes its end; then it is frozen (its start and end never change again),
and late events revise what was counted in it until the allowed lateness has passed too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.reports import Window

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class WindowLengths:
    """How time is cut.

    Attributes
    ----------
    length, grace, allowed_lateness, max_length
        Seconds of event time, as in the policy's `windows`.
    min_events
        A span with fewer merges with the next slot, up to `max_length`.
    """

    length: float
    grace: float
    allowed_lateness: float
    min_events: int
    max_length: float


@dataclass(slots=True)
class Span:
    """A window under way, or frozen.

    Attributes
    ----------
    first, stop
        Slots: from `first` to just before `stop`.
    n
        How many events are in it.
    frozen
        Whether start and end are final.
    """

    first: int
    stop: int
    n: int = 0
    frozen: bool = False

    def window(self, length: float) -> Window:
        """The span in seconds of event time."""
        return Window(self.first * length, self.stop * length)


@dataclass(frozen=True, slots=True)
class Step:
    """Part of a batch.

    Attributes
    ----------
    span
        Where its events go; None if they are too late.
    events
        Their positions in the batch, increasing.
    """

    span: Span | None
    events: Positions


@dataclass(frozen=True, slots=True)
class Merge:
    """A span took over another: what was counted under slot `source` belongs to slot `target` now."""

    source: int
    target: int


@dataclass(slots=True)
class Spans:
    """The spans of one model version.

    Attributes
    ----------
    watermark
        No event older than this is waited for: the largest event time seen less the grace, or more after an idle
        time. Seconds; -inf before the first event.
    spans
        By first slot. Frozen ones stay until they are final, and dropped.
    final
        Up to here, windows are final: no event revises them, even if the allowed lateness grows. Seconds.

    Examples
    --------
    >>> spans = Spans(WindowLengths(length=10, grace=2, allowed_lateness=20, min_events=1, max_length=30))
    >>> [step.span.first for step in spans.assign(np.array([3.0, 11.0])) if step]
    [0, 1]
    >>> spans.frozen()
    []
    >>> [step.span.first for step in spans.assign(np.array([12.5])) if step]
    [1]
    >>> [span.first for span in spans.freeze()[0]]
    [0]
    """

    lengths: WindowLengths
    watermark: float = -math.inf
    spans: dict[int, Span] = field(default_factory=dict)
    final: float = -math.inf

    def assign(self, times: Floats) -> Iterator[Step | None]:
        """Cut a batch, in order of arrival, into steps that fall into one span each, or are too late.

        None stands between two steps where the watermark has reached another slot: the caller freezes before it
        goes on. So what a span holds when it freezes, and what is late, never depends on where a batch was cut.

        Parameters
        ----------
        times
            Event times, shape (n,), seconds.
        """
        length, grace = self.lengths.length, self.lengths.grace
        before = np.maximum.accumulate(np.concatenate([[self.watermark + grace], times])) - grace
        if math.isinf(before[0]):
            before[0] = before[1] if len(times) else before[0]
        reached = np.floor_divide(before, length)
        cuts = (np.flatnonzero(np.diff(reached) > 0) + 1).tolist()
        slots = np.floor_divide(times, length).astype(np.int64)
        start = 0
        for stop in [*cuts, len(times)]:
            if stop > start:
                yield from self._steps(slots, before, start, stop)
                self.watermark = float(before[stop])
            if stop in cuts:
                yield None
            start = stop

    def idle(self, seconds: float) -> None:
        """Move the watermark on from its own last value: nothing came for so long."""
        self.watermark += seconds

    def until_final(self) -> float:
        """Return how far the watermark is from where every span is final, seconds; 0 without spans.

        Silence moves it no further: a publisher that was paused for a day goes on where it stopped.
        """
        end = max((span.stop for span in self.spans.values()), default=None)
        if end is None:
            return 0.0
        return end * self.lengths.length + self.lengths.allowed_lateness - self.watermark

    def freeze(self) -> tuple[list[Span], list[Merge]]:
        """Merge and freeze what the watermark has passed; return the newly frozen, oldest first, and the mergers."""
        newly: list[Span] = []
        merges: list[Merge] = []
        for first in sorted(self.spans):
            span = self.spans.get(first)
            if span is None or span.frozen:
                continue
            if not self._ripe(span.stop):
                break
            merges += self._grow(span)
            if span.n >= self.lengths.min_events or not self._may_grow(span):
                span.frozen = True
                newly.append(span)
        return newly, merges

    def frozen(self) -> list[Span]:
        """Return the frozen spans, oldest first."""
        return [self.spans[first] for first in sorted(self.spans) if self.spans[first].frozen]

    def is_final(self, span: Span) -> bool:
        """Whether no late event may revise the span any more."""
        return span.frozen and self._ripe(span.stop, self.lengths.allowed_lateness)

    def drop(self, span: Span) -> None:
        """Forget a final span: what comes for it now is too late."""
        del self.spans[span.first]
        self.final = max(self.final, span.stop * self.lengths.length)

    def span_at(self, time: float) -> Span | None:
        """Return the span that holds an instant, if there is one."""
        return self._span_of(int(time // self.lengths.length))

    def _steps(self, slots: Positions, before: Floats, start: int, stop: int) -> Iterator[Step]:
        part = slots[start:stop]
        for slot in np.unique(part).tolist():
            events = start + np.flatnonzero(part == slot)
            span = self._span_of(slot)
            if span is None or span.frozen:
                end = (span.stop if span else slot + 1) * self.lengths.length
                late = end + self.lengths.allowed_lateness <= before[events]
                late |= end <= self.final
                if late.any():
                    yield Step(None, events[late])
                    events = events[~late]
            if len(events):
                span = span or self.spans.setdefault(slot, Span(slot, slot + 1))
                span.n += len(events)
                yield Step(span, events)

    def _span_of(self, slot: int) -> Span | None:
        span = self.spans.get(slot)
        if span is not None:
            return span
        return next((s for s in self.spans.values() if s.first <= slot < s.stop), None)

    def _ripe(self, stop: int, later: float = 0.0) -> bool:
        return stop * self.lengths.length + later <= self.watermark

    def _may_grow(self, span: Span) -> bool:
        behind = self._span_of(span.stop)
        stop = behind.stop if behind else span.stop + 1
        return (stop - span.first) * self.lengths.length <= self.lengths.max_length and not (
            behind and behind.frozen
        )

    def _grow(self, span: Span) -> Iterator[Merge]:
        """Let a ripe span with too few events take over the ripe slots behind it."""
        while span.n < self.lengths.min_events and self._may_grow(span):
            behind = self.spans.get(span.stop)
            stop = behind.stop if behind else span.stop + 1
            if not self._ripe(stop):
                return
            if behind:
                del self.spans[behind.first]
                span.n += behind.n
                yield Merge(behind.first, span.first)
            span.stop = stop

"""Windows in event time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.windows.spans import Span, Spans, WindowLengths

LENGTHS = WindowLengths(length=10, grace=5, allowed_lateness=20, min_events=1, max_length=40)


def feed(spans: Spans, times: list[float]) -> tuple[list[tuple[int, int]], list[float]]:
    """Assign one batch; return the windows frozen on the way, and the times that were too late."""
    frozen: list[Span] = []
    late: list[float] = []
    for step in spans.assign(np.array(times, np.float64)):
        if step is None:
            frozen += spans.freeze()[0]
        elif step.span is None:
            late += [times[i] for i in step.events]
    return [(span.first, span.stop) for span in frozen], late


def test_a_window_closes_when_an_event_passes_its_end_and_the_grace() -> None:
    spans = Spans(LENGTHS)
    assert feed(spans, [1, 9, 14.9])[0] == []
    assert feed(spans, [15])[0] == [(0, 1)]


def test_an_event_within_the_grace_is_counted_before_the_window_closes() -> None:
    spans = Spans(LENGTHS)
    feed(spans, [1, 12, 2, 15.0])
    assert spans.spans[0].n == 2
    assert spans.spans[0].frozen


def test_late_events_revise_until_the_allowed_lateness_has_passed() -> None:
    spans = Spans(LENGTHS)
    feed(spans, [1, 15])
    assert feed(spans, [2, 34.9, 3]) == ([(1, 2)], [])
    assert spans.spans[0].n == 3
    assert feed(spans, [35, 4])[1] == [4]
    assert spans.spans[0].n == 3


def test_a_window_below_min_events_merges_with_the_next_and_counts_once() -> None:
    spans = Spans(WindowLengths(10, 0, 20, min_events=3, max_length=40))
    assert feed(spans, [1, 11, 12, 13, 20]) == ([(0, 2)], [])
    assert spans.spans[0].n == 4
    assert 1 not in spans.spans


def test_merging_ends_at_the_longest_window() -> None:
    spans = Spans(WindowLengths(10, 0, 100, min_events=3, max_length=30))
    assert feed(spans, [1, 29])[0] == []
    assert feed(spans, [30])[0] == [(0, 3)]


def test_a_late_event_for_a_merged_window_falls_into_it() -> None:
    spans = Spans(WindowLengths(10, 0, 100, min_events=3, max_length=40))
    feed(spans, [1, 11, 12, 20])
    feed(spans, [13])
    assert spans.spans[0].n == 4


def test_idle_time_moves_the_watermark_from_its_own_last_value() -> None:
    spans = Spans(LENGTHS)
    feed(spans, [1.0])
    spans.idle(13.9)
    assert spans.freeze()[0] == []
    spans.idle(0.1)
    assert [span.first for span in spans.freeze()[0]] == [0]


def test_before_the_first_event_idle_time_does_nothing() -> None:
    spans = Spans(LENGTHS)
    spans.idle(1e9)
    assert feed(spans, [1.0]) == ([], [])


@given(
    times=st.lists(st.floats(0, 200), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    min_events=st.integers(1, 6),
)
def test_where_a_batch_is_cut_changes_nothing(
    times: list[float], cuts: list[int], min_events: int
) -> None:
    lengths = WindowLengths(10, 5, 20, min_events, 40)
    whole, parts = Spans(lengths), Spans(lengths)
    expected = feed(whole, times)
    bounds = sorted({0, len(times), *(cut for cut in cuts if cut < len(times))})
    pieces = [feed(parts, times[a:b]) for a, b in itertools.pairwise(bounds)]
    found = ([f for piece in pieces for f in piece[0]], [t for piece in pieces for t in piece[1]])
    assert found[0] == expected[0]
    assert sorted(found[1]) == sorted(expected[1])
    assert parts == whole


@given(times=st.lists(st.floats(-500, 500), min_size=1, max_size=80))
def test_each_event_is_counted_in_the_window_that_covers_it_or_is_too_late(
    times: list[float],
) -> None:
    spans = Spans(WindowLengths(10, 5, 20, 2, 40))
    _, late = feed(spans, times)
    assert sum(span.n for span in spans.spans.values()) + len(late) == len(times)
    taken = sorted((span.first, span.stop) for span in spans.spans.values())
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(taken))


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 2, 1]])
def test_frozen_windows_keep_their_span(order: list[float]) -> None:
    spans = Spans(LENGTHS)
    feed(spans, order)
    feed(spans, [15])
    before = [(span.first, span.stop) for span in spans.frozen()]
    feed(spans, [4, 5, 30])
    assert [(span.first, span.stop) for span in spans.frozen()][: len(before)] == before

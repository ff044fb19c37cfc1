"""What every measure of drift has to keep, whatever it measures.

A new one is tested by being in the dict; a third party's by being installed beside this suite.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import EmptyWindow, LayoutMismatch
from monitor.metrics.drift import METRICS
from monitor.metrics.drift.comparison import Comparison
from monitor.metrics.protocol import Measure
from monitor.plugins import load_metrics
from monitor.profiles.layout import Kind
from monitor.profiles.sketch import CategorySketch, NumericSketch
from tests.metrics_samples import edges_of, labels, numbers

ALL = [*METRICS.values(), *load_metrics().values()]
OF_NUMBERS = [metric for metric in ALL if metric.applies(Kind.NUMERIC)]
OF_LABELS = [metric for metric in ALL if metric.applies(Kind.CATEGORICAL)]

by_name = {"ids": lambda metric: metric.name}
over_numbers = pytest.mark.parametrize("metric", OF_NUMBERS, **by_name)
over_labels = pytest.mark.parametrize("metric", OF_LABELS, **by_name)
few = settings(max_examples=40, deadline=None)

finite = st.floats(-1e6, 1e6, allow_subnormal=False)
codes = st.integers(-3, 12).map(float)
column = st.one_of(
    st.lists(finite, min_size=1, max_size=300), st.lists(codes, min_size=1, max_size=300)
)
dirty = st.lists(
    st.one_of(finite, st.just(math.inf), st.just(-math.inf), st.just(math.nan)), max_size=50
)
words = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=300)
KNOWN = tuple("abcdef")


def measure(metric, expected, observed):
    return metric.measure(Comparison(expected, observed))


def upper(metric):
    return metric.upper if isinstance(metric, Measure) else math.inf


def close(a, b):
    return a == b or (
        a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    )


def test_each_measure_is_a_field_of_the_report_under_its_own_name():
    from monitor.reports import ColumnDrift

    assert all(name == metric.name for name, metric in METRICS.items())
    assert METRICS.keys() <= set(ColumnDrift.__struct_fields__)


@over_numbers
@few
@given(column)
def test_numbers_do_not_drift_from_themselves(metric, values):
    sketch = numbers(edges_of(values), values)
    assert measure(metric, sketch, sketch) == pytest.approx(0, abs=1e-7)


@over_labels
@few
@given(st.lists(st.sampled_from(KNOWN), min_size=1))
def test_labels_do_not_drift_from_themselves(metric, values):
    sketch = labels(KNOWN, values)
    assert measure(metric, sketch, sketch) == pytest.approx(0, abs=1e-7)


@over_numbers
@few
@given(column, column, dirty)
def test_numbers_stay_in_range_whatever_is_mixed_in(metric, reference, current, dirt):
    edges = edges_of(reference)
    value = measure(metric, numbers(edges, reference), numbers(edges, [*current, *dirt]))
    assert value is None or (0 <= value <= upper(metric) and math.isfinite(value))


@over_labels
@few
@given(words, words)
def test_labels_stay_in_range(metric, reference, current):
    value = measure(metric, labels(KNOWN, reference), labels(KNOWN, current))
    assert value is not None
    assert 0 <= value <= upper(metric)
    assert math.isfinite(value)


@pytest.mark.parametrize(
    "metric", [m for m in OF_LABELS if getattr(m, "symmetric", False)], **by_name
)
@few
@given(words, words)
def test_labels_may_swap_sides(metric, one, other):
    a, b = labels(KNOWN, one), labels(KNOWN, other)
    assert close(measure(metric, a, b), measure(metric, b, a))


@over_labels
@few
@given(words, words, st.permutations("abcdefgh"))
def test_labels_have_no_order(metric, reference, current, renamed):
    rename = dict(zip("abcdefgh", renamed, strict=True))
    there = tuple(rename[label] for label in KNOWN)
    direct = measure(metric, labels(KNOWN, reference), labels(KNOWN, current))
    again = measure(
        metric,
        labels(there, [rename[value] for value in reversed(reference)]),
        labels(there, [rename[value] for value in current]),
    )
    assert close(direct, again)


@over_numbers
@few
@given(column, column, column)
def test_numbers_merged_then_measured_are_measured_as_one(metric, reference, first, second):
    edges = edges_of(reference)
    merged = numbers(edges, first).merge(numbers(edges, second))
    expected = numbers(edges, reference)
    value = measure(metric, expected, merged)
    once = measure(metric, expected, numbers(edges, [*first, *second]))
    assert value == (once if once is None else pytest.approx(once, rel=1e-6, abs=1e-6))


@over_labels
@few
@given(words, words, words)
def test_labels_merged_then_measured_are_measured_as_one(metric, reference, first, second):
    merged = labels(KNOWN, first).merge(labels(KNOWN, second))
    expected = labels(KNOWN, reference)
    assert close(
        measure(metric, expected, merged), measure(metric, expected, labels(KNOWN, first + second))
    )


@over_numbers
@few
@given(column, column, st.integers(1, 100))
def test_missing_numbers_move_nothing(metric, reference, current, missing):
    edges = edges_of(reference)
    expected = numbers(edges, reference)
    holed = numbers(edges, [*current, *[math.nan] * missing])
    value, plain = (
        measure(metric, expected, holed),
        measure(metric, expected, numbers(edges, current)),
    )
    assert value == (plain if plain is None else pytest.approx(plain, rel=1e-9, abs=1e-9))


@over_labels
@given(words, words, st.integers(1, 100))
@few
def test_missing_labels_move_nothing(metric, reference, current, missing):
    expected = labels(KNOWN, reference)
    holed = labels(KNOWN, current, missing)
    assert measure(metric, expected, holed) == measure(metric, expected, labels(KNOWN, current))


@over_labels
def test_a_single_category_that_stays_does_not_drift(metric):
    assert measure(metric, labels("a", "a" * 500), labels("a", "a" * 300)) == 0


@over_numbers
def test_a_constant_baseline_gives_sane_numbers(metric):
    edges = edges_of([3.0] * 500)
    expected = numbers(edges, [3.0] * 500)
    assert measure(metric, expected, numbers(edges, [3.0] * 100)) == 0
    elsewhere = measure(metric, expected, numbers(edges, [5.0] * 100))
    assert elsewhere is None or (elsewhere > 0.5 and math.isfinite(elsewhere))


@pytest.mark.parametrize(
    "empty",
    [NumericSketch.empty([0.0, 1.0]), CategorySketch(("a",), missing=4)],
    ids=["numbers", "labels"],
)
def test_an_empty_side_is_refused(empty):
    filled = numbers([0.0, 1.0], [0.5]) if isinstance(empty, NumericSketch) else labels("a", "aa")
    with pytest.raises(EmptyWindow, match="the window has no value"):
        Comparison(filled, empty)
    with pytest.raises(EmptyWindow, match="the baseline has no value"):
        Comparison(empty, filled)


def test_columns_counted_otherwise_are_refused():
    for a, b in (
        (numbers([0.0, 1.0], [0.5]), numbers([0.0, 2.0], [0.5])),
        (numbers([0.0, 1.0], [0.5]), labels("a", "a")),
        (labels("a", "a"), labels("ab", "a")),
    ):
        with pytest.raises(LayoutMismatch):
            Comparison(a, b)


@over_numbers
def test_infinite_values_count_as_extremes_and_give_no_infinity(metric):
    reference = np.linspace(0, 1, 500)
    edges = edges_of(reference)
    expected = numbers(edges, reference)
    value = measure(metric, expected, numbers(edges, [math.inf] * 60 + [-math.inf] * 40))
    assert value is None or (value > 0.3 and math.isfinite(value))

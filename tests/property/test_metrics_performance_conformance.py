"""What every measure of performance has to keep; a new one is tested by being in its dict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.metrics.performance import OF_A_CLASS, OF_A_NUMBER, OF_A_PROBABILITY

few = settings(max_examples=40, deadline=None)
Z = 1.96

answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=200)
scored = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=4, max_size=200)
errors = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=200)


def columns(pairs):
    first, second = zip(*pairs, strict=True)
    return np.array(first), np.array(second)


def check(measure, *sample):
    """Limits hold the value, and the order of people changes nothing."""
    found = measure(*(column.copy() for column in sample), Z)
    turned = measure(*(column[::-1].copy() for column in sample), Z)
    assert turned.value == pytest.approx(found.value, rel=1e-9, abs=1e-9, nan_ok=True)
    assert found.n <= len(sample[0])
    if np.isfinite(found.value):
        slack = 1e-9 * max(1.0, abs(found.value))
        assert found.lower - slack <= found.value <= found.upper + slack
    return found


@pytest.mark.parametrize("measure", OF_A_CLASS.values(), ids=OF_A_CLASS)
class TestOfAClass:
    @given(answers)
    @few
    def test_it_is_a_share_with_limits_in_any_order(self, measure, pairs):
        found = check(measure, *columns(pairs))
        assert np.isnan(found.value) or 0 <= found.lower <= found.upper <= 1

    @given(st.lists(st.booleans(), min_size=1, max_size=99).filter(any))
    @few
    def test_who_is_always_right_has_one_and_who_never_is_has_none(self, measure, true):
        truth = np.array(true)
        assert measure(truth, truth, Z).value == 1
        wrong = measure(~truth, truth, Z).value
        assert np.isnan(wrong) or wrong == 0


@pytest.mark.parametrize("measure", OF_A_PROBABILITY.values(), ids=OF_A_PROBABILITY)
class TestOfAProbability:
    @given(scored)
    @few
    def test_it_has_limits_around_it_in_any_order(self, measure, pairs):
        found = check(measure, *columns(pairs))
        assert np.isnan(found.value) or found.lower >= 0

    @given(st.lists(st.booleans(), min_size=2, max_size=99).filter(lambda x: any(x) != all(x)))
    @few
    def test_certainty_that_is_right_is_better_than_certainty_that_is_wrong(self, measure, true):
        truth = np.array(true)
        right, wrong = (measure(score.astype(float), truth, Z).value for score in (truth, ~truth))
        best = 1.0 if right > wrong else 0.0  # an area, or a loss
        assert right == pytest.approx(best, abs=1e-12)
        assert wrong != pytest.approx(right)


@pytest.mark.parametrize("measure", OF_A_NUMBER.values(), ids=OF_A_NUMBER)
class TestOfANumber:
    @given(errors)
    @few
    def test_it_has_limits_around_it_in_any_order(self, measure, sample):
        check(measure, np.array(sample))

    @given(errors, st.floats(0.1, 10))
    @few
    def test_it_is_in_the_unit_of_the_answers(self, measure, sample, factor):
        once, scaled = (measure(np.array(sample) * by, Z).value for by in (1.0, factor))
        assert scaled == pytest.approx(factor * once, rel=1e-6, abs=1e-6)

    def test_no_error_is_none(self, measure):
        assert measure(np.zeros(9), Z).value == 0

"""Intervals against statsmodels, against published numbers, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from monitor.metrics.intervals import critical_value, difference, normal, share_ratio, wilson

Z = critical_value(1)


@st.composite
def counts(draw, least=0):
    n = draw(st.integers(max(least, 1), 5000))
    return draw(st.integers(least, n)), n


@given(counts(), st.sampled_from([0.05, 0.01, 0.05 / 36]))
def test_wilson_is_statsmodels(sample, alpha):
    found = wilson(*sample, critical_value(1, 1 - alpha))
    expected = proportion_confint(*sample, alpha=alpha, method="wilson")
    assert (float(found.lower), float(found.upper)) == pytest.approx(expected, abs=1e-12)


@given(counts(), counts())
def test_the_difference_of_shares_is_statsmodels_newcombe(a, b):
    found = difference(wilson(*a, Z), wilson(*b, Z))
    expected = confint_proportions_2indep(*a, *b, compare="diff", method="newcomb")
    assert (float(found.lower), float(found.upper)) == pytest.approx(expected, abs=1e-12)


@given(counts(least=1), counts(least=1))
def test_the_ratio_of_shares_is_statsmodels_adjusted_log(a, b):
    found = share_ratio(*a, *b, Z)
    expected = confint_proportions_2indep(*a, *b, compare="ratio", method="log-adjusted")
    # The interval is stretched to the plain ratio where half counts have moved past it.
    assert float(found.lower) == pytest.approx(min(expected[0], float(found.value)), rel=1e-12)
    assert float(found.upper) == pytest.approx(max(expected[1], float(found.value)), rel=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "lower", "upper"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_the_difference_of_shares_is_what_newcombe_published(a, b, lower, upper):
    found = difference(wilson(*a, Z), wilson(*b, Z))
    assert (float(found.lower), float(found.upper)) == pytest.approx((lower, upper), abs=5e-5)


def test_the_difference_of_means_is_the_normal_one():
    found = difference(normal(5.0, 3.0, Z), normal(2.0, 4.0, Z))
    assert float(found.lower) == pytest.approx(3 - Z * 5)
    assert float(found.upper) == pytest.approx(3 + Z * 5)


@given(st.lists(counts(), min_size=2, max_size=6))
def test_pairs_are_compared_at_once_as_they_are_one_by_one(samples):
    x, n = (np.array(column) for column in zip(*samples, strict=True))
    together = difference(wilson(x, n, Z)[:, None], wilson(x, n, Z)[None, :])
    for i, a in enumerate(samples):
        for j, b in enumerate(samples):
            alone = difference(wilson(*a, Z), wilson(*b, Z))
            assert together.lower[i, j] == float(alone.lower)
            assert together.upper[i, j] == float(alone.upper)


def test_a_share_of_nobody_may_be_anything():
    nobody = wilson([0], [0], Z)
    assert np.isnan(nobody.value).all()
    assert (nobody.lower.item(), nobody.upper.item()) == (0.0, 1.0)


def test_36_pairs_at_once_need_a_critical_value_of_3_2():
    assert critical_value(36) == pytest.approx(3.1970, abs=1e-4)


def test_the_excess_of_a_gap_is_covered_as_often_as_it_says():
    random = np.random.default_rng(20)
    sizes, shares = np.array([1224, 276, 8000, 2000]), np.array([0.55, 0.40, 0.52, 0.47])
    drawn = wilson(random.binomial(sizes, shares, (20_000, 4)), sizes, Z)
    here, there = difference(drawn[:, 0], drawn[:, 1]), difference(drawn[:, 2], drawn[:, 3])
    excess, true = difference(here, there), 0.15 - 0.05
    assert (excess.lower > true).mean() == pytest.approx(0.025, abs=0.006)
    assert (excess.upper < true).mean() == pytest.approx(0.025, abs=0.006)

"""SciPy on the values themselves as the oracle of what is measured from counts."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import spatial, stats

from monitor.metrics.drift import METRICS, chi_squared, ks
from monitor.metrics.drift.comparison import Comparison
from tests.metrics_samples import edges_of, labels, number_pair, numbers

few = settings(max_examples=100, deadline=None)
samples = st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=2, max_size=400)
codes = st.lists(st.integers(0, 9).map(float), min_size=2, max_size=400)
every_code = [float(code) for code in range(10)]
words = st.lists(st.sampled_from("abcd"), min_size=20, max_size=400)


def measured(name, expected, observed):
    return METRICS[name].measure(Comparison(expected, observed))


def coarse(reference, bins):
    """Edges of a baseline with more values than bins, so that the error of binning shows."""
    quantiles = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)))
    return (*quantiles[:-1].tolist(), float(np.nextafter(quantiles[-1], np.inf)))


@few
@given(samples, samples, st.integers(1, 30))
def test_ks_is_below_scipys_by_at_most_the_largest_baseline_bin(reference, current, bins):
    edges = coarse(reference, bins)
    expected, observed = numbers(edges, reference), numbers(edges, current)
    truth = stats.ks_2samp(reference, current, method="asymp").statistic
    value = measured("ks", expected, observed)
    assert value <= truth + 1e-9
    assert truth - value <= expected.counts.max() / expected.n + 1e-9


@few
@given(codes, codes)
def test_ks_is_scipys_where_each_value_has_its_bin(reference, current):
    reference = [*reference, *every_code]
    truth = stats.ks_2samp(reference, current, method="asymp").statistic
    assert measured("ks", *number_pair(reference, current)) == pytest.approx(truth, abs=1e-9)


@few
@given(st.integers(200, 3000), st.integers(200, 3000), st.floats(0, 0.3), st.integers(0, 99))
def test_the_ks_p_value_is_scipys_asymptotic_one(n, m, shift, seed):
    rng = np.random.default_rng(seed)
    reference, current = rng.normal(size=n), rng.normal(shift, 1, size=m)
    column = Comparison(*number_pair(reference, current))
    assert ks.p_value(column) == pytest.approx(
        stats.kstwobign.sf(column.distance * math.sqrt(n * m / (n + m))), abs=1e-9
    )
    truth = stats.ks_2samp(reference, current, method="asymp").pvalue
    assert ks.p_value(column) >= truth - 1e-9
    finite_sample = stats.kstwo.sf(column.distance, round(n * m / (n + m)))
    assert ks.p_value(column) == pytest.approx(finite_sample, abs=0.07)


@few
@given(samples, samples, st.integers(1, 30))
@example([0.0, 1.0], [5.0, 9.0], 1)
def test_wasserstein_is_below_scipys_by_at_most_what_its_bins_allow(reference, current, bins):
    assume(np.std(reference) > 1e-3)
    edges = coarse(reference, bins)
    expected, observed = numbers(edges, reference), numbers(edges, current)
    unit = np.std(reference)
    truth = stats.wasserstein_distance(reference, current) / unit
    value = measured("wasserstein", expected, observed)
    larger = np.maximum(expected.counts / expected.n, observed.counts / observed.n)[1:-1]
    bound = float(np.diff(edges) @ larger) / unit
    assert value <= truth + 1e-6 * (1 + truth)
    assert truth - value <= bound + 1e-6 * (1 + truth)


@few
@given(codes, codes)
def test_wasserstein_is_scipys_where_each_value_has_its_bin(reference, current):
    reference = [*reference, *every_code]
    truth = stats.wasserstein_distance(reference, current) / np.std(reference)
    assert measured("wasserstein", *number_pair(reference, current)) == pytest.approx(
        truth, abs=1e-9
    )


@few
@given(words, words)
def test_jensen_shannon_is_scipys(reference, current):
    p, q = shares(reference, current)
    value = measured("js", labels("abcd", reference), labels("abcd", current))
    assert value == pytest.approx(spatial.distance.jensenshannon(p, q, base=2), abs=1e-7)


@few
@given(codes, codes)
def test_jensen_shannon_of_codes_takes_each_code_for_a_cell(reference, current):
    reference = [*reference, *every_code]
    expected, observed = number_pair(reference, current)
    p, q = shares(reference, current)
    value = measured("js", expected, observed)
    assert value == pytest.approx(spatial.distance.jensenshannon(p, q, base=2), abs=1e-7)


@few
@given(words, words)
def test_hellinger_total_variation_and_l_infinity_are_their_formulas(reference, current):
    p, q = shares(reference, current)
    expected, observed = labels("abcd", reference), labels("abcd", current)
    affinity = float(np.sqrt(p * q).sum())
    assert measured("hellinger", expected, observed) == pytest.approx(
        math.sqrt(max(1 - affinity, 0)), abs=1e-7
    )
    assert measured("total_variation", expected, observed) == pytest.approx(
        spatial.distance.cityblock(p, q) / 2
    )
    assert measured("l_infinity", expected, observed) == pytest.approx(
        spatial.distance.chebyshev(p, q)
    )


@few
@given(st.lists(st.tuples(st.integers(20, 5000), st.integers(20, 5000)), min_size=2, max_size=8))
def test_chi_squared_is_scipys_where_no_cell_is_small(table):
    a, b = np.array(table).T
    assume((a * min(a.sum(), b.sum()) / a.sum()).min() >= 5)
    names = [str(i) for i in range(len(a))]
    column = Comparison(
        labels(names, np.repeat(names, a).tolist()), labels(names, np.repeat(names, b).tolist())
    )
    truth = stats.chi2_contingency([a, b], correction=False)
    assert chi_squared.statistic(column) == pytest.approx(truth.statistic, rel=1e-9, abs=1e-9)
    assert chi_squared.p_value(column) == pytest.approx(truth.pvalue, rel=1e-6, abs=1e-12)


@few
@given(words, words)
def test_plain_psi_is_the_textbook_sum_where_no_cell_is_empty(reference, current):
    p, q = shares(reference, current)
    assume(p.min() > 0)
    assume(q.min() > 0)
    truth = stats.entropy(q, p) + stats.entropy(p, q)
    value = measured("psi_plain", labels("abcd", reference), labels("abcd", current))
    assert value == pytest.approx(truth, abs=1e-9)


def shares(reference, current):
    a, b = Counter(reference), Counter(current)
    keys = sorted(a.keys() | b.keys())
    return (
        np.array([a[key] for key in keys]) / len(reference),
        np.array([b[key] for key in keys]) / len(current),
    )


def test_a_baseline_of_codes_has_an_edge_at_each():
    assert edges_of([1.0, 2.0, 2.0])[:2] == (1.0, 2.0)

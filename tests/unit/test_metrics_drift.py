"""Drift, on the cases that other tools get wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from monitor.errors import LayoutMismatch
from monitor.metrics.drift import METRICS, measure_drift
from monitor.metrics.drift.chi_squared import p_value
from monitor.metrics.drift.comparison import Comparison
from monitor.metrics.drift.psi import noise, smallest_index
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.profile import Profile
from monitor.profiles.sketch import CategorySketch, NumericSketch
from tests.metrics_samples import ANSWERS, edges_of, labels, layout_of, number_pair, numbers

N = 10_000


@pytest.fixture
def rng():
    return np.random.default_rng(20_260_101)


def measured(name, pair):
    return METRICS[name].measure(Comparison(*pair))


def normal_columns(count, rng, *, score=False):
    """Layout and baseline of standard normal features, with the edges of each."""
    values = [rng.normal(size=N) for _ in range(count)]
    columns = [
        Column(name=f"x{i}", kind=Kind.NUMERIC, edges=edges_of(v)) for i, v in enumerate(values)
    ]
    probability = Column(name="score", kind=Kind.NUMERIC, edges=edges_of(rng.random(N)))
    layout = Layout(
        features=tuple(columns), prediction=ANSWERS, score=probability if score else None
    )
    return layout, window(layout, values, rng)


def window(layout, values, rng):
    n = len(values[0])
    sketches = [numbers(c.edges, v) for c, v in zip(layout.features, values, strict=True)]
    if layout.score:
        sketches.append(numbers(layout.score.edges, rng.random(n)))
    sketches.append(CategorySketch(("0", "1"), {"0": n // 2, "1": n - n // 2}))
    return Profile(layout, tuple(sketches), {}, n)


def test_one_outlier_does_not_hide_that_all_have_shifted(rng):
    reference, shifted = rng.normal(size=N), rng.normal(3, 1, size=N)
    with_outlier = np.append(shifted[:-1], 1e4)
    clean = measured("psi", number_pair(reference, shifted))
    assert measured("psi", number_pair(reference, with_outlier)) == pytest.approx(clean, rel=0.01)
    assert clean > 5
    # Nor in the baseline, where it makes the last fine bin wide.
    assert measured("psi", number_pair(with_outlier, reference)) > 5


def test_a_scale_times_ten_is_seen_beyond_the_open_ends(rng):
    reference = rng.normal(size=N)
    wide = 10 * rng.normal(size=N)
    # The population's: 9 times the mean absolute deviation of a normal, 0.798.
    assert measured("wasserstein", number_pair(reference, wide)) == pytest.approx(7.2, abs=0.25)


@pytest.mark.parametrize(("shift", "population"), [(0.1, 0.0096), (0.25, 0.060), (0.5, 0.24)])
def test_the_judged_psi_is_the_populations(rng, shift, population):
    pair = number_pair(rng.normal(size=100_000), rng.normal(shift, 1, size=100_000))
    assert measured("psi", pair) == pytest.approx(population, rel=0.1, abs=0.001)


@pytest.mark.parametrize(
    ("n", "low", "high"), [(50, 0.75, 0.95), (100, 0.3, 0.5), (200, 0.005, 0.03)]
)
def test_a_plain_psi_cries_wolf_on_small_windows_and_the_judged_one_does_not(rng, n, low, high):
    baseline = np.full(10, N // 10)
    names = [str(i) for i in range(10)]
    expected = CategorySketch(tuple(names), dict(zip(names, baseline.tolist(), strict=True)))
    windows = [
        Comparison(expected, CategorySketch(tuple(names), dict(zip(names, draw, strict=True))))
        for draw in rng.multinomial(n, baseline / N, size=2000).tolist()
    ]
    plain = np.array([METRICS["psi_plain"].measure(column) for column in windows])
    judged = np.array([METRICS["psi"].measure(column) for column in windows])
    assert low < (plain > 0.1).mean() < high
    assert (judged > 0.1).mean() < (plain > 0.1).mean() / 3
    significant = np.array([p_value(column) for column in windows]) < 0.0025
    assert ((judged > 0.1) & significant).mean() <= 0.005


def test_without_drift_psi_has_the_expectation_and_the_tail_that_are_taken_for_its_null(rng):
    n, cells = 1000, 10
    reference = rng.normal(size=N)
    edges = edges_of(reference)
    expected = numbers(edges, reference)
    columns = [Comparison(expected, numbers(edges, rng.choice(reference, n))) for _ in range(1500)]
    assert all(len(column.judged[0]) == cells for column in columns[:20])
    raw = np.array([METRICS["psi_plain"].measure(column) for column in columns])
    # Drawn from the baseline's own values: the baseline is the population, and only 1/M is left.
    assert raw.mean() == pytest.approx((cells - 1) / n, rel=0.05)
    assert (raw > special.chdtri(cells - 1, 0.05) / n).mean() == pytest.approx(0.05, abs=0.02)
    smallest = smallest_index(columns[0], level=0.05)
    assert smallest == pytest.approx(
        (special.chdtri(cells - 1, 0.05) - cells + 1) * (1 / N + 1 / n), rel=1e-9
    )


def test_cells_that_expect_fewer_than_five_are_pooled():
    expected = labels("abcd", "a" * 5000 + "b" * 4900 + "c" * 60 + "d" * 40)
    column = Comparison(expected, labels("abcd", "a" * 100 + "b" * 97 + "c" * 2 + "z"))
    cells = column.judged
    assert [cell.tolist() for cell in cells] == [[5000, 4900, 100], [100, 97, 3]]


def test_neighbouring_quantile_cells_are_joined_for_a_small_window(rng):
    column = Comparison(*number_pair(rng.normal(size=N), rng.normal(size=30)))
    expected, observed = column.judged
    assert len(expected) == 5
    assert observed.sum() == 30
    assert min(expected) * 30 / N >= 5


def test_a_window_too_small_to_show_anything_says_so(rng):
    column = Comparison(*number_pair(rng.normal(size=N), rng.normal(size=6)))
    assert smallest_index(column, level=0.01) is None
    assert METRICS["psi"].measure(column) == 0


def test_codes_have_a_cell_each_and_values_out_of_range_too():
    reference = [float(code) for code in range(18) for _ in range(500)]
    pair = number_pair(reference, [*reference[::10], *[40.0] * 90, *[-1.0] * 10])
    column = Comparison(*pair)
    assert len(column.judged[0]) == 19
    assert measured("out_of_range", pair) == pytest.approx(0.1)
    assert measured("psi", pair) > 0.5


def test_an_unseen_category_stays_visible():
    pair = labels("ab", "a" * 5000 + "b" * 5000), labels("ab", "a" * 450 + "b" * 450 + "z" * 100)
    assert measured("unseen", pair) == pytest.approx(0.1)
    assert measured("psi", pair) == pytest.approx(0.1 * math.log(0.1 * 2 * N), rel=0.1)


def test_a_lost_category_is_found():
    pair = labels("abc", "abc" * 3000), labels("abc", "ab" * 500)
    assert measured("l_infinity", pair) == pytest.approx(1 / 3)
    assert measured("psi", pair) > 0.5


@pytest.mark.parametrize("surge", [1, 3, 30])
def test_a_new_label_is_significant_by_its_exact_probability(surge):
    old = labels("ab", "a" * 4900 + "b" * 4900)
    column = Comparison(old, labels("ab", "a" * 100 + "b" * (100 - surge) + "z" * surge))
    assert p_value(column) == pytest.approx(min(2 * (200 / N) ** surge, 1), rel=0.05)


def test_wasserstein_of_times_since_1970_survives_their_large_mean():
    rng = np.random.default_rng(1)
    reference = 1.7e9 + rng.normal(size=5000)
    current = 2 + 1.7e9 + rng.normal(size=5000)
    assert measured("wasserstein", number_pair(reference, current)) == pytest.approx(2, abs=0.1)


def test_wasserstein_of_a_constant_baseline_has_no_unit():
    assert measured("wasserstein", number_pair([3.0] * 100, [3.0] * 50)) == 0
    assert measured("wasserstein", number_pair([3.0] * 100, [4.0] * 50)) is None
    assert measured("ks", number_pair([3.0] * 100, [4.0] * 50)) == 1
    assert measured("psi", number_pair([3.0] * 100, [4.0] * 50)) > 1


def test_drift_of_one_feature_of_twenty_is_found_and_the_others_stay_quiet(rng):
    layout, reference = normal_columns(20, rng)
    values = [rng.normal(size=1000) for _ in range(20)]
    values[7] += 0.5
    features, prediction = measure_drift(reference, window(layout, values, rng), q=0.0025)
    assert [f.feature for f in features if f.significant] == ["x7"]
    assert features[7].psi == pytest.approx(0.24, abs=0.08)
    assert [p.feature for p in prediction] == ["prediction"]
    assert all(f.smallest_effect < 0.05 for f in features)
    assert features[0].unseen is None
    assert features[0].chi2 is None
    assert prediction[0].wasserstein is None
    assert prediction[0].kind == "categorical"


@pytest.mark.parametrize("n", [200, 1000])
def test_no_clean_window_of_twenty_features_alarms(rng, n):
    layout, reference = normal_columns(20, rng, score=True)
    by_fixed_threshold = alarms = 0
    windows = 60
    for _ in range(windows):
        values = [rng.normal(size=n) for _ in range(20)]
        features, prediction = measure_drift(reference, window(layout, values, rng), q=0.0025)
        columns = (*features, *prediction)
        by_fixed_threshold += any(column.p_value < 0.05 for column in columns)
        alarms += any(column.significant and column.psi > 0.1 for column in columns)
    assert by_fixed_threshold > windows / 4
    assert alarms == 0


def test_the_score_comes_before_the_prediction(rng):
    _, reference = normal_columns(1, rng, score=True)
    _, prediction = measure_drift(reference, reference, q=0.01)
    assert [column.feature for column in prediction] == ["score", "prediction"]
    assert all(column.psi == 0 and not column.significant for column in prediction)


def test_a_column_without_a_value_has_its_missing_shares_only():
    column = Column(name="age", kind=Kind.NUMERIC, edges=(0.0, 1.0, 2.0))
    layout = layout_of(column)
    answers = CategorySketch(("0", "1"), {"0": 5, "1": 5})
    reference = Profile(layout, (numbers(column.edges, [0.5] * 9 + [1.5]), answers), {}, 10)
    current = Profile(layout, (numbers(column.edges, [math.nan] * 10), answers), {}, 10)
    (age,), _ = measure_drift(reference, current, q=0.01)
    assert (age.missing_reference, age.missing_current) == (0.0, 1.0)
    assert age.psi is age.ks is age.p_value is None
    assert not age.significant


def test_no_report_holds_nan_or_infinity_however_large_the_values():
    huge = [-9e149, 9e149, 1e149, 0.0] * 50
    edges = edges_of([*huge[:2], 0.0])
    layout = layout_of(Column(name="x", kind=Kind.NUMERIC, edges=edges))
    answers = CategorySketch(("0", "1"), {"0": 200})
    reference = Profile(layout, (numbers(edges, huge), answers), {}, 200)
    (x,), _ = measure_drift(reference, reference, q=0.01)
    assert all(v is None or math.isfinite(v) for v in (x.psi, x.ks, x.wasserstein, x.js, x.p_value))


def test_profiles_of_other_columns_are_refused():
    one = layout_of(Column(name="a", kind=Kind.CATEGORICAL))
    other = layout_of(Column(name="b", kind=Kind.CATEGORICAL))
    with pytest.raises(LayoutMismatch, match="not those of the baseline"):
        measure_drift(Profile.empty(one), Profile.empty(other), q=0.01)


def test_an_empty_window_is_measured_as_nothing():
    layout = layout_of(Column(name="a", kind=Kind.NUMERIC, edges=(0.0, 1.0)))
    (a,), (prediction,) = measure_drift(Profile.empty(layout), Profile.empty(layout), q=0.01)
    assert a.missing_current is None
    assert prediction.psi is None


def test_noise_is_the_sum_of_both_samples():
    column = Comparison(
        NumericSketch.empty([0.0]).merge(numbers([0.0], [1.0])), numbers([0.0], [1.0, 2.0])
    )
    assert noise(column) == 1.5

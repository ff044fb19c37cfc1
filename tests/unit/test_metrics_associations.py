"""Proxies of a protected attribute are found, and ranked, whatever kind of column they hide in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2_contingency, f_oneway
from sklearn.metrics import mutual_info_score

from monitor.errors import EmptyData, MissingColumn
from monitor.metrics.associations import (
    correlation_ratio,
    cramers_v,
    measure_associations,
    mutual_information,
)
from monitor.profiles.layout import Kind

COUNTS = arrays(
    np.int64, st.tuples(st.integers(2, 5), st.integers(2, 5)), elements=st.integers(1, 90)
)


@given(COUNTS)
def test_cramers_v_is_scipys_chi_squared_with_bergsmas_correction(table):
    (r, c), n = table.shape, table.sum()
    phi2 = chi2_contingency(table, correction=False).statistic / n - (r - 1) * (c - 1) / (n - 1)
    room = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    expected = np.sqrt(max(phi2, 0) / room) if room > 0 else 0.0
    assert cramers_v(table) == pytest.approx(min(expected, 1.0), abs=1e-7)


@given(COUNTS)
def test_mutual_information_is_scikit_learns_less_its_bias(table):
    (r, c), n = table.shape, table.sum()
    expected = mutual_info_score(None, None, contingency=table) - (r - 1) * (c - 1) / (2 * n)
    assert mutual_information(table) == pytest.approx(max(expected, 0), abs=1e-12)


def test_the_correlation_ratio_is_the_one_of_the_analysis_of_variance():
    random = np.random.default_rng(1)
    samples = [random.normal(mean, 1, 80) for mean in (0.0, 0.3, 1.0)]
    found = correlation_ratio(np.concatenate(samples), np.repeat([0, 1, 2], 80)) ** 2
    f = f_oneway(*samples).statistic
    assert found == pytest.approx(2 * f / (2 * f + 237))


def test_proxies_are_ranked_above_features_that_tell_nothing():
    random = np.random.default_rng(2)
    n = 5000
    group = random.choice(["a", "b"], n)
    people = pd.DataFrame(
        {
            "group": group,
            "same": np.where(group == "a", "x", "y"),
            "shifted": random.normal(0, 1, n) + 2 * (group == "a"),
            "wider": random.normal(0, 1, n) * np.where(group == "a", 1, 4),
            "noise": random.normal(0, 1, n),
            "coin": random.random(n) < 0.5,
        }
    )
    kinds = {
        "noise": Kind.NUMERIC,
        "coin": Kind.BOOLEAN,
        "same": Kind.CATEGORICAL,
        "shifted": Kind.NUMERIC,
        "wider": Kind.NUMERIC,
    }
    found = measure_associations(people, kinds=kinds, attributes=["group"])
    assert [one.feature for one in found[:3]] == ["same", "shifted", "wider"]
    by_feature = {one.feature: one for one in found}
    assert by_feature["same"].strength == pytest.approx(1.0, abs=0.001)
    assert by_feature["same"].cramers_v == pytest.approx(1.0, abs=0.001)
    assert by_feature["shifted"].correlation_ratio == pytest.approx(0.707, abs=0.02)
    assert by_feature["wider"].correlation_ratio < 0.05 < by_feature["wider"].strength
    assert max(by_feature["noise"].strength, by_feature["coin"].strength) < 0.003


def test_that_a_value_is_missing_can_tell_the_group():
    people = pd.DataFrame({"group": ["a", "b"] * 500, "income": [1.0, np.nan] * 500})
    (found,) = measure_associations(people, kinds={"income": Kind.NUMERIC}, attributes=["group"])
    assert found.strength == pytest.approx(1.0, abs=0.01)
    assert found.correlation_ratio == 0.0


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["k"] * 6, Kind.CATEGORICAL),
        ([None] * 6, Kind.CATEGORICAL),
        ([1e300] * 6, Kind.NUMERIC),
        ([np.nan] * 6, Kind.NUMERIC),
        ([np.inf, -np.inf] * 3, Kind.NUMERIC),
        ([-1e308, 1e308] * 3, Kind.NUMERIC),
    ],
)
def test_constant_missing_and_infinite_columns_give_sane_numbers(values, kind):
    people = pd.DataFrame({"group": [*"aabbcc"], "column": values})
    (found,) = measure_associations(people, kinds={"column": kind}, attributes=["group"])
    numbers = (found.strength, found.cramers_v or 0.0, found.correlation_ratio or 0.0)
    assert all(0.0 <= number <= 1.0 for number in numbers)


def test_an_attribute_that_everybody_shares_can_not_be_given_away():
    people = pd.DataFrame({"group": ["a"] * 4, "x": [1, 2, 3, 4]})
    (found,) = measure_associations(people, kinds={"x": Kind.NUMERIC}, attributes=["group"])
    assert found.strength == 0.0


def test_a_column_that_is_not_there_is_named():
    people = pd.DataFrame({"x": [1]})
    with pytest.raises(MissingColumn, match="race"):
        measure_associations(people, kinds={"x": Kind.NUMERIC}, attributes=["race"])


def test_data_without_rows_is_refused():
    people = pd.DataFrame({"x": [], "race": []})
    with pytest.raises(EmptyData, match="no rows"):
        measure_associations(people, kinds={"x": Kind.NUMERIC}, attributes=["race"])

"""fairlearn on exploded rows, one person a row, is the oracle of what is measured on weighted cells."""

from __future__ import annotations

import fairlearn.metrics as fl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.metrics.fairness import excess_gap, measure_fairness
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.profile import Profile

EXACT = 1e-12
PAIRS = (("1", "1"), ("1", "0"), ("0", "1"), ("0", "0"))


def layout(groups):
    prediction = Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1"))
    return Layout(features=(), prediction=prediction, groups=groups)


def profile_of(table):
    """A profile of {(race, sex): {(answer, label): count}}."""
    profile = Profile.empty(layout(("race", "sex")))
    for group, outcomes in table.items():
        profile.cell(group).add_outcomes(outcomes)
        profile.n += sum(outcomes.values())
    return profile


def exploded(table):
    """The same table, one person a row: groups, answers, labels."""
    rows = [
        (*group, int(answer), int(label))
        for group, outcomes in table.items()
        for (answer, label), count in outcomes.items()
        for _ in range(count)
    ]
    race, sex, answers, labels = (np.array(column) for column in zip(*rows, strict=True))
    names = {
        ("race",): race,
        ("sex",): sex,
        ("race", "sex"): np.array([f"{a} & {b}" for a, b in zip(race, sex, strict=True)]),
    }
    return names, answers, labels


@st.composite
def tables(draw):
    """Two races and more by two sexes; in every cell there are positives and negatives."""
    races = draw(st.sampled_from(["ab", "abc", "abcd"]))
    count = st.integers(0, 60)
    table = {}
    for race in races:
        for sex in "mw":
            counts = [draw(count) for _ in PAIRS]
            counts[draw(st.sampled_from([0, 2]))] += 1
            counts[draw(st.sampled_from([1, 3]))] += 1
            table[race, sex] = dict(zip(PAIRS, counts, strict=True))
    return table


def by_name(measures):
    return {(measure.attributes, measure.metric): measure for measure in measures}


@given(tables())
@settings(max_examples=10, deadline=None)  # seven tables of fairlearn's for each
def test_every_difference_is_what_fairlearn_says_of_the_exploded_rows(table):
    found = by_name(measure_fairness(None, profile_of(table), minimum_group_size=1))
    names, answers, labels = exploded(table)
    oracles = {
        "demographic_parity_difference": fl.demographic_parity_difference,
        "equal_opportunity_difference": fl.equal_opportunity_difference,
        "equalized_odds_difference": fl.equalized_odds_difference,
        "false_positive_rate_difference": fl.false_positive_rate_difference,
        "false_negative_rate_difference": fl.false_negative_rate_difference,
        "accuracy_difference": fl.accuracy_score_difference,
    }
    for attributes, groups in names.items():
        for metric, oracle in oracles.items():
            expected = oracle(labels, answers, sensitive_features=groups)
            assert found[attributes, metric].value == pytest.approx(expected, abs=EXACT), metric
        if answers.any():
            expected = fl.demographic_parity_ratio(labels, answers, sensitive_features=groups)
            assert found[attributes, "disparate_impact"].value == pytest.approx(expected, abs=EXACT)


@given(tables())
@settings(max_examples=15, deadline=None)
def test_every_groups_rates_are_what_fairlearn_says_of_the_exploded_rows(table):
    found = by_name(measure_fairness(None, profile_of(table), minimum_group_size=1))
    names, answers, labels = exploded(table)
    for attributes, groups in names.items():
        expected = fl.MetricFrame(
            metrics={
                "n": fl.count,
                "selection_rate": fl.selection_rate,
                "true_positive_rate": fl.true_positive_rate,
                "false_positive_rate": fl.false_positive_rate,
            },
            y_true=labels,
            y_pred=answers,
            sensitive_features=groups,
        ).by_group
        rates = found[attributes, "demographic_parity_difference"].groups
        assert set(rates) == set(expected.index)
        for group, rate in rates.items():
            for name in expected.columns:
                assert getattr(rate, name) == pytest.approx(expected.loc[group, name], abs=EXACT)


@given(tables(), tables(), st.integers(2, 100))
@settings(max_examples=30, deadline=None)
def test_the_fast_excess_gap_is_the_excess_in_the_report(before, after, minimum):
    reference, current = profile_of(before), profile_of(after)
    for measure in measure_fairness(reference, current, minimum_group_size=minimum):
        if measure.metric == "disparate_impact":
            continue
        fast = excess_gap(
            reference,
            current,
            measure.attributes,
            metric=measure.metric,
            minimum_group_size=minimum,
        )
        assert fast.value == pytest.approx(measure.excess, abs=EXACT)
        assert fast.lower == pytest.approx(measure.excess_lower, abs=EXACT)


@given(tables(), tables(), st.integers(2, 100))
@settings(max_examples=30, deadline=None)
def test_every_number_is_finite_and_in_its_range(before, after, minimum):
    measures = measure_fairness(profile_of(before), profile_of(after), minimum_group_size=minimum)
    for measure in measures:
        for number in (measure.value, measure.excess, measure.excess_lower):
            assert number is None or 0 <= number <= 1
        if measure.upper is not None:
            assert measure.lower - EXACT <= measure.value <= measure.upper + EXACT
        if measure.excess is not None:
            assert measure.excess_lower <= measure.excess + EXACT <= measure.value + 2 * EXACT


@given(tables(), tables())
@settings(max_examples=15, deadline=None)
def test_measuring_merged_windows_is_measuring_all_their_people(first, second):
    together = {
        group: {pair: first.get(group, {}).get(pair, 0) + second.get(group, {}).get(pair, 0)
                for pair in PAIRS}
        for group in first | second
    }  # fmt: skip
    merged = profile_of(first).merge(profile_of(second))
    assert measure_fairness(None, merged) == measure_fairness(None, profile_of(together))

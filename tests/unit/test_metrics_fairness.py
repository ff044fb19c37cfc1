"""What is said of groups, and what is left unsaid."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_score

from benchmarks.census_groups import load_census, windows_of
from monitor.metrics.fairness import classes_of, excess_gap, measure_fairness, positive_class
from monitor.profiles.cells import SCORE_BINS
from monitor.profiles.layout import MISSING, Column, Kind, Layout
from monitor.profiles.profile import Profile

PARITY = "demographic_parity_difference"


def layout(classes=("0", "1"), groups=("race",), score=None):
    kind = Kind.CATEGORICAL if classes else Kind.NUMERIC
    prediction = Column(name="prediction", kind=kind, categories=classes)
    return Layout(features=(), prediction=prediction, score=score, groups=groups)


def counted(table, shape=None):
    """A profile of {race: {answer: count}} or {race: {(answer, label): count}}."""
    profile = Profile.empty(shape or layout())
    for group, outcomes in table.items():
        pairs = {
            (answer if isinstance(answer, tuple) else (answer, "")): count
            for answer, count in outcomes.items()
        }
        profile.cell((group,) if isinstance(group, str) else group).add_outcomes(pairs)
        profile.n += sum(pairs.values())
    return profile


def rates(**groups):
    """A profile of two-class answers: group=(how many, how many of them favoured)."""
    return counted({name: {"1": x, "0": n - x} for name, (n, x) in groups.items()})


def measures(reference, current, **options):
    return {found.metric: found for found in measure_fairness(reference, current, **options)}


def parity(reference, current, **options):
    return measures(reference, current, **options)[PARITY]


def test_a_group_under_the_minimum_is_shown_and_counted_but_never_compared():
    found = parity(None, rates(a=(500, 250), b=(400, 160), c=(3, 0)), minimum_group_size=30)
    assert (found.highest, found.lowest, found.value) == ("a", "b", pytest.approx(0.1))
    assert (found.groups["c"].n, found.groups["c"].selection_rate) == (3, 0.0)
    assert [name for name, rate in found.groups.items() if rate.judged] == ["a", "b"]
    assert sum(rate.n for rate in found.groups.values()) == 903


@pytest.mark.parametrize("profile", [rates(), rates(a=(500, 9)), rates(a=(500, 9), b=(29, 1))])
def test_fewer_than_two_groups_of_size_have_no_gap(profile):
    found = parity(rates(a=(500, 9), b=(500, 9)), profile)
    assert (found.value, found.lower, found.upper) == (None, None, None)
    assert (found.baseline, found.excess, found.excess_lower) == (None, None, None)
    assert (found.highest, found.lowest) == (None, None)


def test_people_whose_group_is_missing_are_a_group_like_any_other():
    found = parity(None, counted({"a": {"1": 90, "0": 10}, MISSING: {"1": 10, "0": 90}}))
    assert (found.highest, found.lowest) == ("a", MISSING)


@pytest.mark.parametrize("reference", [None, rates(a=(500, 9), b=(500, 9)), rates(a=(1, 1))])
def test_a_single_person_is_a_group_of_one(reference):
    found = parity(reference, counted({"a": {"1": 1}}))
    assert found.value is None
    assert (found.groups["a"].n, found.groups["a"].selection_rate) == (1, 1.0)


def test_without_protected_attributes_there_is_nothing_to_measure():
    assert measure_fairness(None, Profile.empty(layout(groups=()))) == ()


def test_a_gap_that_the_reference_has_too_is_no_excess():
    found = parity(rates(a=(9000, 5400), b=(9000, 3600)), rates(a=(900, 540), b=(900, 360)))
    assert (found.value, found.baseline) == (pytest.approx(0.2), pytest.approx(0.2))
    assert (found.excess, found.excess_lower) == (pytest.approx(0.0), 0.0)
    assert found.lower > 0.15


def test_a_gap_that_shrank_is_no_excess():
    found = parity(rates(a=(9000, 5400), b=(9000, 3600)), rates(a=(900, 450), b=(900, 360)))
    assert (found.excess, found.excess_lower) == (0.0, 0.0)


def test_a_gap_that_turned_round_is_an_excess_of_no_more_than_todays_gap():
    found = parity(rates(a=(9000, 5400), b=(9000, 3600)), rates(a=(900, 360), b=(900, 540)))
    assert (found.highest, found.lowest) == ("b", "a")
    assert found.baseline == pytest.approx(-0.2)
    assert found.excess == pytest.approx(0.2)


def test_a_small_reference_makes_the_excess_less_sure():
    now = rates(a=(900, 630), b=(900, 360))
    sure = parity(rates(a=(9000, 4500), b=(9000, 4500)), now)
    unsure = parity(rates(a=(10, 5), b=(10, 5)), now)
    assert sure.excess == unsure.excess == pytest.approx(0.3)
    assert unsure.excess_lower == 0.0 < sure.excess_lower


def test_a_group_unknown_to_the_reference_has_a_gap_and_no_excess():
    now = rates(a=(900, 450), b=(900, 440), new=(900, 0))
    found = parity(rates(a=(9000, 4500), b=(9000, 4500)), now)
    assert (found.lowest, found.value, found.baseline) == ("new", 0.5, None)
    assert found.excess == pytest.approx(10 / 900)
    only_new = parity(rates(a=(9000, 4500)), now)
    assert (only_new.excess, only_new.excess_lower) == (None, None)


@pytest.mark.parametrize(("labels", "measures"), [(False, 2), (True, 9)])
def test_limits_that_hold_together_share_one_rate_of_error(labels, measures):
    def people(gap):
        answers = {"1": 400 - gap, "0": 600 + gap}
        pairs = {(answer, answer): n for answer, n in answers.items()} if labels else answers
        return {"a": dict.fromkeys(pairs, 500), "b": pairs}

    then, now = counted(people(0)), counted(people(150))
    (parity,) = [m for m in measure_fairness(then, now, jointly=True) if m.metric == PARITY]
    alone = excess_gap(then, now, ("race",), confidence=1 - 0.05 / measures)
    assert parity.excess_lower == pytest.approx(alone.lower)
    assert parity.excess_lower < measure_fairness(then, now)[0].excess_lower


def test_without_a_reference_the_gap_stands_alone():
    found = parity(None, rates(a=(900, 630), b=(900, 360)))
    assert found.value == pytest.approx(0.3)
    assert (found.baseline, found.excess, found.excess_lower) == (None, None, None)


def test_the_excess_gap_names_the_pair_that_is_surest():
    reference = rates(a=(9000, 4500), b=(9000, 4500), c=(9000, 4500))
    found = excess_gap(reference, rates(a=(900, 450), b=(900, 270), c=(30, 18)), ("race",))
    assert (found.highest, found.lowest) == ("a", "b")
    assert found.value == pytest.approx(0.3)


def test_the_excess_gap_of_disparate_impact_is_that_of_the_selection_rates():
    reference, now = rates(a=(900, 450), b=(900, 450)), rates(a=(900, 450), b=(900, 90))
    impact = excess_gap(reference, now, ("race",), metric="disparate_impact")
    assert impact == excess_gap(reference, now, ("race",))


def test_disparate_impact_is_bounded_only_where_groups_expect_ten_favourable_answers():
    sparse = measures(None, rates(a=(1200, 12), b=(300, 1)))["disparate_impact"]
    assert sparse.value == pytest.approx(1 / 3)
    assert (sparse.lower, sparse.upper) == (None, None)
    dense = measures(None, rates(a=(1200, 600), b=(300, 60)))["disparate_impact"]
    assert dense.value == pytest.approx(0.4)
    assert 0.3 < dense.lower < 0.4 < dense.upper < 0.55


def test_a_small_group_does_not_hide_the_disparate_impact_of_large_ones():
    impact = measures(None, rates(a=(1200, 240), b=(900, 60), c=(31, 2)))["disparate_impact"]
    assert impact.value == pytest.approx((2 / 31) / 0.2)
    assert impact.upper < 0.8


def test_equal_rates_of_one_percent_never_bound_the_ratio_below_four_fifths():
    random = np.random.default_rng(3)
    plain, bounded = [], []
    for x, y in zip(random.binomial(1200, 0.01, 40), random.binomial(300, 0.01, 40), strict=True):
        impact = measures(None, rates(a=(1200, int(x)), b=(300, int(y))))["disparate_impact"]
        plain.append(impact.value is not None and impact.value < 0.8)
        bounded.append(impact.upper is not None and impact.upper < 0.8)
    assert sum(plain) > 20
    assert sum(bounded) == 0


def test_when_nobody_is_favoured_there_is_no_gap_and_no_ratio():
    found = measures(None, rates(a=(900, 0), b=(900, 0)))
    assert found[PARITY].value == 0.0
    assert found["disparate_impact"].value is None


LABELLED = {
    "a": {("1", "1"): 80, ("1", "0"): 20, ("0", "1"): 20, ("0", "0"): 80},
    "b": {("1", "1"): 50, ("1", "0"): 50, ("0", "1"): 50, ("0", "0"): 50},
}


def test_measures_that_need_labels_appear_when_labels_are_there():
    assert set(measures(None, rates(a=(90, 9), b=(90, 9)))) == {PARITY, "disparate_impact"}
    found = measures(None, counted(LABELLED))
    assert found["equal_opportunity_difference"].value == pytest.approx(0.3)
    assert found["false_positive_rate_difference"].value == pytest.approx(0.3)
    assert found["accuracy_difference"].value == pytest.approx(0.3)
    assert "calibration_difference" not in found
    truth = np.repeat([1, 0, 1, 0, 1, 0, 1, 0], [80, 20, 20, 80, 50, 50, 50, 50])
    answer = np.repeat([1, 1, 0, 0, 1, 1, 0, 0], [80, 20, 20, 80, 50, 50, 50, 50])
    expected = precision_score(truth[:200], answer[:200]) - precision_score(
        truth[200:], answer[200:]
    )
    assert found["predictive_parity_difference"].value == pytest.approx(expected, abs=1e-12)


def test_people_without_a_label_count_for_selection_and_for_nothing_else():
    table = {name: {**outcomes, ("1", ""): 100} for name, outcomes in LABELLED.items()}
    found = measures(None, counted(table))
    assert found["accuracy_difference"].value == pytest.approx(0.3)
    assert found[PARITY].groups["a"].selection_rate == pytest.approx(200 / 300)
    assert (found[PARITY].groups["a"].n, found[PARITY].groups["a"].labelled) == (300, 200)


def test_a_true_positive_rate_of_too_few_positives_is_not_judged():
    table = {**LABELLED, "c": {("1", "0"): 500, ("0", "1"): 5}}
    found = measures(None, counted(table))
    assert found["equal_opportunity_difference"].lowest == "b"
    assert not found["equal_opportunity_difference"].groups["c"].judged
    assert found["equal_opportunity_difference"].groups["c"].true_positive_rate == 0.0
    assert found[PARITY].groups["c"].judged


def test_intersections_are_measured_only_when_asked():
    shape = layout(groups=("race", "sex"))
    table = {
        ("a", "m"): {"1": 90, "0": 10},
        ("a", "w"): {"1": 10, "0": 90},
        ("b", "m"): {"1": 10, "0": 90},
        ("b", "w"): {"1": 90, "0": 10},
    }
    found = {
        m.attributes: m for m in measure_fairness(None, counted(table, shape)) if m.metric == PARITY
    }
    assert found["race",].value == found["sex",].value == 0.0
    assert found["race", "sex"].value == pytest.approx(0.8)
    assert set(found["race", "sex"].groups) == {"a & m", "a & w", "b & m", "b & w"}
    single = measure_fairness(None, counted(table, shape), intersections=False)
    assert {measure.attributes for measure in single} == {("race",), ("sex",)}


def test_of_more_than_two_answers_each_is_favourable_in_turn():
    shape = layout(classes=("high", "low", "mid"))
    people = counted(
        {"a": {"high": 60, "mid": 20, "low": 20}, "b": {"high": 30, "mid": 20, "low": 50}}, shape
    )
    found = measures(people, people)
    assert found[f"{PARITY}[high]"].value == pytest.approx(0.3)
    assert found[f"{PARITY}[mid]"].value == pytest.approx(0.0)
    assert found[f"{PARITY}[low]"].value == pytest.approx(0.3)
    assert measures(None, people, favourable="high")[PARITY].value == pytest.approx(0.3)
    now = counted(
        {"a": {"high": 90, "mid": 5, "low": 5}, "b": {"high": 30, "mid": 20, "low": 50}}, shape
    )
    excess = excess_gap(people, now, ("race",), metric=f"{PARITY}[high]")
    assert excess.value == pytest.approx(0.3)


def test_accuracy_is_said_once_however_many_answers_there_are():
    shape = layout(classes=("high", "low", "mid"))
    answers = ("high", "low", "mid")

    def people(hits):
        pairs = {(answer, label): 10 for answer in answers for label in answers}
        return {**pairs, ("mid", "mid"): hits}

    before = counted({"a": people(10), "b": people(10)}, shape)
    now = counted({"a": people(400), "b": people(10)}, shape)
    found = [m for m in measure_fairness(before, now) if m.metric.startswith("accuracy")]
    assert [measure.metric for measure in found] == ["accuracy_difference"]
    fast = excess_gap(before, now, ("race",), metric="accuracy_difference")
    assert (fast.value, fast.lower) == pytest.approx((found[0].excess, found[0].excess_lower))


def test_an_answer_that_the_reference_does_not_know_renames_no_measure():
    stray = counted({"a": {"1": 50, "0": 50, "error": 1}, "b": {"1": 50, "0": 50}})
    assert PARITY in measures(rates(a=(90, 9), b=(90, 9)), stray)


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (("0", "1"), "1"),
        (("1", "2"), "1"),
        (("-1", "1"), "1"),
        (("No", "Yes"), "Yes"),
        (("false", "true"), "true"),
        (("denied", "granted"), "granted"),
    ],
)
def test_of_two_answers_the_positive_one_is_known(classes, positive):
    assert positive_class(classes) == positive


def test_classes_that_are_numbers_stand_in_the_order_of_numbers():
    assert classes_of(Profile.empty(layout(classes=("10", "2", MISSING)))) == ("2", "10")


def regression(**groups):
    profile = Profile.empty(layout(classes=()))
    for name, (n, mean, deviation) in groups.items():
        cell = profile.cell((name,))
        cell.add_outcomes({("", ""): n})
        cell.value_sum = n * mean
        cell.value_square_sum = n * (deviation**2 + mean**2)
        profile.n += n
    return profile


def test_a_regression_compares_mean_answers_in_the_references_standard_deviations():
    reference = regression(a=(5000, 100.0, 20.0), b=(5000, 100.0, 20.0))
    (found,) = measure_fairness(reference, regression(a=(400, 110.0, 20.0), b=(400, 100.0, 20.0)))
    assert found.metric == "mean_prediction_difference"
    assert (found.value, found.highest) == (pytest.approx(0.5), "a")
    assert found.groups["a"].selection_rate == pytest.approx(110.0)
    error = np.sqrt(2 / 399)
    assert (found.lower, found.upper) == pytest.approx(
        (0.5 - 1.959964 * error, 0.5 + 1.959964 * error), abs=1e-6
    )
    fast = excess_gap(
        reference,
        regression(a=(400, 110.0, 20.0), b=(400, 100.0, 20.0)),
        ("race",),
        metric=found.metric,
    )
    assert (fast.value, fast.lower) == pytest.approx((found.excess, found.excess_lower), abs=1e-12)


def test_a_group_of_one_in_the_reference_of_a_regression_proves_no_excess():
    reference = regression(a=(5000, 100.0, 20.0), b=(1, 100.0, 0.0))
    now = regression(a=(400, 150.0, 20.0), b=(400, 100.0, 20.0))
    (found,) = measure_fairness(reference, now)
    assert found.excess == pytest.approx(2.5, abs=0.001)
    assert found.excess_lower == 0.0


def scored(**groups):
    """A profile with scores: group=(scores, labels)."""
    score = Column(name="score", kind=Kind.NUMERIC, edges=(0.0, 0.5, 1.0))
    profile = Profile.empty(layout(score=score))
    sketch = profile.score
    for name, (scores, labels) in groups.items():
        cell = profile.cell((name,))
        sketch.add(scores.copy())
        for label in (0, 1):
            mine = scores[labels == label]
            bins = np.minimum((mine * SCORE_BINS).astype(int), SCORE_BINS - 1)
            cell.add_scores(str(label), np.bincount(bins, minlength=SCORE_BINS), float(mine.sum()))
            for answer in (0, 1):
                count = int(((scores >= 0.5) == answer)[labels == label].sum())
                cell.add_outcomes({(str(answer), str(label)): count})
        profile.n += len(scores)
    return profile


def test_calibration_compares_the_error_above_what_chance_shows():
    random = np.random.default_rng(5)
    scores = random.random(4000)
    honest = (random.random(4000) < scores).astype(int)
    boastful = (random.random(4000) < np.clip(scores - 0.2, 0, 1)).astype(int)
    fair = scored(a=(scores, honest), b=(scores[:300], honest[:300]))
    found = measures(None, fair)["calibration_difference"]
    assert found.value < 0.03
    unfair = scored(a=(scores, honest), b=(scores, boastful))
    found = measures(fair, unfair)["calibration_difference"]
    assert (found.highest, found.lowest) == ("b", "a")
    assert found.groups["b"].calibration_error == pytest.approx(0.18, abs=0.03)
    assert 0.1 < found.lower < found.value < found.upper
    assert found.excess_lower > 0.05


def test_no_drift_between_nine_census_groups_blocks_and_the_fault_is_found_in_its_first_window():
    census = load_census()
    clean = windows_of(census, census.clean, seed=0)
    assert (clean.plain > 0.15).mean() > 0.7
    assert (clean.alone, clean.blocked, clean.rollbacks) == (0, 0, 0)
    faulty = windows_of(census, census.faulty, seed=0)
    assert faulty.alone == faulty.blocked == len(faulty.excess) == 139
    assert faulty.rollbacks == len(faulty.merged) == 137

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.policy.grading import (
    grade_fairness,
    grade_features,
    grade_prediction,
    grade_quality,
)
from monitor.policy.model import DriftRules, FairnessRules, QualityRules
from monitor.reports import ColumnDrift, FairnessMeasure, Family, Finding, GroupRate, Severity

DRIFT, FAIRNESS, QUALITY = DriftRules(), FairnessRules(), QualityRules()
INCOME = ColumnDrift(
    feature="income", kind="numeric", psi=0.3, ks=0.1, p_value=1e-9, significant=True
)
ANSWER = replace(INCOME, feature="prediction", kind="categorical", psi=0.15, ks=None)
GAP = FairnessMeasure(
    attributes=("race",),
    metric="demographic_parity_difference",
    value=0.3,
    lower=0.2,
    baseline=0.02,
    excess=0.28,
    excess_lower=0.18,
    highest="white",
    lowest="not white",
    groups={
        "white": GroupRate(n=1000, selection_rate=0.57),
        "not white": GroupRate(n=300, selection_rate=0.31),
    },
)
RATIO = FairnessMeasure(
    attributes=("race",), metric="disparate_impact", value=0.5, upper=0.7, baseline=0.95
)
SURGE = Finding(
    check="zero_surge",
    feature="MIL",
    share=0.6,
    baseline_share=0.17,
    group={"race": "not white"},
    sentence="surge of value 0",
)

# -------------------------------------------------------------------------------------- drift


def test_a_feature_past_its_block_level_and_significant_breaches():
    graded = grade_features([INCOME], DRIFT, blocking={"income"})
    (breach,) = graded.breaches
    assert (breach.rule, breach.family, breach.value, breach.threshold) == (
        "psi[income]",
        Family.DRIFT,
        0.3,
        0.2,
    )
    assert graded.measures[0].severity is Severity.BLOCK


def test_each_measure_says_by_which_levels_it_was_judged():
    vector = replace(INCOME, feature="words", kind="embedding", psi=None, ks=None, mmd=0.01)
    features = grade_features([INCOME, vector], DRIFT, blocking=()).measures
    (answer,) = grade_prediction([ANSWER], DRIFT, blocking=()).measures
    gap, ratio = grade_fairness([GAP, RATIO], FAIRNESS).measures
    levels = [DRIFT.psi, DRIFT.mmd, DRIFT.prediction_psi, FAIRNESS.demographic_parity_difference]
    said = [(measure.warn, measure.block) for measure in (*features, answer, gap)]
    assert said == [(level.warn, level.block) for level in levels]
    assert (ratio.warn, ratio.block) == (None, FAIRNESS.disparate_impact)


def test_an_effect_without_significance_passes():
    graded = grade_features([replace(INCOME, significant=False)], DRIFT, blocking=())
    assert graded.measures[0].severity is Severity.PASS
    assert not graded.breaches


def test_significance_without_an_effect_passes():
    small = replace(INCOME, psi=0.01, ks=0.05)
    assert grade_features([small], DRIFT, blocking={"income"}).measures[0].severity is (
        Severity.PASS
    )


def test_an_effect_that_is_significant_at_the_warn_rate_only_warns():
    graded = grade_features([INCOME], DRIFT, blocking=())
    assert graded.measures[0].severity is Severity.WARN
    assert not graded.breaches


def test_ks_breaches_by_itself():
    graded = grade_features([replace(INCOME, psi=0.01, ks=0.25)], DRIFT, blocking={"income"})
    assert [breach.rule for breach in graded.breaches] == ["ks[income]"]


@pytest.mark.parametrize(
    ("psi", "severity"),
    [
        (0.04, Severity.PASS),
        (0.05, Severity.WARN),
        (0.1, Severity.BLOCK),
        (0.29, Severity.BLOCK),
        (0.3, Severity.SEVERE),
    ],
)
def test_prediction_drift_has_levels_of_its_own(psi: float, severity: Severity):
    graded = grade_prediction([replace(ANSWER, psi=psi)], DRIFT, blocking={"prediction"})
    assert graded.measures[0].severity is severity


def test_severe_without_significance_passes():
    jump = replace(ANSWER, psi=2.0, significant=False)
    assert grade_prediction([jump], DRIFT, blocking=()).measures[0].severity is Severity.PASS


def test_the_score_and_the_answer_are_one_rule():
    score = replace(ANSWER, feature="score", psi=0.4)
    graded = grade_prediction([score, ANSWER], DRIFT, blocking={"score", "prediction"})
    (breach,) = graded.breaches
    assert (breach.rule, breach.value, breach.threshold) == ("prediction_psi", 0.4, 0.3)


# ----------------------------------------------------------------------------------- fairness


def test_an_excess_past_the_level_breaches_and_says_who():
    (breach,) = grade_fairness([GAP], FAIRNESS).breaches
    assert breach.rule == "demographic_parity_difference[race]"
    assert (breach.value, breach.threshold) == (0.28, 0.15)
    assert breach.sentence == (
        "people with race not white were selected 31% of the time, those with race white 57%"
    )
    assert breach.groups == ("white", "not white")


def test_an_intersection_has_a_rule_of_its_own():
    both = replace(GAP, attributes=("sex", "race"))
    (breach,) = grade_fairness([both], FAIRNESS).breaches
    assert breach.rule == "demographic_parity_difference[sex & race]"


def test_a_gap_that_stands_in_the_reference_is_shown_and_passes():
    standing = replace(GAP, baseline=0.28, excess=0.02, excess_lower=0.0)
    graded = grade_fairness([standing], FAIRNESS)
    assert graded.measures[0].severity is Severity.PASS
    assert graded.measures[0].value == 0.3
    assert not graded.breaches
    assert not graded.suspected


def test_without_a_reference_the_absolute_gap_is_judged():
    alone = replace(GAP, baseline=None, excess=None, excess_lower=None)
    (breach,) = grade_fairness([alone], FAIRNESS).breaches
    assert breach.value == 0.3


def test_an_estimate_past_the_level_that_may_be_chance_is_suspected_and_no_alarm():
    graded = grade_fairness([replace(GAP, excess_lower=0.0)], FAIRNESS)
    assert [breach.rule for breach in graded.suspected] == ["demographic_parity_difference[race]"]
    assert not graded.breaches
    assert graded.measures[0].severity is Severity.PASS


def test_an_estimate_past_the_level_that_is_surely_not_zero_warns():
    graded = grade_fairness([replace(GAP, excess_lower=0.03)], FAIRNESS)
    assert graded.measures[0].severity is Severity.WARN
    assert graded.suspected
    assert not graded.breaches


def test_a_gap_that_cannot_be_measured_passes():
    nothing = FairnessMeasure(attributes=("race",), metric="demographic_parity_difference")
    assert grade_fairness([nothing], FAIRNESS).measures[0].severity is Severity.PASS


def test_a_ratio_breaches_only_where_its_upper_limit_is_below_four_fifths():
    assert grade_fairness([RATIO], FAIRNESS).breaches[0].rule == "disparate_impact[race]"
    assert not grade_fairness([replace(RATIO, upper=0.85)], FAIRNESS).breaches


def test_a_ratio_of_groups_that_expect_too_few_favourable_answers_is_not_judged():
    assert not grade_fairness([replace(RATIO, upper=None)], FAIRNESS).breaches


def test_a_ratio_that_stands_in_the_reference_breaches_only_below_four_fifths_of_it():
    standing = replace(RATIO, baseline=0.6)
    assert not grade_fairness([standing], FAIRNESS).breaches
    (breach,) = grade_fairness([replace(standing, upper=0.4)], FAIRNESS).breaches
    assert breach.threshold == pytest.approx(0.48)


def test_a_class_of_many_is_judged_by_the_same_levels():
    one = replace(GAP, metric="demographic_parity_difference[approve]", excess=0.14)
    strict = FAIRNESS.model_copy(update={"difference": QUALITY.unseen})
    assert not grade_fairness([one], strict).breaches


# ------------------------------------------------------------------------------------ quality


def test_a_surge_is_graded_by_how_much_the_share_grew():
    graded = grade_quality([SURGE, replace(SURGE, share=0.3)], QUALITY)
    assert [finding.severity for finding in graded.measures] == [Severity.BLOCK, Severity.WARN]
    (breach,) = graded.breaches
    assert breach.rule == "zero_surge[MIL]"
    assert breach.groups == ("not white",)
    assert breach.value == pytest.approx(0.43)


def test_a_check_without_a_level_keeps_its_severity():
    odd = Finding(check="foreign", feature="a", share=1.0, baseline_share=0.1)
    assert grade_quality([odd], QUALITY).measures[0].severity is Severity.WARN


def test_a_column_that_became_constant_is_judged_as_a_surge_of_its_value():
    constant = Finding(check="constant", feature="a", share=1.0, baseline_share=0.1)
    assert grade_quality([constant], QUALITY).breaches[0].rule == "constant[a]"

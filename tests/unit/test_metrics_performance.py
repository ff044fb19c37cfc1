"""Performance by labels is scikit-learn's, with limits that hold as often as they say."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from monitor.metrics.performance import Measured, Outcome, loss, measure_performance

Z = 1.959964


def outcome(answer, truth, score=None, positive="1") -> Outcome:
    score = None if score is None else np.asarray(score, np.float64)
    return Outcome(np.asarray(answer, str), np.asarray(truth, str), score, ("0", "1"), positive)


rows = st.lists(
    st.tuples(st.sampled_from("01"), st.sampled_from("01"), st.floats(0.01, 0.99)),
    min_size=4,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_a_classifiers_measures_are_those_of_scikit_learn(table):
    answer, truth, score = (list(column) for column in zip(*table, strict=True))
    found = measure_performance(outcome(answer, truth, score), Z)
    right = np.array(truth) == "1"
    expected = {"accuracy": sk.accuracy_score(truth, answer)}
    if "1" in answer:
        expected["precision"] = sk.precision_score(truth, answer, pos_label="1")
    if "1" in truth:
        expected["recall"] = sk.recall_score(truth, answer, pos_label="1")
    if "1" in answer + truth:
        expected["f1"] = sk.f1_score(truth, answer, pos_label="1")
    if len(set(truth)) == 2:
        expected["auc"] = sk.roc_auc_score(right, score)
    expected["brier"] = sk.brier_score_loss(right, score)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected["log_loss"] = sk.log_loss(right, score, labels=[False, True])
    assert {n: one.value for n, one in found.items() if n != "calibration_error"} == pytest.approx(
        expected
    )
    for one in found.values():
        assert one.lower <= one.value + 1e-12
        assert one.value <= one.upper + 1e-12


def test_a_regressions_measures_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    truth = random.normal(size=500)
    answer = truth + random.normal(0.3, 1, size=500)
    found = measure_performance(Outcome(answer, truth, None, (), None), Z)
    assert found["mae"].value == pytest.approx(sk.mean_absolute_error(truth, answer))
    assert found["rmse"].value == pytest.approx(sk.root_mean_squared_error(truth, answer))
    assert found["bias"].value == pytest.approx(np.mean(answer - truth))
    assert found["bias"].lower > 0


def test_of_more_than_two_classes_each_has_its_precision_and_recall():
    answer, truth = np.array(list("aabbcc")), np.array(list("aabcca"))
    found = measure_performance(Outcome(answer, truth, None, ("a", "b", "c"), None), Z)
    assert found["precision[a]"].value == 1.0
    assert found["recall[a]"].value == pytest.approx(2 / 3)
    assert set(found) == {
        "accuracy",
        *(f"{m}[{c}]" for m in ("precision", "recall") for c in "abc"),
    }


def test_scores_that_are_no_probabilities_have_no_score_measures():
    found = measure_performance(outcome(["0", "1"], ["0", "1"], [-3.0, 4.0]), Z)
    assert set(found) == {"accuracy", "precision", "recall", "f1"}


def test_nothing_labelled_measures_nothing():
    assert measure_performance(outcome([], []), Z) == {}


def test_the_limits_of_the_area_under_the_curve_hold_as_often_as_they_say():
    random = np.random.default_rng(2)
    held, true_area = 0, 0.7602  # of N(0, 1) against N(1, 1): Phi(1 / sqrt 2)
    for _ in range(300):
        truth = random.random(300) < 0.3
        score = 1 / (1 + np.exp(-random.normal(truth.astype(float))))
        one = measure_performance(outcome(truth.astype(int), truth.astype(int), score), Z)["auc"]
        held += one.lower <= true_area <= one.upper
    assert 0.90 <= held / 300 <= 0.985


def test_calibrated_scores_show_no_calibration_error_and_shifted_ones_do():
    random = np.random.default_rng(3)
    chance = random.random(4000)
    truth = (random.random(4000) < chance).astype(int)
    honest = measure_performance(outcome(truth, truth, chance), Z)["calibration_error"]
    shifted = measure_performance(outcome(truth, truth, np.clip(chance + 0.2, 0, 1)), Z)
    assert honest.value < 0.02
    assert shifted["calibration_error"].lower > 0.1


def test_a_loss_counts_from_the_baseline_and_a_relative_one_by_its_share():
    then, now = Measured(0.5, 0.49, 0.51, 9000), Measured(0.6, 0.58, 0.62, 900)
    assert float(loss("accuracy", now, then, Z).value) == pytest.approx(-0.1)
    assert float(loss("log_loss", now, then, Z).value) == pytest.approx(0.2)
    bias = loss("bias", Measured(-3, -4, -2, 90), Measured(1, 0.5, 1.5, 90), Z, unit=2.0)
    assert float(bias.value) == pytest.approx(1.0)

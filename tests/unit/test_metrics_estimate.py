"""The estimate of accuracy before labels come: what it is good for, when it is withheld, and what it cannot see."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.isotonic import IsotonicRegression

from benchmarks.estimate import ROLES, answered, columns_of
from monitor.baselines import decode_baseline, encode_baseline, hash_of
from monitor.demo.census import LABEL, break_feed, load_census
from monitor.demo.models import train_versions
from monitor.desk.baseline import make_baseline
from monitor.events import ModelVersion
from monitor.metrics.estimate import Calibrator, calibrator_of, estimate_accuracy, fit_calibrator
from monitor.policy.estimated import NOTE
from monitor.policy.judge import judge
from monitor.policy.model import ModelPolicy
from monitor.policy.verdict import decide
from monitor.profiles.frames import profile_frame
from monitor.reports import Window
from tests.conftest import REPOSITORY

SUBJECT = ModelVersion("census", "2")


def calibrated(n: int = 20_000, seed: int = 0):
    random = np.random.default_rng(seed)
    score = random.random(n)
    return score, score >= 0.5, random.random(n) < score


def test_the_calibrator_is_scikit_learns_isotonic_regression():
    score, answer, truth = calibrated()
    made = fit_calibrator(score**2, score**2 >= 0.25, truth)
    assert isinstance(made, Calibrator)
    oracle = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score**2, truth)
    at = np.linspace(0.01, 0.99, 99)
    assert np.interp(at, made.scores, made.chances) == pytest.approx(oracle.predict(at), abs=1e-9)
    assert answer.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        (lambda s: s[:500], "too few"),
        (lambda s: s * 3, "no probabilities"),
        (lambda s: 1 - s, "do not follow the score"),
    ],
)
def test_for_a_model_whose_scores_say_nothing_it_is_off_and_says_why(scores, why):
    score, answer, truth = calibrated()
    changed = scores(score)
    n = len(changed)
    found = fit_calibrator(changed, answer[:n], truth[:n])
    assert isinstance(found, str)
    assert why in found


def test_scores_that_are_not_calibrated_enough_switch_it_off(monkeypatch):
    monkeypatch.setattr("monitor.metrics.estimate.LARGEST_ERROR", -1.0)
    found = fit_calibrator(*calibrated())
    assert isinstance(found, str)
    assert "not calibrated enough" in found


@pytest.fixture(scope="module")
def census():
    people = load_census(REPOSITORY / "examples" / "census")
    _, candidate = train_versions(people)
    frame = candidate.reference[columns_of(candidate)]
    made = make_baseline(frame, ROLES, SUBJECT, ModelPolicy(), created_at="")
    return people, candidate, made


def report_of(rows, baseline):
    profile = profile_frame(rows, baseline.layout, prediction="prediction", score="score")
    policy = ModelPolicy()
    return judge(SUBJECT, Window(0.0, 300.0), 0, profile, baseline, policy=policy, policy_sha256="")


def test_on_people_of_later_years_the_estimate_is_within_two_points(census):
    people, candidate, baseline = census
    rows = answered(candidate, people.production.iloc[:6000])
    report = report_of(rows, baseline)
    assert report.estimate is not None
    calibrator = calibrator_of(baseline.notes[NOTE])
    profile = profile_frame(rows, baseline.layout, prediction="prediction", score="score")
    said = estimate_accuracy(profile.score, calibrator)
    assert said == pytest.approx((rows["prediction"] == rows[LABEL]).mean(), abs=0.02)
    assert report.estimate.accuracy in {None, said}


def test_it_is_blind_to_the_demos_fault_withheld_there_and_moves_no_verdict(census):
    people, candidate, baseline = census
    broken = answered(candidate, break_feed(people.production.iloc[75_000:78_000]))
    harmed = broken[broken["race"] == "not white"]
    profile = profile_frame(harmed, baseline.layout, prediction="prediction", score="score")
    said = estimate_accuracy(profile.score, calibrator_of(baseline.notes[NOTE]))
    assert said > 0.8  # sure of itself
    assert (harmed["prediction"] == harmed[LABEL]).mean() < 0.65  # and wrong
    report = report_of(broken, baseline)
    assert report.estimate.accuracy is None
    assert "MIL" in report.estimate.withheld
    assert report.breaches
    told = [
        decide([one], lambda _: None, baseline, ModelPolicy(), policy_sha256="")
        for one in (report, replace(report, estimate=None))
    ]
    assert told[0] == told[1]


def test_the_calibrator_is_kept_with_the_baseline_as_plain_numbers(census):
    *_, baseline = census
    data = encode_baseline(baseline)
    read = decode_baseline(data, sha256=hash_of(data))
    assert calibrator_of(read.notes[NOTE]) == calibrator_of(baseline.notes[NOTE])
    assert b"pickle" not in data

from __future__ import annotations

import numpy as np
import pytest

from monitor.baselines import Baseline
from monitor.errors import LayoutMismatch
from monitor.events import ModelVersion
from monitor.policy.judge import judge, judge_baseline
from monitor.policy.model import ModelPolicy
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.profile import Profile
from monitor.profiles.sketch import CategorySketch, NumericSketch
from monitor.reports import Report, Severity, Status, Window

SUBJECT = ModelVersion("credit", "2")
POLICY = ModelPolicy()
LAYOUT = Layout(
    features=(
        Column(name="income", kind=Kind.NUMERIC, edges=tuple(np.linspace(-5, 5, 201))),
        Column(name="job", kind=Kind.CATEGORICAL, categories=("a", "b", "c")),
    ),
    prediction=Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1")),
    groups=("race",),
)


def profile(
    n: int, *, seed: int, shift: float = 0.0, rates: tuple[float, float] = (0.5, 0.48)
) -> Profile:
    """People with a normal income, one of three jobs, and answers by race."""
    random = np.random.default_rng(seed)
    made = Profile.empty(LAYOUT)
    income, job, prediction = made.sketches
    assert isinstance(income, NumericSketch)
    assert isinstance(job, CategorySketch)
    assert isinstance(prediction, CategorySketch)
    income.add(random.normal(shift, 1, n))
    job.add(dict(zip("abc", random.multinomial(n, [0.5, 0.3, 0.2]).tolist(), strict=True)))
    for group, size, rate in (("white", n - n // 5, rates[0]), ("other", n // 5, rates[1])):
        chosen = int(random.binomial(size, rate))
        answers = {"1": chosen, "0": size - chosen}
        made.cell((group,)).add_outcomes({(answer, ""): k for answer, k in answers.items()})
        prediction.add(answers)
    made.n = n
    return made


BASELINE = Baseline("credit", "2", profile(20_000, seed=1), "1", "", {}, sha256="b")


def report_of(
    current: Profile, baseline: Baseline | None = BASELINE, policy: ModelPolicy = POLICY
) -> Report:
    return judge(
        SUBJECT,
        Window(0, 300),
        3,
        current,
        baseline,
        policy=policy,
        policy_sha256="p",
        closed_at=330.5,
        partition=4,
        offset=99,
    )


def test_a_window_like_its_baseline_passes_with_every_measure_shown():
    report = report_of(profile(1500, seed=2))
    assert (report.status, report.severity, report.breaches) == (Status.OK, Severity.PASS, ())
    assert [column.feature for column in report.drift] == ["income", "job"]
    assert [column.feature for column in report.prediction_drift] == ["prediction"]
    assert {measure.metric for measure in report.fairness} == {
        "demographic_parity_difference",
        "disparate_impact",
    }


def test_a_report_says_of_what_and_by_what_it_was_judged():
    report = report_of(profile(1500, seed=2))
    assert (report.n, report.n_reference, report.revision) == (1500, 20_000, 3)
    assert (report.baseline_sha256, report.policy_sha256) == ("b", "p")
    assert (report.closed_at, report.partition, report.offset) == (330.5, 4, 99)


def test_a_shifted_feature_blocks():
    report = report_of(profile(1500, seed=2, shift=1.0))
    assert {breach.rule for breach in report.breaches} >= {"psi[income]", "ks[income]"}
    assert report.severity is Severity.BLOCK


def test_an_unfair_window_blocks_and_carries_the_absolute_and_the_excess_gap():
    report = report_of(profile(1500, seed=2, rates=(0.6, 0.2)))
    rules = {breach.rule for breach in report.breaches}
    assert "demographic_parity_difference[race]" in rules
    assert "disparate_impact[race]" in rules
    measure = report.fairness[0]
    assert measure.value is not None
    assert measure.excess is not None
    assert measure.value > measure.excess > 0.3


def test_a_jump_of_the_answers_is_severe():
    report = report_of(profile(1500, seed=2, rates=(0.9, 0.88)))
    assert report.severity is Severity.SEVERE
    assert report.breaches[0].rule == "prediction_psi"


def test_a_window_below_min_events_is_measured_and_not_graded():
    report = report_of(profile(199, seed=2, shift=3.0, rates=(0.9, 0.0)))
    assert (report.status, report.severity) == (Status.INSUFFICIENT, Severity.INSUFFICIENT)
    assert (report.breaches, report.suspected) == ((), ())
    assert report.drift[0].psi is not None
    assert report.drift[0].severity is Severity.PASS


def test_a_window_of_no_events_is_insufficient():
    assert report_of(Profile.empty(LAYOUT)).status is Status.INSUFFICIENT


def test_without_a_baseline_the_groups_are_shown_and_nothing_is_graded():
    report = report_of(profile(1500, seed=2, rates=(0.9, 0.1)), baseline=None)
    assert (report.status, report.severity) == (Status.NO_BASELINE, Severity.INSUFFICIENT)
    assert report.breaches == ()
    assert report.fairness[0].groups["other"].n == 300


def test_a_profile_of_other_columns_is_refused():
    other = Profile.empty(Layout(features=(), prediction=LAYOUT.prediction))
    with pytest.raises(LayoutMismatch):
        report_of(other)


def test_the_standing_gap_is_judged_when_a_version_is_registered():
    unfair = Baseline("credit", "2", profile(20_000, seed=1, rates=(0.6, 0.3)), "1", "", {})
    assert {breach.rule for breach in judge_baseline(unfair, POLICY).breaches} == {
        "demographic_parity_difference[race]",
        "disparate_impact[race]",
    }
    assert judge_baseline(BASELINE, POLICY).breaches == ()
    # Ever after it is standing: a window just like it is no fault of its day.
    assert report_of(profile(1500, seed=2, rates=(0.6, 0.3)), unfair).breaches == ()

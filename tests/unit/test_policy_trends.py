"""From closed windows to a warning about many of them, which people are told of once, and which undoes nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.baselines import Baseline
from monitor.policy.judge import judge
from monitor.policy.model import ModelPolicy, TrendRules
from monitor.policy.severity import is_block
from monitor.policy.trends import REMEMBERED, History, Point, remember, with_trends
from monitor.policy.verdict import decide
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.profile import Profile
from monitor.reports import Action, Family, Severity, Status, Window

LAYOUT = Layout(
    features=(Column(name="income", kind=Kind.NUMERIC, edges=tuple(np.linspace(-5, 5, 101))),),
    prediction=Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1")),
    score=Column(name="score", kind=Kind.NUMERIC, edges=tuple(np.linspace(0, 1, 101))),
    groups=("sex",),
)
RULES = TrendRules(reference=10)
POLICY = ModelPolicy(trend=RULES)
LENGTH = 300.0


def profile(n, rng, *, score=0.0, gap=0.0, missing=0.0):
    made = Profile.empty(LAYOUT)
    income = rng.normal(size=n)
    income[rng.random(n) < missing] = np.nan
    made.sketches[0].add(income)
    made.sketches[1].add(np.clip(rng.normal(0.5 + score, 0.1, n), 0, 1))
    for sex, size, rate in (("man", n // 2, 0.5), ("woman", n - n // 2, 0.5 - gap)):
        chosen = int(rng.binomial(size, rate))
        answers = {"1": chosen, "0": size - chosen}
        made.cell((sex,)).add_outcomes({(answer, ""): k for answer, k in answers.items()})
        made.sketches[2].add(answers)
    made.n = n
    return made


BASELINE = Baseline(
    "credit", "2", profile(20_000, np.random.default_rng(1)), "1", "", {}, sha256="b"
)


def reports_of(faults, n=2000, policy=POLICY, seed=2):
    """Judge a window for each dict of faults; return the reports and what is remembered in the end."""
    rng, history, reports = np.random.default_rng(seed), History(), []
    for number, fault in enumerate(faults):
        window = Window(number * LENGTH, (number + 1) * LENGTH)
        current = profile(n, rng, **fault)
        report = judge(
            BASELINE.subject, window, 0, current, BASELINE, policy=policy, policy_sha256=""
        )
        history = remember(history, report, current, BASELINE, policy)
        reports.append(with_trends(report, history, policy))
    return reports, history


def trends(report):
    return [breach for breach in report.breaches if breach.family is Family.TREND]


def creeping(what, end, *, clean=12, windows=40):
    return [{}] * clean + [{what: end * i / windows} for i in range(windows)]


@pytest.fixture(scope="module")
def crept():
    return reports_of(creeping("score", 0.02), n=4000)


@pytest.mark.parametrize(
    ("what", "end", "rule"),
    [
        ("gap", 0.06, "trend[demographic_parity_difference[sex]]"),
        ("missing", 0.018, "trend[missing]"),
    ],
)
def test_what_no_window_shows_by_itself_is_a_warning_of_its_own_kind(what, end, rule):
    reports, _ = reports_of(creeping(what, end), n=4000)
    assert not any(is_block(report.severity) for report in reports)
    assert reports[-1].severity is Severity.WARN
    (breach,) = trends(reports[-1])
    assert breach.rule == rule
    assert breach.severity is Severity.WARN
    assert breach.value >= breach.threshold
    assert "has crept from" in breach.sentence
    assert ("most in income" in breach.sentence) is (what == "missing")


def test_a_creeping_score_is_said_in_standard_deviations(crept):
    reports, _ = crept
    breach = trends(reports[-1])[0]
    assert breach.rule == "trend[score_mean]"
    assert breach.value == pytest.approx(0.18, abs=0.04)
    assert "baseline standard deviations" in breach.sentence


def test_windows_without_change_warn_of_nothing():
    reports, _ = reports_of([{}] * 50)
    assert [report.severity for report in reports] == [Severity.PASS] * 50


def test_there_is_no_trend_before_the_version_has_its_own_normal():
    reports, history = reports_of([{}] * 9)
    assert len(history.reference) == 9
    assert not history.later
    assert not any(trends(report) for report in reports)


def test_what_the_window_says_by_itself_is_not_said_twice():
    reports, _ = reports_of([{}] * 12 + [{"gap": 0.3}] * 15)
    assert Family.FAIRNESS in {breach.family for breach in reports[-1].breaches}
    assert not [breach for breach in trends(reports[-1]) if "parity" in breach.rule]


def test_people_are_told_of_a_trend_once_and_nothing_is_rolled_back(crept):
    reports, _ = crept
    verdicts = [
        decide(reports[: end + 1], lambda _: None, BASELINE, POLICY, policy_sha256="")
        for end in range(len(reports))
    ]
    asked = [verdict for verdict in verdicts if verdict.action is not Action.NONE]
    assert {(verdict.action, verdict.family) for verdict in asked} == {
        (Action.NOTIFY, Family.TREND)
    }
    rules = [verdict.rule for verdict in asked]
    assert len(rules) == len(set(rules))


def test_a_window_that_was_not_judged_is_not_remembered():
    rng = np.random.default_rng(3)
    current = profile(50, rng)
    report = judge(
        BASELINE.subject, Window(0, 300), 0, current, BASELINE, policy=POLICY, policy_sha256=""
    )
    assert report.status is Status.INSUFFICIENT
    assert remember(History(), report, current, BASELINE, POLICY) == History()
    assert with_trends(report, History(), POLICY) == report


def test_a_window_that_did_not_pass_is_no_part_of_the_normal():
    _, history = reports_of([{"gap": 0.4}] * 2 + [{}] * 12)
    assert [point.window.start / LENGTH for point in history.reference] == [*range(2, 12)]


def test_a_late_revision_takes_the_place_of_its_window_and_a_merger_of_its_parts():
    history = History()
    for number in range(14):
        history = history.add(point(number, number + 1, 1.0), clean=True, reference=10)
    history = history.add(point(12, 13, 7.0), clean=True, reference=10)
    assert [p.values["x"] for p in history.later] == [1, 1, 7, 1]
    history = history.add(point(11, 13, 9.0), clean=True, reference=10)
    assert [p.window.start for p in history.later] == [10, 11, 13]


def test_a_revision_is_judged_as_of_its_own_time(crept):
    reports, history = crept
    assert trends(reports[-1])
    early = msgspec.structs.replace(reports[20], revision=1)
    assert not trends(with_trends(early, history, POLICY))


def point(start, stop, value):
    return Point(Window(float(start), float(stop)), {"x": value})


@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=60))
def test_whatever_comes_the_history_is_in_order_bounded_and_holds_no_window_twice(steps):
    history = History()
    for start, clean in steps:
        history = history.add(point(start, start + 1, 0.0), clean=clean, reference=10)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(history), type=History) == history
    for points in (history.reference, history.later):
        assert list(points) == sorted(points, key=lambda p: p.window)
    windows = [p.window for p in (*history.reference, *history.later)]
    assert len(windows) == len(set(windows))
    assert len(history.reference) <= 10
    assert len(history.later) <= REMEMBERED


def test_only_the_last_windows_are_kept():
    history = History()
    for number in range(REMEMBERED + 50):
        history = history.add(point(number, number + 1, 0.0), clean=True, reference=10)
    assert len(history.later) == REMEMBERED
    assert history.reference[0].window.start == 0

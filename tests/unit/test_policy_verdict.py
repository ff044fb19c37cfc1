from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.baselines import Baseline
from monitor.policy.model import FalseDiscovery, ModelPolicy, WindowRules
from monitor.policy.verdict import decide
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.profile import Profile
from monitor.reports import (
    Action,
    Breach,
    ColumnDrift,
    FairnessMeasure,
    Family,
    Report,
    Severity,
    Status,
    Verdict,
    Window,
)

LENGTH = 300.0
POLICY = ModelPolicy(windows=WindowRules(length=LENGTH, max_length=600))
LAYOUT = Layout(
    features=(),
    prediction=Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1")),
    groups=("race",),
)
PARITY = "demographic_parity_difference[race]"
FAIRNESS = Breach(
    rule=PARITY, family=Family.FAIRNESS, severity=Severity.BLOCK, value=0.3, threshold=0.15
)
PREDICTION = Breach(
    rule="prediction_psi",
    family=Family.PREDICTION,
    severity=Severity.BLOCK,
    value=0.15,
    threshold=0.1,
)
SEVERE = replace(PREDICTION, severity=Severity.SEVERE, value=0.5, threshold=0.3)
FEATURE = Breach(
    rule="psi[income]", family=Family.DRIFT, severity=Severity.BLOCK, value=0.4, threshold=0.2
)
QUALITY = Breach(
    rule="missing_surge[income]",
    family=Family.QUALITY,
    severity=Severity.BLOCK,
    value=0.4,
    threshold=0.1,
)
ACCURACY = Breach(
    rule="accuracy", family=Family.PERFORMANCE, severity=Severity.BLOCK, value=0.4, threshold=0.2
)
INCOME_DRIFTED = ColumnDrift(feature="income", kind="numeric", psi=0.4, severity=Severity.BLOCK)
MEASURE = FairnessMeasure(attributes=("race",), metric="demographic_parity_difference", value=0.3)


def profile(white: float, other: float, n: int = 1000) -> Profile:
    made = Profile.empty(LAYOUT)
    for group, size, rate in (("white", n, white), ("other", n // 4, other)):
        chosen = round(size * rate)
        made.cell((group,)).add_outcomes({("1", ""): chosen, ("0", ""): size - chosen})
    made.n = n + n // 4
    return made


BASELINE = Baseline("credit", "2", profile(0.5, 0.48, 20_000), "1", "2026-01-01T00:00:00Z", {})
UNFAIR, FAIR = profile(0.5, 0.2), profile(0.5, 0.47)


def window(index: float, length: float = LENGTH) -> Window:
    return Window(index * LENGTH, index * LENGTH + length)


def report(
    index: float,
    *breaches: Breach,
    suspected: Sequence[Breach] = (),
    drift: Sequence[ColumnDrift] = (),
    status: Status = Status.OK,
    revision: int = 0,
    length: float = LENGTH,
) -> Report:
    return Report(
        model="credit",
        version="2",
        window=window(index, length),
        revision=revision,
        status=status,
        severity=Severity.BLOCK if breaches else Severity.PASS,
        n=1250,
        n_reference=25_000,
        drift=tuple(drift),
        fairness=(MEASURE,),
        breaches=breaches,
        suspected=tuple(suspected),
    )


def verdict_of(
    *reports: Report,
    policy: ModelPolicy = POLICY,
    merged: Profile | None = UNFAIR,
    baseline: Baseline | None = BASELINE,
    news: Window | None = None,
) -> Verdict:
    return decide(reports, lambda _: merged, baseline, policy, policy_sha256="p", news=news)


def policy(**changes: object) -> ModelPolicy:
    return POLICY.model_copy(update=changes)


def insufficient(index: float) -> Report:
    return report(index, status=Status.INSUFFICIENT)


# ------------------------------------------------------------------------------------- streaks


def test_a_clean_window_asks_for_nothing():
    verdict = verdict_of(report(0))
    assert (verdict.action, verdict.rule, verdict.severity) == (Action.NONE, None, Severity.PASS)


def test_fewer_windows_than_the_policy_asks_for_do_nothing_but_are_counted():
    verdict = verdict_of(report(0, FAIRNESS), report(1, FAIRNESS))
    assert (verdict.action, verdict.streak, verdict.reason) == (
        Action.NONE,
        2,
        "2 of 3 windows in a row",
    )


def test_three_unfair_windows_in_a_row_roll_back_and_say_which_and_how_much():
    verdict = verdict_of(*(report(i, FAIRNESS) for i in range(3)))
    assert verdict.action is Action.ROLLBACK
    assert verdict.windows == (window(0), window(1), window(2))
    assert verdict.values == (0.3, 0.3, 0.3)
    assert verdict.lower_bound is not None
    assert verdict.lower_bound > POLICY.fairness.demographic_parity_difference.warn


def test_a_clean_window_between_resets_the_streak():
    verdict = verdict_of(report(0, FAIRNESS), report(1, FAIRNESS), report(2), report(3, FAIRNESS))
    assert (verdict.action, verdict.streak) == (Action.NONE, 1)


def test_an_insufficient_window_neither_counts_nor_resets():
    two = verdict_of(report(0, FAIRNESS), insufficient(1), report(2, FAIRNESS))
    three = verdict_of(
        report(0, FAIRNESS), insufficient(1), report(2, FAIRNESS), report(3, FAIRNESS)
    )
    assert (two.streak, two.action) == (2, Action.NONE)
    assert (three.streak, three.action) == (3, Action.ROLLBACK)


def test_an_insufficient_newest_window_asks_for_nothing():
    verdict = verdict_of(*(report(i, FAIRNESS) for i in range(3)), insufficient(3))
    assert (verdict.action, verdict.rule) == (Action.NONE, None)
    assert verdict.reason == "1250 events are too few to judge"


def test_a_streak_lapses_after_n_times_the_longest_window():
    # Three windows of at most 600 s: what is older than 1,800 s has lapsed.
    near = verdict_of(report(0, FAIRNESS), report(2, FAIRNESS), report(5, FAIRNESS))
    far = verdict_of(report(0, FAIRNESS), report(2, FAIRNESS), report(6, FAIRNESS))
    assert (near.streak, far.streak) == (3, 2)


def test_windows_measured_against_another_baseline_continue_no_streak():
    reports = [replace(report(i, FAIRNESS), baseline_sha256="old") for i in range(2)]
    assert verdict_of(*reports, replace(report(2, FAIRNESS), baseline_sha256="new")).streak == 1


def test_a_streak_without_gaps_does_not_lapse_however_long_it_is():
    assert verdict_of(*(report(i, FAIRNESS) for i in range(20))).streak == 20


def test_a_merged_window_counts_once():
    verdict = verdict_of(
        report(0, FAIRNESS), report(1, FAIRNESS), report(0, FAIRNESS, length=2 * LENGTH)
    )
    assert verdict.streak == 1


def test_another_rule_does_not_continue_a_streak():
    verdict = verdict_of(report(0, FEATURE), report(1, QUALITY), report(2, FEATURE))
    assert verdict.streak == 1


def test_a_revision_may_cancel_a_breach_and_with_it_the_streak():
    reports = [report(i, FAIRNESS) for i in range(3)]
    assert verdict_of(*reports).action is Action.ROLLBACK
    assert verdict_of(*reports, report(1, revision=1)).streak == 1


def test_a_late_revision_that_completes_a_streak_is_told():
    reports = [report(0, FEATURE), report(1, FEATURE, revision=1)]
    reports += [report(i, FEATURE) for i in range(2, 5)]
    assert verdict_of(*reports).action is Action.NONE
    assert verdict_of(*reports, news=window(1)).action is Action.NOTIFY


# ------------------------------------------------------------------------------------ fairness


def test_fairness_is_held_back_where_the_windows_together_prove_no_excess():
    verdict = verdict_of(*(report(i, FAIRNESS) for i in range(3)), merged=FAIR)
    assert verdict.action is Action.NOTIFY
    assert verdict.lower_bound == 0
    assert "0.05 is asked for" in verdict.reason


def test_suspicion_that_the_windows_together_do_not_prove_is_on_record_only():
    verdict = verdict_of(*(report(i, suspected=[FAIRNESS]) for i in range(3)), merged=FAIR)
    assert (verdict.action, verdict.severity) == (Action.RECORD, Severity.PASS)


def test_suspicion_that_the_windows_together_prove_rolls_back():
    verdict = verdict_of(*(report(i, suspected=[FAIRNESS]) for i in range(3)))
    assert verdict.action is Action.ROLLBACK


def test_a_gap_that_the_reference_has_too_does_not_roll_back():
    standing = Baseline("credit", "2", profile(0.5, 0.2, 20_000), "1", "", {})
    verdict = verdict_of(*(report(i, FAIRNESS) for i in range(3)), baseline=standing)
    assert verdict.action is not Action.ROLLBACK


def test_the_bound_is_asked_of_the_last_n_windows_together():
    asked = []

    def merged(windows: Sequence[Window]) -> Profile:
        asked.append(tuple(windows))
        return UNFAIR

    reports = [report(i, FAIRNESS) for i in range(5)]
    decide(reports, merged, BASELINE, POLICY, policy_sha256="p")
    assert asked[0] == (window(2), window(3), window(4))


def test_a_proof_is_as_sure_as_the_policy_asks():
    windows = [report(i, FAIRNESS) for i in range(3)]
    bounds = [
        verdict_of(*windows, policy=policy(false_discovery=FalseDiscovery(rollback=rate)))
        for rate in (0.05, 0.001, 1e-4)
    ]
    lower = [verdict.lower_bound for verdict in bounds]
    assert lower == sorted(lower, reverse=True)
    assert len(set(lower)) == 3
    assert verdict_of(*windows).lower_bound == lower[-1]


def test_windows_no_longer_kept_prove_nothing():
    verdict = verdict_of(*(report(i, FAIRNESS) for i in range(3)), merged=None)
    assert verdict.action is Action.NOTIFY


# ---------------------------------------------------------------------------------- prediction


def test_three_windows_of_prediction_drift_roll_back():
    assert verdict_of(*(report(i, PREDICTION) for i in range(3))).action is Action.ROLLBACK


def test_prediction_drift_that_a_change_of_people_explains_notifies_and_says_why():
    verdict = verdict_of(*(report(i, PREDICTION, drift=[INCOME_DRIFTED]) for i in range(3)))
    assert verdict.action is Action.NOTIFY
    assert "income" in verdict.reason


def test_a_feature_that_the_target_lacks_explains_nothing():
    verdict = verdict_of(
        *(report(i, PREDICTION, drift=[INCOME_DRIFTED]) for i in range(3)),
        policy=policy(target_lacks=("income",)),
    )
    assert verdict.action is Action.ROLLBACK


def test_one_explained_window_of_the_last_three_holds_a_rollback_back():
    explained = [report(0, PREDICTION, drift=[INCOME_DRIFTED])]
    assert verdict_of(*explained, report(1, PREDICTION), report(2, PREDICTION)).action is (
        Action.NOTIFY
    )
    later = [*explained, *(report(i, PREDICTION) for i in range(1, 4))]
    assert verdict_of(*later).action is Action.ROLLBACK


def test_severe_prediction_drift_acts_at_once():
    verdict = verdict_of(report(0), report(1, SEVERE))
    assert (verdict.action, verdict.severity) == (Action.ROLLBACK, Severity.SEVERE)


def test_severe_prediction_drift_that_is_explained_notifies_at_once_and_once():
    first = report(0, SEVERE, drift=[INCOME_DRIFTED])
    second = report(1, SEVERE, drift=[INCOME_DRIFTED])
    assert verdict_of(first).action is Action.NOTIFY
    assert verdict_of(first, second).action is Action.NONE


# -------------------------------------------------------------------- what notifies, and how often


@pytest.mark.parametrize("breach", [FEATURE, QUALITY])
def test_feature_drift_and_quality_notify_and_never_roll_back(breach: Breach):
    verdict = verdict_of(*(report(i, breach) for i in range(3)))
    assert verdict.action is Action.NOTIFY


def test_labelled_performance_rolls_back():
    assert verdict_of(*(report(i, ACCURACY) for i in range(3))).action is Action.ROLLBACK


def test_people_are_told_once_a_streak():
    reports = [report(i, FEATURE) for i in range(6)]
    actions = [verdict_of(*reports[:count]).action for count in range(1, 7)]
    assert actions == [Action.NONE, Action.NONE, Action.NOTIFY, *[Action.NONE] * 3]


def test_people_are_told_again_when_a_streak_begins_anew():
    reports = [report(i, FEATURE) for i in range(3)] + [report(3)]
    reports += [report(i, FEATURE) for i in range(4, 7)]
    assert verdict_of(*reports).action is Action.NOTIFY


def test_people_are_told_again_when_prediction_drift_turns_severe():
    reports = [report(i, PREDICTION, drift=[INCOME_DRIFTED]) for i in range(4)]
    reports.append(report(4, SEVERE, drift=[INCOME_DRIFTED]))
    assert verdict_of(*reports[:4]).action is Action.NONE
    severe = verdict_of(*reports)
    assert severe.action is Action.NOTIFY
    assert severe.id != verdict_of(*reports[:4]).id


def test_a_rollback_stays_asked_for_while_its_streak_lasts():
    reports = [report(i, FAIRNESS) for i in range(6)]
    verdicts = [verdict_of(*reports[:count]) for count in range(3, 7)]
    assert {verdict.action for verdict in verdicts} == {Action.ROLLBACK}
    assert len({verdict.id for verdict in verdicts}) == 1


def test_a_rule_that_rolls_back_speaks_before_one_that_notifies():
    verdict = verdict_of(*(report(i, FEATURE, QUALITY, FAIRNESS) for i in range(3)))
    assert verdict.rule == PARITY


# ---------------------------------------------------------------------------------- the policy


def test_the_action_is_capped_by_the_policy_and_says_so():
    verdict = verdict_of(
        *(report(i, FAIRNESS) for i in range(3)), policy=policy(action=Action.NOTIFY)
    )
    assert verdict.action is Action.NOTIFY
    assert "allows no more than to notify" in verdict.reason


def test_dry_run_passes_through():
    assert verdict_of(report(0), policy=policy(dry_run=True)).dry_run


def test_a_version_without_a_baseline_is_never_acted_upon():
    reports = [report(i, FAIRNESS, status=Status.NO_BASELINE) for i in range(5)]
    verdict = verdict_of(*reports, baseline=None)
    assert verdict.action is Action.NONE
    assert "no baseline" in verdict.reason


# ----------------------------------------------------------------------------------- properties

breaches = st.lists(
    st.sampled_from([FAIRNESS, PREDICTION, SEVERE, FEATURE, QUALITY, ACCURACY]), unique_by=id
).map(lambda found: {breach.rule: breach for breach in found}.values())
statuses = st.sampled_from([Status.OK, Status.OK, Status.OK, Status.INSUFFICIENT])
histories = st.lists(
    st.tuples(breaches, statuses, st.booleans(), st.booleans()), min_size=1, max_size=12
).map(
    lambda windows: [
        report(
            index,
            *(() if is_suspected else found),
            suspected=[b for b in found if b.family is Family.FAIRNESS] if is_suspected else (),
            drift=[INCOME_DRIFTED] if explained else (),
            status=status,
            revision=7,
        )
        for index, (found, status, explained, is_suspected) in enumerate(windows)
    ]
)


@given(histories, st.randoms(use_true_random=False), st.data())
def test_a_verdict_is_a_function_of_the_latest_revisions_only(reports, random, data):
    chosen = data.draw(st.lists(st.sampled_from(reports), max_size=5))
    older = [replace(report(0, FAIRNESS), window=r.window, revision=3) for r in chosen]
    shuffled = [*reports, *older]
    random.shuffle(shuffled)
    assert verdict_of(*shuffled) == verdict_of(*reports)


@given(histories, st.sampled_from([Action.RECORD, Action.NOTIFY, Action.ROLLBACK]))
def test_no_action_ever_exceeds_the_cap(reports, cap):
    strength = list(Action)
    verdict = verdict_of(*reports, policy=policy(action=cap))
    assert strength.index(verdict.action) <= strength.index(cap)


@given(histories)
def test_feature_drift_and_quality_never_roll_back(reports):
    verdict = verdict_of(*reports)
    if verdict.action is Action.ROLLBACK:
        assert verdict.family in {Family.FAIRNESS, Family.PREDICTION, Family.PERFORMANCE}


@given(histories)
def test_fewer_than_n_windows_act_only_on_what_is_severe(reports):
    verdict = verdict_of(*reports)
    if verdict.action is not Action.NONE and verdict.severity is not Severity.SEVERE:
        assert verdict.streak >= POLICY.consecutive

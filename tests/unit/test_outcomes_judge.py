from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from fairlearn.metrics import (
    MetricFrame,
    equal_opportunity_difference,
    equalized_odds_difference,
    true_positive_rate,
)
from msgspec import structs
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    roc_auc_score,
)

from monitor.errors import BaselineAltered, StoreError
from monitor.events import ModelVersion
from monitor.outcomes.judge import LabelJudge
from monitor.predictionlog.labels import LABELS
from monitor.predictionlog.log import PredictionLog
from monitor.predictionlog.table import PredictionTable
from monitor.reports import Action, Basis, Family, Status
from tests.archive import PLAIN, TODAY, event
from tests.labels import LabelWorld, people

N = 1500


@pytest.fixture
def world(tmp_path):
    made = LabelWorld(tmp_path)
    yield made
    made.close()


def measured(report, metric: str) -> float:
    return next(m.value for m in report.performance if m.metric == metric and m.group is None)


def gap(report, metric: str, *attributes: str):
    return next(m for m in report.fairness if (m.metric, m.attributes) == (metric, attributes))


def test_labelled_measures_are_those_of_an_offline_join_by_fairlearn_and_scikit_learn(world):
    frame = world.serve(people(N, 7, wrong=0.3))
    world.label(frame.sample(frac=0.8, random_state=1))
    (report,) = world.judge.cycle().reports
    known = frame.sample(frac=0.8, random_state=1)
    truth, answer = known["label"], known["prediction"]
    assert (report.basis, report.n, report.labelled) == (Basis.LABELLED, N, len(known))
    assert measured(report, "accuracy") == pytest.approx(accuracy_score(truth, answer))
    assert measured(report, "precision") == pytest.approx(precision_score(truth, answer))
    assert measured(report, "f1") == pytest.approx(f1_score(truth, answer))
    assert measured(report, "auc") == pytest.approx(roc_auc_score(truth, known["score"]))
    assert measured(report, "brier") == pytest.approx(brier_score_loss(truth, known["score"]))
    for attribute in ("sex", "race"):
        by = {"sensitive_features": known[attribute]}
        for metric, oracle in (
            ("equal_opportunity_difference", equal_opportunity_difference),
            ("equalized_odds_difference", equalized_odds_difference),
        ):
            expected = oracle(truth, answer, **by)
            assert gap(report, metric, attribute).value == pytest.approx(expected)
        parity = MetricFrame(metrics=precision_score, y_true=truth, y_pred=answer, **by)
        expected = parity.difference()
        assert gap(report, "predictive_parity_difference", attribute).value == pytest.approx(
            expected
        )
    both = MetricFrame(
        metrics=true_positive_rate,
        y_true=truth,
        y_pred=answer,
        sensitive_features=known[["sex", "race"]],
    )
    crossed = gap(report, "equal_opportunity_difference", "sex", "race")
    assert crossed.value == pytest.approx(both.difference())
    assert crossed.lower < crossed.value < crossed.upper
    of_group = next(m for m in report.performance if m.group == "woman & white")
    chosen = known[(known["sex"] == "woman") & (known["race"] == "white")]
    assert of_group.value == pytest.approx(accuracy_score(chosen["label"], chosen["prediction"]))


def test_an_unlabelled_prediction_is_never_a_negative_one(world):
    frame = world.serve(people(N, 7))
    only_positive = frame[frame["label"] == 1]
    world.label(only_positive)
    (report,) = world.judge.cycle().reports
    recall = measured(report, "recall")
    assert measured(report, "accuracy") == recall == only_positive["prediction"].mean()
    assert measured(report, "precision") == 1.0
    assert all(m.metric != "auc" for m in report.performance)


def test_below_the_policys_coverage_a_window_is_measured_and_not_judged(world):
    frame = world.serve(people(N, 7, wrong=0.9))
    world.label(frame.head(N // 3))
    (early,) = world.judge.cycle().reports
    assert early.status is Status.INSUFFICIENT
    assert not early.breaches
    world.label(frame.tail(N - N // 3))
    (late,) = world.judge.cycle().reports
    assert (late.revision, late.status, late.coverage) == (1, Status.OK, 1.0)
    assert late.breaches


def test_a_performance_loss_in_three_windows_in_a_row_asks_for_a_rollback(world):
    for seed in range(3):
        frame = world.serve(people(N, seed + 10, wrong=0.0))
        frame["label"] = 1 - frame["label"]  # everybody is answered wrongly alike
        world.label(frame)
    done = world.judge.cycle()
    assert [len(r.breaches) > 0 for r in done.reports] == [True] * 3
    last = done.verdicts[-1]
    assert (last.action, last.streak) == (Action.ROLLBACK, 3)
    assert last.family in {Family.PERFORMANCE, Family.FAIRNESS}
    assert any(b.rule == "accuracy_loss" for b in done.reports[-1].breaches)


def test_unequal_opportunity_in_three_windows_asks_for_a_rollback_with_its_proof(world):
    for seed in range(3):
        world.label(world.serve(people(N, seed + 20, wrong=0.6)))
    verdict = world.judge.cycle().verdicts[-1]
    assert verdict.action is Action.ROLLBACK
    assert verdict.family is Family.FAIRNESS
    assert "woman" in " ".join(verdict.groups)
    assert verdict.lower_bound is not None
    assert verdict.lower_bound > 0.05


def test_fair_windows_break_no_rule(world):
    for seed in range(4):
        world.label(world.serve(people(N, seed + 30)))
    done = world.judge.cycle()
    assert len(done.reports) == 4
    assert [report.breaches for report in done.reports] == [()] * 4
    # Said all the same: what labels began is over when labels say so.
    assert {(v.action, v.rule, v.basis) for v in done.verdicts} == {
        (Action.NONE, None, Basis.LABELLED)
    }


def test_duplicates_change_nothing_and_contradictions_go_by_revision_then_time(world):
    frame = world.serve(people(N, 7))
    world.label(frame)
    (first,) = world.judge.cycle().reports
    world.label(frame)  # the same file again
    assert world.judge.cycle().reports == ()
    wrong = frame.assign(label=1 - frame["label"])
    world.label(wrong, label_time=TODAY - dt.timedelta(days=1))  # older: it does not hold
    assert world.judge.cycle().reports == ()
    world.label(wrong, revision=1, label_time=TODAY - dt.timedelta(days=2))
    (revised,) = world.judge.cycle().reports
    assert revised.revision == 1
    assert measured(revised, "accuracy") == pytest.approx(1 - measured(first, "accuracy"))


def test_a_label_waits_for_its_prediction_and_its_window(world):
    frame = people(N, 7)
    frame["prediction_id"] = [f"p-0-{row}" for row in range(N)]
    world.label(frame)
    assert world.judge.cycle().waiting == N  # no such prediction yet
    world.serve(frame.drop(columns="prediction_id"), reported=False)
    assert world.judge.cycle().waiting == N  # no window yet
    world.report(0)
    done = world.judge.cycle()
    assert (done.waiting, len(done.reports)) == (0, 1)


def test_a_label_that_never_matches_is_reported_after_the_stated_time(world, caplog):
    stray = people(2, 1).assign(prediction_id=["nobody-1", "nobody-2"])
    world.label(stray)
    assert world.judge.cycle().unmatched == ()
    world.now += 7200
    assert world.judge.cycle().unmatched == ("nobody-1", "nobody-2")


def test_a_label_of_nothing_is_given_up_after_twice_that_time(world):
    world.label(people(2, 1).assign(prediction_id=["nobody-1", "nobody-2"]))
    assert world.judge.cycle().waiting == 2
    world.now += 7201
    assert world.judge.cycle().waiting == 0
    assert world.judge.cycle().unmatched == ()


def test_a_judge_that_starts_anew_says_nothing_twice(world):
    world.label(world.serve(people(N, 7)))
    assert len(world.judge.cycle().reports) == 1
    world.new_judge()
    again = world.judge.cycle()
    assert (again.labels, again.reports) == (N, ())


class _TwoModels:
    """The same log under two names, of which the first has a fault while there is one."""

    def __init__(self, log, frozen, fault):
        self.log, self.frozen, self.fault = log, frozen, fault

    def models(self):
        return ("a", "credit")

    def news(self, _, reached):
        return self.log.news("credit", reached)

    def times(self, _, names):
        return self.log.times("credit", names)

    def window(self, subject, *about):
        if subject.model == "a" and self.fault == "a row":
            raise StoreError("its seal does not hold", where="event e-1")
        return self.log.window(subject._replace(model="credit"), *about)

    def baseline(self, version):
        if version.model == "a" and self.fault == "the baseline":
            raise BaselineAltered("its seal does not hold", where="a/1")
        return replace(self.frozen, model=version.model)


@pytest.mark.parametrize("fault", ["the baseline", "a row"])
def test_what_was_altered_of_one_version_keeps_no_other_from_being_judged(world, fault):
    world.label(world.serve(people(N, 7)))
    world.store.write([structs.replace(r, model="a") for r in world.store.reports()], [])
    two = _TwoModels(world.log, world.frozen, fault)
    judge = LabelJudge(
        two, world.store, two, world.policy, world.ear, patience=3600.0, now=lambda: world.now
    )
    done = judge.cycle()
    assert [report.model for report in done.reports] == ["credit"]
    assert done.waiting == N
    assert "its seal does not hold" in done.refused[ModelVersion("a", "1")]
    two.fault = None
    mended = judge.cycle()
    assert [report.model for report in mended.reports] == ["a"]
    assert (mended.waiting, mended.refused) == (0, {})


def test_an_event_that_came_twice_counts_once(world):
    frame = world.serve(people(N, 7))
    world.frames.pop()
    world.serve(frame.drop(columns="prediction_id"))  # the same ids once more
    world.label(frame)
    (report,) = world.judge.cycle().reports
    assert report.n == report.labelled == N


def test_a_person_who_is_erased_takes_their_labels_along(tmp_path):
    world = LabelWorld(tmp_path)
    frame = world.serve(people(20, 3))
    labels = PredictionTable(world.labels.uri, layout=LABELS, writer=PLAIN)
    labels.create()
    world.archive.write(event(1, prediction_id="theirs-4711", model_name="credit"))
    world.label(frame.head(5).assign(prediction_id=[*frame["prediction_id"][:4], "theirs-4711"]))
    log = PredictionLog(
        world.archive.table,
        world.archive.keys,
        lambda *_: None,
        actor="tester",
        now=TODAY.timestamp,
        labels=labels,
    )
    done = log.erase("person-1", world.policy)
    assert done.rows == 1
    assert sum(rows for _, _, rows in labels.partitions()) == 4
    assert not world.archive.holds("theirs-4711")
    world.close()


def test_labels_expire_with_the_time_of_predictions(tmp_path):
    world = LabelWorld(tmp_path)
    frame = world.serve(people(20, 3))
    world.label(frame.head(5), label_time=TODAY - dt.timedelta(days=500))
    world.label(frame.tail(5))
    log = PredictionLog(
        world.archive.table,
        world.archive.keys,
        lambda *_: None,
        actor="tester",
        now=TODAY.timestamp,
        labels=world.labels,
    )
    log.expire(world.policy)
    assert sum(rows for _, _, rows in world.labels.partitions()) == 5
    world.close()

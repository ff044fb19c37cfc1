"""Replaying a file: each row once, in order of its time, and sentences for what is no event."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from monitor.cli.options import roles_of
from monitor.desk.baseline import make_baseline
from monitor.desk.compare import compare_frames
from monitor.desk.replay import replay_frame
from monitor.errors import InputError
from tests.unit.engine_world import POLICY, ROLES, START, SUBJECT, baseline, people


def timed(n: int = 400) -> pd.DataFrame:
    return people(n).assign(at=START + np.linspace(0, 40, n, endpoint=False))


def replayed(frame: pd.DataFrame) -> tuple[int, list[int]]:
    roles = roles_of("prediction", "score", None, "sex", "at")
    done = replay_frame(
        frame, roles, time_column="at", subject=SUBJECT, baseline=baseline(), policy=POLICY
    )
    return done.counted, [report.n for report in done.reports]


def test_rows_that_are_named_alike_are_counted_once() -> None:
    frame = timed()
    doubled = frame.set_axis([*range(200), *range(200)])
    assert replayed(doubled) == replayed(frame) == (400, [100] * 4)


def test_rows_in_any_order_come_to_the_same_windows() -> None:
    frame = timed()
    assert replayed(frame.sample(frac=1, random_state=1)) == replayed(frame)


@pytest.mark.parametrize(
    "odd", [["a", "b"], pd.Timedelta(1, unit="s"), pd.Timestamp(0), b"x", {"a": 1}]
)
def test_a_column_that_no_event_can_hold_is_named(odd: object) -> None:
    frame = timed()
    frame["odd"] = pd.Series([odd] * len(frame), dtype=object)
    with pytest.raises(InputError, match="odd: holds values of type"):
        replayed(frame)


@pytest.mark.parametrize("time", ["yesterday", 1e20])
def test_a_time_that_cannot_be_read_is_said_in_one_line(time: object) -> None:
    with pytest.raises(InputError, match="at: a time cannot be read") as raised:
        replayed(timed().assign(at=time))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "roles",
    [("p", "p", None, ""), ("p", None, None, "sex,sex"), ("p", None, "p", ""), ("p", None, None, "a,p")],
)  # fmt: skip
def test_a_column_has_one_role(roles: tuple[str, str | None, str | None, str]) -> None:
    with pytest.raises(InputError, match="named for two roles"):
        roles_of(*roles)


def labelled(n: int) -> pd.DataFrame:
    """Answers, with a truth that women's answers miss three times as often as men's."""
    frame = people(n, 7)
    draw = np.random.default_rng(5)
    wrong = draw.random(n) < np.where(frame["sex"] == "woman", 0.45, 0.15)
    truth = np.where(wrong, 1 - frame["prediction"], frame["prediction"]).astype(float)
    return frame.assign(truth=np.where(draw.random(n) < 0.2, np.nan, truth))


def test_with_labels_windows_have_the_measures_that_need_them_as_compare_has() -> None:
    roles = roles_of("prediction", "score", "truth", "sex", "at")
    now = labelled(3000).assign(at=START + np.linspace(0, 10, 3000, endpoint=False))
    fair = people(5000, 99).assign(truth=lambda f: f["prediction"])
    known = roles_of("prediction", "score", "truth", "sex")
    reference = make_baseline(fair, known, SUBJECT, POLICY.of("credit"), created_at="")
    done = replay_frame(
        now, roles, time_column="at", subject=SUBJECT, baseline=reference, policy=POLICY
    )
    (report,) = done.reports
    compared = compare_frames(fair, now.drop(columns="at"), known, POLICY.of("credit")).report
    assert {m.metric: m.value for m in report.fairness} == pytest.approx(
        {m.metric: m.value for m in compared.fairness}
    )
    seen = now.dropna()
    right = (seen["truth"] == seen["prediction"]).groupby(seen["sex"]).mean()
    (accuracy,) = [m for m in report.fairness if m.metric == "accuracy_difference"]
    assert accuracy.value == pytest.approx(right["man"] - right["woman"])
    assert {g.labelled for g in accuracy.groups.values()} == set(seen.groupby("sex").size())
    assert "accuracy_difference[sex]" in {breach.rule for breach in report.breaches}


def test_a_regressions_labels_tell_who_is_overrated() -> None:
    roles = roles_of("answer", None, "truth", "sex", "at")
    draw = np.random.default_rng(8)
    frame = people(800)[["income", "sex"]].assign(answer=draw.normal(50, 10, 800))
    frame["truth"] = frame["answer"] - np.where(frame["sex"] == "woman", 5.0, 0.0)
    frame.loc[::10, "truth"] = np.nan
    known = roles_of("answer", None, "truth", "sex")
    fair = frame.assign(truth=frame["answer"])
    reference = make_baseline(fair, known, SUBJECT, POLICY.of("credit"), created_at="")
    done = replay_frame(
        frame.assign(at=START), roles, time_column="at", subject=SUBJECT,
        baseline=reference, policy=POLICY,
    )  # fmt: skip
    found = {m.metric: m for m in done.reports[0].fairness}
    deviation = frame["answer"].std(ddof=0)
    assert found["mean_error_difference"].value == pytest.approx(5 / deviation)
    assert found["mean_error_difference"].highest == "woman"
    women = found["mean_error_difference"].groups["woman"]
    assert (women.mean_error, women.mean_absolute_error) == pytest.approx((5.0, 5.0))
    assert women.labelled == frame.dropna().groupby("sex").size()["woman"]
    assert found["mean_prediction_difference"].value < 0.3


def test_labels_that_are_no_answers_are_refused() -> None:
    roles = roles_of("prediction", "score", "truth", "sex", "at")
    frame = timed().assign(truth=lambda f: f["prediction"] == 1)
    with pytest.raises(InputError, match="truth: the labels are false, true, the answers 0, 1"):
        replay_frame(
            frame, roles, time_column="at", subject=SUBJECT, baseline=baseline(), policy=POLICY
        )


def test_the_roles_of_the_small_world_are_as_named() -> None:
    assert roles_of("prediction", "score", None, " sex ,") == ROLES

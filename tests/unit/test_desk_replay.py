"""Replaying a file: each row once, in order of its time, and sentences for what is no event."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from monitor.cli.options import roles_of
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
    "odd", [[1, 2], pd.Timedelta(1, unit="s"), pd.Timestamp(0), b"x", {"a": 1}]
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


def test_the_roles_of_the_small_world_are_as_named() -> None:
    assert roles_of("prediction", "score", None, " sex ,") == ROLES

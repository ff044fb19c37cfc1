from __future__ import annotations

import datetime as dt

import pytest

from monitor.errors import InputError
from monitor.predictionlog.where import parse_condition


@pytest.mark.parametrize(
    ("text", "column", "name", "operator", "value"),
    [
        ("score>=0.5", "score", None, ">=", 0.5),
        ("version = 7", "version", None, "=", "7"),
        ("prediction != true", "prediction", None, "!=", "true"),
        ("prediction = 1.0", "prediction", None, "=", "1"),
        ("prediction > 1", "number", None, ">", 1.0),
        ("kafka_offset = 17", "kafka_offset", None, "=", 17),
        ("run_id = null", "run_id", None, "=", None),
        ("session_id = it's; DROP TABLE x --", "session_id", None, "=", "it's; DROP TABLE x --"),
        ("date < 2026-01-02", "date", None, "<", dt.date(2026, 1, 2)),
        ("features.age <= 40", "features", "age", "<=", 40),
        ('features."loan amount" = "40"', "features", "loan amount", "=", "40"),
        ("groups.sex = Frau", "groups", "sex", "=", "Frau"),
    ],
)
def test_a_condition_is_read_into_a_value_of_the_columns_type(text, column, name, operator, value):
    found = parse_condition(text)
    assert (found.column, found.name, found.operator, found.value) == (
        column,
        name,
        operator,
        value,
    )
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not COLUMN OPERATOR VALUE"),
        ("score", "not COLUMN OPERATOR VALUE"),
        ("score =", "not COLUMN OPERATOR VALUE"),
        ("1 = 1 OR 1", "not COLUMN OPERATOR VALUE"),
        ("salary = 1", "there is no column salary"),
        ("protected = x", "there is no column protected"),
        ("key_id = x", "there is no column key_id"),
        ("features = 1", "there is no column features"),
        ("score.x = 1", "there is no column score.x"),
        ("score > high", "does not fit column score"),
        ("score > true", "does not fit column score"),
        ("event_time > yesterday", "does not fit column event_time"),
        ("kafka_offset = NaN", "does not fit column kafka_offset"),
        ("score < null", "null has no order"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_reason(text, reason):
    with pytest.raises(InputError) as caught:
        parse_condition(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("features.a = 1", True),
        ("features.a = 1.0", True),
        ("features.a = true", False),
        ('features.a = "1"', False),
        ("features.a < 2", True),
        ("features.a < b", False),
        ("features.a != b", True),
        ("features.gone = null", True),
        ("features.gone < 1", False),
        ("features.gone != 1", True),
        ("features.open = true", True),
        ("features.open = 1", False),
    ],
)
def test_a_feature_is_compared_with_values_of_its_own_type(text, holds):
    row = {"features": {"a": 1, "open": True}}
    assert parse_condition(text).holds(row) is holds

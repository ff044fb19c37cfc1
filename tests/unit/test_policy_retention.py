from __future__ import annotations

import datetime as dt

import pytest

from monitor.errors import PolicyError
from monitor.policy.load import parse_policy
from monitor.policy.retention import RetentionRules, first_kept


def of(text: str) -> RetentionRules:
    return parse_policy(text, where="policy.yaml").of("credit").retention


def test_without_anything_said_predictions_stay_13_months_and_protected_attributes_6():
    assert (of("").predictions, of("").protected, of("").hold) == ("13M", "6M", ())


@pytest.mark.parametrize("kept", ["179d", "183d", "26w", "5M"])
def test_a_model_of_high_risk_keeps_its_predictions_six_months_at_least(kept):
    text = f"models: {{credit: {{retention: {{predictions: {kept}, protected: 1M}}}}}}"
    with pytest.raises(PolicyError, match=rf"\({kept}\) is under 6M, the least for risk: high"):
        of(text)
    assert of(text.replace("{retention", "{risk: limited, retention")).predictions == kept


@pytest.mark.parametrize("kept", ["184d", "27w", "6M", "1y"])
def test_six_months_may_be_said_in_any_unit(kept):
    assert of(f"defaults: {{retention: {{predictions: {kept}}}}}").predictions == kept


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("{predictions: soon}", "predictions"),
        ("{predictions: 0M}", "predictions"),
        ("{predictions: 13m}", "predictions"),
        ("{predictions: 6M, protected: 7M}", "must not outlast"),
        ("{hold: [{since: 2026-01-01}]}", "reason"),
        ("{holds: []}", "did you mean 'hold'"),
    ],
)
def test_what_is_no_retention_is_refused(said, reason):
    with pytest.raises(PolicyError, match=reason):
        of(f"defaults: {{retention: {said}}}")


def test_a_hold_covers_its_first_and_last_day_and_without_them_every_day():
    rules = of("defaults: {retention: {hold: [{reason: a, since: 2026-01-02, until: 2026-01-03}]}}")
    days = [dt.date(2026, 1, day) for day in (1, 2, 3, 4)]
    assert [rules.held_by(day) is not None for day in days] == [False, True, True, False]
    assert of("defaults: {retention: {hold: [{reason: all}]}}").held_by(dt.date(1990, 1, 1))


@pytest.mark.parametrize(
    ("span", "kept"),
    [
        ("1d", dt.date(2024, 3, 30)),
        ("2w", dt.date(2024, 3, 17)),
        ("1M", dt.date(2024, 2, 29)),
        ("13M", dt.date(2023, 2, 28)),
        ("1y", dt.date(2023, 3, 31)),
        ("9999y", dt.date.min),
    ],
)
def test_a_span_is_counted_by_the_calendar(span, kept):
    assert first_kept(span, dt.date(2024, 3, 31)) == kept

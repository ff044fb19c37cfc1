from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from monitor.events import LabelEvent, PredictionEvent
from monitor.reports import (
    Action,
    Breach,
    Decision,
    Family,
    Report,
    Severity,
    Stage,
    Status,
    Verdict,
    Window,
)
from monitor.schemas import all_schemas, write_schemas

COMMITTED = Path(__file__).parents[2] / "schemas"
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
BREACH = Breach(
    rule="ks[a]", family=Family.DRIFT, severity=Severity.BLOCK, value=0.3, threshold=0.2
)
VERDICT = Verdict(
    model="m",
    version="1",
    window=Window(0, 300),
    revision=0,
    severity=Severity.BLOCK,
    action=Action.ROLLBACK,
    windows=(Window(0, 300),),
    values=(0.3,),
)
EXAMPLES = {
    "prediction_event": PredictionEvent(
        event_id="e",
        prediction_id="p",
        model_name="m",
        model_version="1",
        event_time=NOW,
        features={"a": 1.5, "b": None, "c": "x", "d": True},
        prediction=1,
    ),
    "label_event": LabelEvent(
        prediction_id="p", model_name="m", model_version="1", label="yes", label_time=NOW
    ),
    "report": Report(
        model="m",
        version="1",
        window=Window(0, 300),
        revision=0,
        status=Status.OK,
        severity=Severity.BLOCK,
        n=500,
        n_reference=9000,
        breaches=(BREACH,),
    ),
    "verdict": VERDICT,
    "decision": Decision(
        decision_id="d",
        rollback_id="r",
        model="m",
        from_version="2",
        to_version="1",
        action=Action.ROLLBACK,
        stage=Stage.INTENT,
        reason="why",
        at=1.0,
        verdict=VERDICT,
    ),
}


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((COMMITTED / f"{name}.schema.json").read_bytes()))


def test_the_committed_schemas_are_those_of_the_types(tmp_path: Path):
    written = {path.name: path.read_text() for path in write_schemas(tmp_path)}
    committed = {path.name: path.read_text() for path in COMMITTED.glob("*.json")}
    assert written == committed, "run `python -m monitor.schemas schemas`"


@pytest.mark.parametrize("name", sorted(all_schemas()))
def test_each_schema_is_one_of_2020_12(name: str):
    schema = all_schemas()[name]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_is_encoded_is_valid_by_its_schema(name: str):
    validator(name).validate(msgspec.json.decode(msgspec.json.encode(EXAMPLES[name])))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "models: {credit: {windows: {length: 1h30m}, drift: {psi: {block: 0.3}}}}",
        "defaults: {action: notify, cooldown: 60, target_lacks: [a]}",
    ],
)
def test_a_good_policy_file_is_valid_by_its_schema(text: str):
    validator("policy").validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "defaults: {windows: {lenght: 5m}}",
        "defaults: {windows: {length: soon}}",
        "defaults: {action: none}",
        "defaults: {consecutive: 0}",
    ],
)
def test_a_bad_policy_file_is_not(text: str):
    assert not validator("policy").is_valid(yaml.safe_load(text))

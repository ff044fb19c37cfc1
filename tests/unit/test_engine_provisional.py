"""A version without a baseline: profiled whatever road its events take, within bounds."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pyarrow as pa
import pytest

from monitor.engine.provisional import FEATURES_CAP, GROUPS_CAP, provisional_layout
from monitor.events import ARROW_CONTENT, JSON_CONTENT, ModelVersion
from monitor.profiles.layout import Kind
from monitor.reports import Status
from tests.unit.engine_world import START, SUBJECT, Message, engine, messages, people
from tests.unit.test_engine_partition import drive, spread

OTHER = ModelVersion("other", "1")


def columns(n: int) -> bytes:
    frame = people(n)
    names = [str(i) for i in range(n)]
    instants = pa.array([int((START + i * 0.1) * 1e6) for i in range(n)], pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "event_id": names, "prediction_id": names, "event_time": instants,
            "model_name": ["other"] * n, "model_version": ["1"] * n,
            "features.income": frame["income"].to_numpy(),
            "features.town": pa.array(frame["town"].tolist()).dictionary_encode(),
            "features.member": [True] * n, "features.when": instants, 'features."': names,
            "prediction": frame["prediction"].to_numpy(), "score": frame["score"].to_numpy(),
            "groups.sex": frame["sex"].tolist(),
        }
    )  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_events_in_columns_are_profiled_without_a_baseline() -> None:
    headers = (("content-type", ARROW_CONTENT),)
    machine = engine(learn=False)
    record = Message(0, int((START + 60) * 1000), OTHER.key, columns(500), headers)
    total, _ = drive(machine, [record])
    assert machine.counts["counted"] == 500
    assert {report.status for report in total.reports} == {Status.NO_BASELINE}
    assert total.reports[0].fairness[0].attributes == ("sex",)


def test_the_schema_says_which_columns_can_be_counted() -> None:
    layout = provisional_layout([b"garbage", columns(3)], ARROW_CONTENT)
    assert layout is not None
    kinds = {column.name: column.kind for column in layout.features}
    assert kinds == {
        "income": Kind.NUMERIC, "member": Kind.BOOLEAN, "town": Kind.CATEGORICAL,
    }  # fmt: skip
    assert layout.groups == ("sex",)
    assert layout.score is not None
    assert layout.is_classifier


@pytest.mark.parametrize("content", [ARROW_CONTENT, JSON_CONTENT, b"application/msgpack"])
def test_what_cannot_be_read_has_no_layout(content: bytes) -> None:
    assert provisional_layout([None, b"", b"\xff" * 40, b"{}"], content) is None


def test_an_event_with_features_without_end_costs_bounded_memory() -> None:
    many = {f"f{i}": i for i in range(50_000)}
    event = {"features": many, "groups": dict.fromkeys(map(str, range(99)), 1), "prediction": 1}
    layout = provisional_layout([msgspec.json.encode(event)], JSON_CONTENT)
    assert layout is not None
    assert (len(layout.features), len(layout.groups)) == (FEATURES_CAP, GROUPS_CAP)


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"{}", "event_id"), (b"\xff", "$"), (None, "$"), (b'{"event_id": 1}', "event_id")],
)
def test_a_bad_first_event_is_set_aside_with_what_is_wrong_with_it(
    body: bytes | None, field: str
) -> None:
    (record,) = messages(people(1), spread(1, 1))
    machine = engine(learn=False)
    total, _ = drive(machine, [replace(record, key=OTHER.key, value=body)])
    (letter,) = total.dead_letters
    assert letter.field == field
    assert "no event here" not in letter.reason
    assert SUBJECT not in machine.watermarks

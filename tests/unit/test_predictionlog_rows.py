from __future__ import annotations

import datetime as dt
import json

import msgspec
import pyarrow as pa
import pytest

from monitor.errors import EventError
from monitor.events import ARROW_CONTENT, MSGPACK_CONTENT
from monitor.predictionlog.keys import KeyRing
from monitor.predictionlog.rows import Rows
from tests.archive import OVERRIDE, TODAY, event, gather, master_key, message


@pytest.fixture
def keys(tmp_path):
    return KeyRing(tmp_path, master_key())


def rows_of(rows: Rows, *messages) -> list[dict]:
    for one in messages:
        gather(rows, one)
    return rows.take().to_pylist()


def test_a_row_says_all_that_the_event_said(keys):
    said = event(3, human_override=OVERRIDE, deployment="eu", transaction_id="t", latency_ms=2.5)
    (row,) = rows_of(Rows(keys), message(said, offset=17))
    assert row["date"] == said.event_time.date()
    assert (row["model"], row["version"], row["run_id"]) == ("team's/credit", "2", "run-1")
    assert (row["event_id"], row["prediction_id"]) == ("event-3", "prediction-3")
    assert (row["event_time"], row["arrived"]) == (said.event_time, TODAY)
    assert (row["prediction"], row["number"], row["score"]) == ("1", 1.0, 0.003)
    assert json.loads(row["features"]) == said.features
    assert (row["session_id"], row["transaction_id"]) == ("session-of-person-3", "t")
    assert (row["deployment"], row["latency_ms"], row["sampling_fraction"]) == ("eu", 2.5, 1.0)
    assert (row["override_decision"], row["override_reviewer"]) == ("granted", "officer-7")
    assert (row["override_reason"], row["override_at"]) == ("papers came late", TODAY)
    assert (row["kafka_topic"], row["kafka_partition"]) == ("predictions", 0)
    assert (row["kafka_offset"], row["kafka_index"]) == (17, 0)


def test_json_message_pack_and_arrow_give_the_same_row(keys):
    said = event(2, features={"age": 41.5, "region": "nörd", "open": True, "gone": None})
    as_json = message(said)
    as_msgpack = as_json._replace(value=msgspec.msgpack.encode(said), content=MSGPACK_CONTENT)
    table = pa.table(
        {
            "event_id": [said.event_id],
            "prediction_id": [said.prediction_id],
            "event_time": pa.array([said.event_time], pa.timestamp("us", tz="UTC")),
            "model_name": pa.array([said.model_name]).dictionary_encode(),
            "model_version": [said.model_version],
            "run_id": [said.run_id],
            "prediction": [said.prediction],
            "score": [said.score],
            "subject": [said.subject],
            "session_id": [said.session_id],
            **{f"features.{name}": [value] for name, value in said.features.items()},
            "groups.sex": ["Mann"],
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    as_arrow = as_json._replace(value=sink.getvalue().to_pybytes(), content=ARROW_CONTENT)
    # Twice each: the first of a key is decoded whole, the next ones are not.
    found = rows_of(Rows(keys), as_json, as_json, as_msgpack, as_arrow)
    opened = []
    for row in found:
        key = keys.find(row["date"], row["model"])
        opened.append(key.open(row.pop("protected"), row["event_id"]))
        row["features"] = json.loads(row["features"])
    assert found[1:] == found[:1] * 3
    assert opened[1:] == opened[:1] * 3
    assert json.loads(opened[0]) == {"groups": {"sex": "Mann"}}


def arrow(**changed) -> bytes:
    """Two events as an Arrow stream."""
    time = pa.array([TODAY, TODAY - dt.timedelta(days=1)], pa.timestamp("ns", tz="UTC"))
    columns = {
        "event_id": ["a", "b"],
        "prediction_id": ["a", "b"],
        "event_time": time,
        "model_name": ["team's/credit"] * 2,
        "model_version": ["1"] * 2,
        "prediction": ["yes", "no"],
        "features.age": pa.array([1.5, float("nan")]),
    }
    table = pa.table(columns | changed)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_an_arrow_message_gives_a_row_for_each_event(keys):
    found = rows_of(Rows(keys), message(event(0))._replace(value=arrow(), content=ARROW_CONTENT))
    assert [(row["event_id"], row["kafka_index"], row["number"]) for row in found] == [
        ("a", 0, None),
        ("b", 1, None),
    ]
    assert [row["features"] for row in found] == ['{"age":1.5}', '{"age":null}']


@pytest.mark.parametrize("zone", ["Nowhere/Place", "../../etc/passwd", "Europe/Vienna"])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_a_zone_changes_nothing_of_an_instant_even_one_that_nobody_knows(keys, zone, unit):
    times = pa.array([TODAY] * 2, pa.timestamp(unit, tz="UTC")).cast(pa.timestamp(unit, tz=zone))
    value = arrow(event_time=times)
    found = rows_of(Rows(keys), message(event(0))._replace(value=value, content=ARROW_CONTENT))
    assert [row["event_time"] for row in found] == [TODAY, TODAY]


@pytest.mark.parametrize("unit", ["s", "us"])
def test_an_instant_beyond_all_calendars_is_refused(keys, unit):
    value = arrow(event_time=pa.array([0, 2**62], pa.timestamp(unit, tz="UTC")))
    with pytest.raises(EventError, match="no Arrow stream"):
        gather(Rows(keys), message(event(0))._replace(value=value, content=ARROW_CONTENT))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value": None}, "has no value"),
        ({"value": b"{"}, "cannot be read"),
        ({"value": b"\xff\xfe"}, "cannot be read"),
        ({"value": b'{"event_id": "1"}'}, "missing required field"),
        ({"value": b"junk", "content": ARROW_CONTENT}, "no Arrow stream"),
        ({"content": b"text/plain"}, "none that is read"),
        ({"key": b"other/1"}, "the key says other/1"),
        ({"arrived": TODAY.timestamp() - 301}, "future"),
        ({"arrived": 9.3e15}, r"kafka.timestamp: lies .* after 9999-12-30"),
        ({"arrived": -1.0}, r"kafka.timestamp: lies before 1970-01-01"),
    ],
)
def test_a_message_that_is_no_event_is_refused_with_the_reason(keys, change, reason):
    rows = Rows(keys)
    good = message(event(0))
    gather(rows, good)
    with pytest.raises(EventError, match=reason):
        gather(rows, good._replace(**change))
    assert len(rows) == 1


@pytest.mark.parametrize(
    "features", ['{"a": ["b"]}', '{"a": {"b": 1}}', "[1]", '"text"', '{"a": 1', '{"a": "\\ud800"}']
)
def test_features_that_the_contract_forbids_are_refused_on_the_fast_road_too(keys, features):
    rows = Rows(keys)
    good = message(event(0))
    gather(rows, good)
    body = good.value.decode()
    begin = body.index('{"age"')
    bad = (body[:begin] + features + body[body.index("}", begin) + 1 :]).encode()
    with pytest.raises(EventError):
        gather(rows, good._replace(value=bad))


def changed(good, field: str, written: str):
    """The message with a field's value as it is written here."""
    body = json.loads(good.value)
    assert field in body
    body[field] = "here"
    return good._replace(value=json.dumps(body).replace('"here"', written).encode())


HUGE = "1" + "0" * 400


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("field", "written", "reason"),
    [
        ("event_time", '"0001-01-01T00:00:00+14:00"', r"event_time: lies before 1970-01-01"),
        ("event_time", '"1969-12-31T23:59:59Z"', r"event_time: lies before 1970-01-01"),
        ("event_time", '"9999-12-31T23:59:59-12:00"', r"event_time: lies .* after 9999-12-30"),
        ("prediction", HUGE, r"prediction: is too large"),
        ("features", f'{{"a": {HUGE * 11}}}', r"features"),
        ("features", f'{{"\\u0061": {HUGE * 11}}}', r"features"),
        ("features", '{"\\u0061": 1e400}', r"features"),
        (
            "human_override",
            '{"decision": 1, "reviewer": "r", "reason": "", "at": "0001-01-01T00:00:00+14:00"}',
            r"human_override.at: lies before",
        ),
    ],
)
def test_a_value_that_no_table_holds_is_refused_by_name_on_both_roads(
    keys, field, written, reason, is_first
):
    rows = Rows(keys)
    good = message(event(0, human_override=OVERRIDE))
    if not is_first:
        gather(rows, good)
    with pytest.raises(EventError, match=reason):
        gather(rows, changed(good, field, written))
    assert rows.take().num_rows == (not is_first)


def opened(keys: KeyRing, table: pa.Table) -> list[dict]:
    """Rows by offset, with what is sealed in them in the open."""
    rows = sorted(table.to_pylist(), key=lambda row: row["kafka_offset"])
    for row in rows:
        key = keys.find(row["date"], row["model"])
        if row["protected"] is not None:
            row["protected"] = key.open(row["protected"], row["event_id"])
    return rows


def test_many_messages_taken_together_give_what_each_gives_alone(keys):
    said = [
        event(0),
        event(1, subject=None, groups={}),
        event(2, features={"age": 41, "sex": "Frau"}),
        event(3, features={"note": '{["x"]}'}),
        event(4, features={"face": [0.5, -1.0], "name": "nörd"}),
        event(5, human_override=OVERRIDE, deployment="eu", prediction="yes"),
        event(6, model_name="other", prediction=0.25, groups={"race": "B", "sex": "Frau"}),
        event(7, model_name="other", features={"race": 1}, prediction=True),
        event(8, model_name="other", features={"sex": "Mann"}, groups={"race": "A"}),
    ]
    many = [message(one, 40 * at + offset) for at in range(3) for offset, one in enumerate(said)]
    values = {
        3: b"{",
        15: many[15].value.replace(b"2026-02", b"2099-02"),
        16: many[16].value.replace(b"2026-02", b"2026-13"),
        22: many[22].value.replace(b'"groups":{', b'"groups":{"x":[],'),
        24: many[24].value.replace(b'"sex"', b'"s\\u0065x"'),
    }
    many = [one._replace(value=values.get(at, one.value)) for at, one in enumerate(many)]
    alone, together = Rows(keys, lambda _: {"age"}), Rows(keys, lambda _: {"age"})
    refused = {at: fault for at, one in enumerate(many) for fault in alone.add([one]).values()}
    at_once = together.add(many[:9]) | {9 + at: f for at, f in together.add(many[9:]).items()}
    assert {at: str(fault) for at, fault in at_once.items()} == {
        at: str(fault) for at, fault in refused.items()
    }
    assert refused.keys() == {3, 15, 16, 22}
    assert len(together) == len(many) - 4
    assert opened(keys, together.take()) == opened(keys, alone.take())


def test_what_two_events_share_is_sealed_differently_in_each(keys):
    rows = Rows(keys)
    gather(rows, message(event(0)))
    gather(rows, *[message(event(2 * index)) for index in range(100)])
    assert len(set(rows.take()["protected"].to_pylist())) == 101


def test_brackets_within_a_text_are_no_nesting(keys):
    rows = Rows(keys)
    said = message(event(0, features={"note": "{[x]}", "age": 3}))
    found = rows_of(rows, said, said)
    assert [json.loads(row["features"]) for row in found] == [{"note": "{[x]}", "age": 3}] * 2


def test_a_vector_is_kept_whole(keys):
    rows = Rows(keys)
    said = message(event(0, features={"face": [0.5, -1.0]}))
    found = rows_of(rows, said, said)
    assert [json.loads(row["features"]) for row in found] == [{"face": [0.5, -1.0]}] * 2


def test_a_model_whose_name_no_directory_can_bear_is_refused(keys):
    with pytest.raises(EventError, match="too long"):
        gather(Rows(keys), message(event(0, model_name="é" * 60)))


@pytest.mark.parametrize("written", ['"sex":"Frau"', '"s\\u0065x":"Frau"'])
def test_a_feature_that_is_a_protected_attribute_is_sealed_with_them(keys, written):
    rows = Rows(keys, lambda _: {"age"})
    plain = message(event(0, features={"age": 41, "region": "north"}))
    gather(rows, plain)
    value = plain.value.replace(b'"region"', f'{written},"region"'.encode())
    gather(rows, plain._replace(value=value))
    row = rows.take().to_pylist()[1]
    assert json.loads(row["features"]) == {"region": "north"}
    sealed = keys.find(row["date"], row["model"]).open(row["protected"], row["event_id"])
    assert json.loads(sealed) == {
        "groups": {"sex": "Mann"},
        "features": {"age": 41, "sex": "Frau"},
    }


def test_a_subject_stands_under_a_pseudonym_and_an_event_without_anything_protected_unsealed(keys):
    first, again, nobody = rows_of(
        Rows(keys),
        message(event(1)),
        message(event(11)),
        message(event(2, subject=None, groups={})),
    )
    assert first["subject"] == again["subject"] != "person-1"
    assert len(first["subject"]) == 32
    assert (nobody["subject"], nobody["protected"], nobody["key_id"]) == (None, None, None)

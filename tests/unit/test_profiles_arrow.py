from __future__ import annotations

import struct

import pyarrow as pa
import pytest

from monitor.errors import EventError
from monitor.events import ModelVersion
from monitor.profiles import arrow
from monitor.profiles.arrow import ArrowDecoder
from monitor.profiles.inflation import survey
from tests.profile_roads import EPOCH, LAYOUT, REGRESSION, VERSION, ipc, table

PART = {
    "features": {"age": 41.0, "town": "Ulm", "owner": True},
    "prediction": "1",
    "score": 0.5,
    "groups": {"sex": "f", "origin": "x"},
    "second": 1.5,
}
TABLE = table([PART] * 3)


def replaced(name, array):
    return TABLE.set_column(TABLE.schema.get_field_index(name), name, array)


def refusal(changed, layout=LAYOUT):
    with pytest.raises(EventError) as caught:
        ArrowDecoder(layout, VERSION).decode(ipc(changed))
    return caught.value.field, caught.value.reason


@pytest.mark.parametrize(
    "name", ["event_id", "prediction_id", "event_time", "model_name", "model_version", "prediction"]
)
def test_a_missing_required_column_is_named(name):
    assert refusal(TABLE.drop_columns([name])) == (name, "there is no such column")


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("features.age", pa.array(["41"] * 3), "expected numbers, got string"),
        ("features.age", pa.array([True] * 3), "expected numbers, got bool"),
        ("features.town", pa.array([[1]] * 3), "expected strings, numbers or booleans"),
        ("features.owner", pa.array(["yes"] * 3), "expected booleans"),
        ("features.owner", pa.array([0, 1, 2]), "expected a boolean, got 2"),
        ("score", pa.array(["high"] * 3), "expected numbers"),
        ("event_time", pa.array([EPOCH] * 3, pa.timestamp("us")), "time zone"),
        ("event_time", pa.array([1, 2, 3]), "time zone"),
        ("event_time", pa.array([EPOCH, None, EPOCH], pa.timestamp("us", "UTC")), "null in 1 of 3"),
        ("model_version", pa.array(["7", "8", None]), "2 of 3 rows are not of '7'"),
        ("model_name", pa.array(["credit", "other", "credit"]), "1 of 3 rows"),
        ("prediction", pa.array(["1", None, "0"]), "null in 1 of 3"),
        ("groups.sex", pa.array([{"a": 1}] * 3), "expected strings"),
    ],
)
def test_a_column_that_does_not_fit_is_named_with_what_was_expected(name, array, says):
    field, reason = refusal(replaced(name, array))
    assert field == name
    assert says in reason


def test_a_regression_wants_numbers_without_gaps():
    assert refusal(TABLE, REGRESSION)[0] == "prediction"
    gaps = replaced("prediction", pa.array([1.0, None, 2.0]))
    assert refusal(gaps, REGRESSION) == ("prediction", "is null in 1 of 3 rows")


def test_a_column_given_twice_is_named():
    twice = TABLE.append_column("features.age", pa.array([1.0] * 3))
    assert refusal(twice) == ("features.age", "there are 2 columns of this name")


@pytest.mark.parametrize("value", [None, b"", b"{}", ipc(TABLE)[:-300], b"\xff" * 64])
def test_bytes_that_are_no_stream_are_refused(value):
    with pytest.raises(EventError) as caught:
        ArrowDecoder(LAYOUT, VERSION).decode(value)
    assert caught.value.field == "$"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_times_of_any_unit_and_zone_are_the_same_instants(unit, zone):
    times = pa.array([EPOCH] * 3, pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, zone))
    decoded = ArrowDecoder(LAYOUT, VERSION).decode(ipc(replaced("event_time", times)))
    assert decoded.times.tolist() == [EPOCH.timestamp()] * 3


def test_a_feature_without_a_column_is_missing_in_every_event():
    decoded = ArrowDecoder(LAYOUT, VERSION).decode(ipc(TABLE.drop_columns(["features.town"])))
    assert decoded.rows[:, 3].tolist() == [0.0] * 3


def test_several_batches_in_one_stream_are_one_message():
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        for _ in range(3):
            writer.write_table(TABLE)
    assert len(ArrowDecoder(LAYOUT, VERSION).decode(sink.getvalue().to_pybytes())) == 9


def test_a_stream_without_rows_holds_no_events():
    assert len(ArrowDecoder(LAYOUT, VERSION).decode(ipc(TABLE.slice(0, 0)))) == 0


def test_schemas_may_change_from_message_to_message():
    decoder = ArrowDecoder(LAYOUT, VERSION)
    for made in (TABLE, TABLE.drop_columns(["score"]), TABLE):
        assert len(decoder.decode(ipc(made))) == 3


def test_any_version_is_taken_where_none_is_asked_for():
    assert len(ArrowDecoder(LAYOUT).decode(ipc(TABLE))) == 3
    with pytest.raises(EventError):
        ArrowDecoder(LAYOUT, ModelVersion("credit", "8")).decode(ipc(TABLE))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_what_a_stream_inflates_to_is_known_before_it_is(compression):
    zeros = pa.table(
        {"a": pa.array([0.0] * 1_000_000), "b": pa.array(["x"] * 1_000_000).dictionary_encode()}
    )
    stream = ipc(zeros, compression)
    assert len(stream) < 1_000_000
    assert 12_000_000 <= survey(pa.py_buffer(stream))[1] < 12_500_000
    assert survey(pa.py_buffer(ipc(zeros)))[1] == 0


def test_a_decompression_bomb_is_refused_unopened(monkeypatch):
    big = table([PART] * 5_000)
    stream = bytearray(ipc(big, "zstd"))
    monkeypatch.setattr(arrow, "SIZE_CAP", 100_000)
    with pytest.raises(EventError, match="bytes decompressed"):
        ArrowDecoder(LAYOUT, VERSION).decode(bytes(stream))


def test_a_buffer_that_lies_about_its_length_is_refused():
    made = pa.table({name: TABLE[name] for name in TABLE.schema.names if name != "extra"})
    stream = bytearray(ipc(pa.concat_tables([made] * 500).combine_chunks(), "lz4"))
    honest = struct.pack("<q", 1500 * 8)
    at = stream.find(honest)
    assert at > 0
    stream[at : at + 8] = struct.pack("<q", 1 << 50)
    with pytest.raises(EventError, match="bytes decompressed"):
        ArrowDecoder(LAYOUT, VERSION).decode(bytes(stream))


def test_more_rows_than_any_message_holds_are_refused(monkeypatch):
    monkeypatch.setattr(arrow, "SIZE_CAP", 100)
    with pytest.raises(EventError, match="numbers in one message"):
        ArrowDecoder(LAYOUT, VERSION).decode(ipc(TABLE))

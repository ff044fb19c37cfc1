from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import LayoutMismatch
from monitor.events import PredictionEvent
from monitor.profiles import vocabulary
from monitor.profiles.decoder import RowDecoder
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.times import Instant, epoch_seconds
from tests.profile_roads import LAYOUT, REGRESSION, VERSION

GOOD = {
    "event_id": "e",
    "prediction_id": "p",
    "event_time": "2026-01-02T03:04:05.25Z",
    "model_name": "credit",
    "model_version": "7",
    "features": {"age": 41, "town": "Ulm", "owner": True},
    "prediction": 1,
    "score": 0.5,
    "groups": {"sex": "f"},
}

# Hypothesis adds the zone. From 2255 on a float no longer holds every microsecond.
EARLIEST, LATEST = dt.datetime(1900, 1, 1), dt.datetime(2250, 1, 1)  # noqa: DTZ001


def refusal(change, layout=LAYOUT, content="json"):
    """Return field and reason for the good event with some keys changed (None: left out)."""
    event = {k: v for k, v in (GOOD | change).items() if v is not None}
    encode = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}[content]
    ((position, error),) = RowDecoder(layout, VERSION, content).decode([encode(event)]).bad
    assert position == 0
    return error.field, error.reason


@pytest.mark.parametrize(
    "name",
    [
        "event_id",
        "prediction_id",
        "event_time",
        "model_name",
        "model_version",
        "features",
        "prediction",
    ],
)
def test_an_event_without_a_required_field_is_refused_by_its_name(name):
    assert refusal({name: None}) == (name, "is missing")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({k: v for k, v in GOOD.items() if k != name}, PredictionEvent)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"features": {"age": "41"}}, "features.age", "expected `float | null`, got `str`"),
        ({"features": {"age": True}}, "features.age", "got `bool`"),
        (
            {"features": {"weird ' {name} - at `$": []}},
            "features.weird ' {name} - at `$",
            "got `array`",
        ),
        ({"features": {"town": {}}}, "features.town", "got `object`"),
        ({"features": {"owner": 2}}, "features.owner", "expected a boolean, got 2"),
        ({"features": {"owner": "yes"}}, "features.owner", "got `str`"),
        ({"features": []}, "features", "got `array`"),
        ({"groups": {"sex": [1]}}, "groups.sex", "got `array`"),
        ({"score": "high"}, "score", "got `str`"),
        ({"prediction": {}}, "prediction", "got `object`"),
        ({"model_version": "8"}, "model_version", "expected '7'"),
        ({"model_name": "other"}, "model_name", "expected 'credit'"),
        ({"model_version": 7}, "model_version", "got `int`"),
        ({"event_time": "yesterday"}, "event_time", "RFC3339"),
        ({"event_time": "2026-01-02T03:04:05"}, "event_time", "timezone"),
        ({"event_time": 12}, "event_time", "got `int`"),
    ],
)
@pytest.mark.parametrize("content", ["json", "msgpack"])
def test_a_mistyped_field_is_refused_by_its_path_with_what_was_expected(
    change, field, says, content
):
    at, reason = refusal(change, content=content)
    assert at == field
    assert says in reason


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "no value"),
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "expected `object`"),
        (b'{"features": {"town": "\xff"}}', "utf-8"),
        (b'{"features": {"town": "\\ud800"}}', "cannot be read"),
        (b'{"features": {"age": 1e999}}', "out of range"),
        (b'{"features": {"town": ' + b"1" * 5000 + b"}}", "out of range"),
        (b'{"other": ' + b"[" * 100_000, "nested"),
        (msgspec.json.encode(GOOD) * 2, "trailing"),
    ],
)
def test_bytes_that_are_no_event_are_refused_with_the_reason(value, says):
    ((_, error),) = RowDecoder(LAYOUT, VERSION).decode([value]).bad
    assert says in error.reason


def test_a_null_prediction_is_no_answer():
    value = msgspec.json.encode(GOOD | {"prediction": None})
    for layout in (LAYOUT, REGRESSION):
        ((_, error),) = RowDecoder(layout, VERSION).decode([value]).bad
        assert error.field == "prediction"


def test_a_regression_refuses_an_answer_that_is_no_number():
    assert refusal({"prediction": "yes"}, REGRESSION)[0] == "prediction"
    assert refusal({"prediction": True}, REGRESSION)[0] == "prediction"


def test_the_good_events_of_a_batch_keep_their_order_and_positions():
    good = [
        msgspec.json.encode(GOOD | {"event_id": f"e{i}", "features": {"age": i}}) for i in range(4)
    ]
    late = msgspec.json.encode(GOOD | {"event_time": "never"})
    decoded = RowDecoder(LAYOUT, VERSION).decode(
        [good[0], None, good[1], late, good[2], b"{", good[3]], event_ids=True
    )
    assert decoded.rows[:, 0].tolist() == [0, 1, 2, 3]
    assert decoded.index.tolist() == [0, 2, 4, 6]
    assert decoded.event_ids == ["e0", "e1", "e2", "e3"]
    assert [position for position, _ in decoded.bad] == [1, 3, 5]
    assert (
        decoded.times.tolist()
        == [dt.datetime(2026, 1, 2, 3, 4, 5, 250_000, dt.UTC).timestamp()] * 4
    )


def test_a_batch_without_faults_says_so():
    decoded = RowDecoder(LAYOUT, VERSION).decode([msgspec.json.encode(GOOD)] * 3)
    assert (decoded.index, decoded.bad, decoded.event_ids) == (None, [], None)
    assert len(decoded) == 3


def test_an_empty_batch_is_no_problem():
    decoded = RowDecoder(LAYOUT, VERSION).decode([])
    assert decoded.rows.shape == (0, 8)
    assert len(decoded) == 0


def test_a_column_of_nulls_changes_nothing_but_the_speed():
    decoder = RowDecoder(LAYOUT, VERSION)
    value = msgspec.json.encode(GOOD | {"features": {"age": None}, "score": None})
    for _ in range(3):
        decoded = decoder.decode([value] * 40)
        assert np.isnan(decoded.rows[:, 0]).all()
        assert decoded.bad == []


def test_one_and_true_are_different_labels_whichever_comes_first():
    for order in ([1, True, "1", 1.0, "true"], [True, 1, "true", "1", 1.0]):
        decoder = RowDecoder(LAYOUT, VERSION)
        values = [msgspec.json.encode(GOOD | {"features": {"town": town}}) for town in order]
        for _ in range(2):
            decoded = decoder.decode(values)
            labels = decoded.vocabulary.columns[0].labels
            found = [labels[int(row[3])] for row in decoded.rows]
            assert found == [vocabulary.label_of(town) for town in order]


def test_a_name_that_json_structs_cannot_carry_is_refused_when_the_decoder_is_made():
    column = Column(name='say "no"', kind=Kind.NUMERIC)
    with pytest.raises(LayoutMismatch, match="Rename it"):
        RowDecoder(Layout(features=(column,), prediction=LAYOUT.prediction), VERSION)


def test_a_name_never_becomes_code():
    name = "f0]; raise SystemExit #"
    layout = Layout(features=(Column(name=name, kind=Kind.NUMERIC),), prediction=LAYOUT.prediction)
    value = msgspec.json.encode(GOOD | {"features": {name: 3}})
    assert RowDecoder(layout, VERSION).decode([value]).rows.tolist() == [[3.0, 3.0]]


def test_any_version_is_taken_where_none_is_asked_for():
    value = msgspec.json.encode(GOOD | {"model_version": "99"})
    assert RowDecoder(LAYOUT).decode([value]).bad == []


@st.composite
def written_times(draw):
    ahead = dt.timezone(dt.timedelta(minutes=draw(st.integers(-23 * 60, 23 * 60))))
    time = draw(st.datetimes(min_value=EARLIEST, max_value=LATEST, timezones=st.just(ahead)))
    spec = draw(st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]))
    return time.isoformat(timespec=spec).replace("+00:00", "Z")


@given(st.lists(written_times(), max_size=40))
def test_times_are_read_as_msgspec_reads_them(texts):
    seconds, wrong = epoch_seconds(texts)
    assert wrong == {}
    assert seconds.tolist() == [msgspec.convert(text, Instant).timestamp() for text in texts]


@given(st.lists(st.text("0123456789-:.TZ+ ", min_size=19, max_size=22), min_size=9, max_size=20))
def test_texts_that_are_no_times_are_told_apart(texts):
    texts = [*texts, "2026-02-28T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-02T24:00:00Z"] * 8
    seconds, wrong = epoch_seconds(texts)
    for i, text in enumerate(texts):
        try:
            assert seconds[i] == msgspec.convert(text, Instant).timestamp()
        except msgspec.ValidationError:
            assert np.isnan(seconds[i])
            assert i in wrong


@pytest.mark.parametrize("digits", range(1, 12))
def test_fractions_of_any_length_are_rounded_to_microseconds(digits):
    texts = [f"2026-01-02T03:04:05.{'19734659871'[:digits]}Z"] * 10
    seconds, wrong = epoch_seconds(texts)
    assert wrong == {}
    assert set(seconds.tolist()) == {msgspec.convert(texts[0], Instant).timestamp()}


def test_messagepack_time_stamps_of_every_length_are_read():
    times = [
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=dt.UTC),
        dt.datetime(1905, 1, 2, tzinfo=dt.UTC),
    ]
    decoder = RowDecoder(LAYOUT, VERSION, "msgpack")
    values = [msgspec.msgpack.encode(GOOD | {"event_time": time}) for time in times]
    values.append(
        msgspec.msgpack.encode(GOOD | {"event_time": msgspec.msgpack.Ext(5, b"12345678")})
    )
    decoded = decoder.decode(values)
    assert decoded.times.tolist() == [time.timestamp() for time in times]
    assert [error.field for _, error in decoded.bad] == ["event_time"]


def test_labels_past_the_cap_start_a_new_vocabulary(monkeypatch):
    monkeypatch.setattr(vocabulary, "VOCABULARY_CAP", 10)
    decoder = RowDecoder(LAYOUT, VERSION)
    values = [msgspec.json.encode(GOOD | {"features": {"town": f"t{i}"}}) for i in range(30)]
    first = decoder.decode(values[:20])
    second = decoder.decode(values[20:])
    assert second.vocabulary is not first.vocabulary
    assert second.vocabulary.columns[0].labels[:5] == ["(missing)", "(other)", "Bonn", "Ulm", "t20"]

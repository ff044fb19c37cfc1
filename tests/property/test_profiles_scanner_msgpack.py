"""MessagePack that is scanned says what it says when it is decoded, for any bytes."""

from __future__ import annotations

import datetime as dt
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from monitor.profiles.layout import Column, Kind, Layout
from tests.profile_roads import LAYOUT, events
from tests.scanned import agree_on_damaged, packed, scanned, told

NUMBER = Layout(
    features=(Column(name="x", kind=Kind.NUMERIC),),
    prediction=Column(name="prediction", kind=Kind.CATEGORICAL),
)
AT = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)


def message(number=1.0, time=AT, **more):
    return msgspec.msgpack.encode(
        {
            "event_id": "e",
            "prediction_id": "p",
            "event_time": time,
            "model_name": "credit",
            "model_version": "7",
            "features": {"x": number},
            "prediction": 1,
            **more,
        }
    )


def with_token(token, **places):
    """Return a message with this encoding of a value in one place."""
    mark = "-- here --"
    return message(**dict.fromkeys(places, mark)).replace(msgspec.msgpack.encode(mark), token)


def judged(layout, values):
    """Return what a batch says after one that taught how messages are written, and how many were left."""
    (_, once), (_, left) = scanned(layout, [[message(extra=1)] * 2, values], "msgpack")
    (plain,) = packed(layout, [values], "msgpack")
    assert told(once) == told(plain)
    return once, left


HEADS = [0x00, 0x7F, 0x80, 0x90, 0xA1, *range(0xC0, 0xE0), 0xE0, 0xFF]
tokens = st.builds(
    lambda head, more: bytes([head]) + more, st.sampled_from(HEADS), st.binary(max_size=18)
)
values = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.none(),
    st.booleans(),
    st.text(max_size=40),
    st.binary(max_size=3),
).map(msgspec.msgpack.encode)


@example(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff")  # unsigned
@example(b"\xd3\xff\xff\xff\xff\xff\xff\xff\xff")  # signed
@example(b"\xcf\x00\x20\x00\x00\x00\x00\x00\x01")  # just between two doubles
@example(b"\xca\x7f\x80\x00\x01")  # no number, in four bytes
@example(b"\xdb\xff\xff\xff\xff")  # longer than there is
@given(tokens | values)
def test_a_value_is_what_msgspec_says_or_is_left(token):
    for place in ("number", "prediction", "extra", "time"):
        judged(NUMBER, [with_token(token, **{"extra": 1, place: token})])


@pytest.mark.parametrize(
    "token",
    [
        *(msgspec.msgpack.encode(n) for n in (0, 127, -1, -32, 255, 65_535, 2**32, 2**64 - 1)),
        *(msgspec.msgpack.encode(n) for n in (-33, -129, -32_769, -(2**31), -(2**63), None, 2.5)),
        b"\xca" + struct.pack(">f", 0.1),
    ],
    ids=bytes.hex,
)
def test_every_way_to_write_a_number_is_scanned(token):
    found, left = judged(NUMBER, [with_token(token, number=1, extra=1)])
    assert left == 0
    expected = msgspec.msgpack.decode(token, type=float | None)
    assert found.rows[0, 0] == expected or (expected is None and np.isnan(found.rows[0, 0]))


moments = st.datetimes(timezones=st.timezones())
stamps = st.one_of(
    moments,
    moments.map(lambda moment: moment.replace(microsecond=0)),
    moments.map(dt.datetime.isoformat),
    st.builds(Ext, st.just(-1) | st.integers(-128, 127), st.binary(min_size=4, max_size=12)),
)


@example(Ext(-1, b"\xff" * 8))
@example(Ext(-1, struct.pack(">Q", 999_999_999 << 34)))
@example("2026-01-02T03:04:05Z" + " " * 12)
@given(stamps)
def test_a_time_is_what_msgspec_says_or_is_left(time):
    judged(NUMBER, [message(time=time, extra=1)])


def test_usual_times_are_not_left():
    times = [AT, AT.replace(microsecond=0), "2026-01-02T03:04:05Z", AT.isoformat()]
    _, left = judged(NUMBER, [message(time=time, extra=1) for time in times])
    assert left == 0


def backwards(event):
    """Write an event with its keys in the other order."""
    return msgspec.msgpack.encode(_backwards(msgspec.to_builtins(event)))


def _backwards(value):
    if not isinstance(value, dict):
        return value
    return {key: _backwards(value[key]) for key in reversed(value)}


WRITERS = [msgspec.msgpack.encode, backwards]


@st.composite
def damaged(draw, value):
    at, cut = draw(st.integers(0, len(value))), draw(st.integers(0, 3))
    return value[:at] + draw(st.just(b"") | tokens) + value[at + cut :]


@given(st.data())
def test_scanned_messages_say_what_decoded_ones_say(data):
    agree_on_damaged(data, WRITERS, damaged, "msgpack")


def test_what_came_before_is_not_left_again():
    parts = [
        {
            "features": {"age": 4.5, "town": town, "owner": owner},
            "prediction": 1,
            "score": None,
            "groups": {"sex": "ü"},
            "second": 0.5,
        }
        for town, owner in [("Ulm", True), ("Köln", False), (None, None), (3, True)]
    ]
    values = [writer(event) for writer in WRITERS for event in events(parts)]
    _, left = scanned(LAYOUT, [values] * 12, "msgpack")
    assert left[0] == len(values)
    assert left[-1] == 0


def test_a_scan_stays_within_its_messages():
    """One message must not be completed by the next one's bytes, nor the last one by the zeros behind it."""
    whole = message(**{"\0" * 100: 0, "last": {}})
    for end in range(1, len(whole)):
        for pieces in ([whole[:end], whole[end:], whole], [whole, whole[:end]]):
            (_, found), _ = scanned(NUMBER, [[whole] * 2, pieces], "msgpack")
            assert found.index is not None
            assert found.index.tolist() == [pieces.index(whole)]


def test_a_map_that_is_there_twice_is_not_scanned():
    """The second one counts, with what it does not have."""
    value = message(other={"x": 2}).replace(b"\xa5other\x81", b"\xa8features\x81")
    value = value.replace(b"\xa1x\x02", b"\xa1y\x02")
    found, left = scanned(NUMBER, [[value] * 2] * 3, "msgpack")
    assert left == [2, 2, 2]
    assert told(found[2]) == told(packed(NUMBER, [[value] * 2], "msgpack")[0])


@pytest.mark.parametrize("key", [b"\xd6\xff\xff\xff\xff\xff", b"\xc7\x01\xff\x00", b"\xa1\xff"])
def test_odd_keys_that_nobody_asks_for_teach_nothing_wrong(key):
    odd = message(extra={"?": 1}).replace(b"\xa1?", key)
    batches = [[message()] * 3, [message(), odd, odd], [odd, message()]]
    found, _ = scanned(NUMBER, batches, "msgpack")
    assert [told(one) for one in found] == [told(one) for one in packed(NUMBER, batches, "msgpack")]
    assert len(found[1]) == 3


def test_keys_that_are_no_texts_are_no_hindrance():
    _, left = scanned(NUMBER, [[message(extra={1: 2, None: {2: [3]}})] * 2] * 2, "msgpack")
    assert left == [2, 0]
    odd = message(extra=1).replace(b"\xa5extra\x01", b"\xa5extra\x81\x90\x01")
    found, left = scanned(NUMBER, [[odd] * 2] * 2, "msgpack")
    assert left == [2, 2]
    assert len(found[1]) == 2

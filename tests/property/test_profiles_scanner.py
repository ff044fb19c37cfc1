"""What is scanned is what would have been decoded: the same rows, times, ids and refusals, for any bytes."""

from __future__ import annotations

import json
import math
import struct
from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.profiles.decoder import RowDecoder
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.times import epoch_seconds
from tests.profile_roads import LAYOUT, VERSION, events
from tests.scanned import agree_on_damaged, packed, scanned, told

NUMBER = Layout(
    features=(Column(name="x", kind=Kind.NUMERIC),),
    prediction=Column(name="prediction", kind=Kind.CATEGORICAL),
)
AT = "2026-01-02T03:04:05Z"


def message(number="1", time=AT):
    return (
        f'{{"event_id":"e","prediction_id":"p","event_time":"{time}","model_name":"credit",'
        f'"model_version":"7","features":{{"x":{number}}},"prediction":1}}'
    ).encode()


decimals = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map("{:.16e}".format),
    st.floats(-1e6, 1e6).map("{:.17g}".format),
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.text("0123456789.-+eE", max_size=24),
)


@example("9007199254740993")  # just between two doubles
@example("1.7976931348623157e308")
@example("2.2250738585072014e-308")
@example("5e-324")
@example("0.000001234567890123456789")
@example("-0")
@example("-0.0")
@example("7.2057594037927933e16")
@given(decimals)
def test_a_number_is_the_nearest_double_or_is_left(text):
    (_, once), (_, left) = scanned(NUMBER, [[message()] * 2, [message(text)]])
    (plain,) = packed(NUMBER, [[message(text)]])
    assert told(once) == told(plain)
    if not left:
        assert struct.pack("d", once.rows[0, 0]) == struct.pack("d", float(text))


def test_numbers_of_full_precision_are_not_left():
    random = np.random.default_rng(5)
    numbers = np.concatenate([random.normal(size=5000), random.lognormal(0, 30, 5000)]).tolist()
    _, left = scanned(NUMBER, [[message()], [message(repr(number)) for number in numbers]])
    assert left[1] < 50  # exact halves above 2 ** 52


moments = st.one_of(
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.from_regex(
        r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])",
        fullmatch=True,
    ),
)


@example("2000-02-29T23:59:59.999999999Z")
@example("1900-02-29T00:00:00Z")
@example("2026-01-02T03:04:05.Z")
@given(moments)
def test_a_time_is_what_msgspec_says_or_is_left(text):
    (_, once), (_, left) = scanned(NUMBER, [[message()] * 2, [message(time=text)]])
    (plain,) = packed(NUMBER, [[message(time=text)]])
    assert told(once) == told(plain)
    if not left:
        seconds, wrong = epoch_seconds([text])
        assert not wrong
        assert once.times.tolist() == seconds.tolist()


def test_times_that_a_double_rounds_are_left():
    values = [message(time=f"{year}-01-02T03:04:05.019507Z") for year in ("0026", "1684", "2256")]
    _, left = scanned(NUMBER, [[message()], values])
    assert left[1] == 3


def test_usual_times_are_not_left():
    times = [AT, "2026-01-02T03:04:05.123456Z", "2024-02-29T03:04:05.1+01:00"]
    _, left = scanned(NUMBER, [[message()], [message(time=time) for time in times]])
    assert left[1] == 0


WRITERS = [
    msgspec.json.encode,
    lambda event: json.dumps(msgspec.to_builtins(event)).encode(),
    lambda event: json.dumps(msgspec.to_builtins(event), indent=1, ensure_ascii=False).encode(),
    lambda event: json.dumps(msgspec.to_builtins(event), sort_keys=True).encode(),
]


@st.composite
def damaged(draw, value):
    at = draw(st.integers(0, len(value)))
    cut = draw(st.integers(0, 3))
    put = draw(
        st.sampled_from([b"", b'"', b"\\", b"}", b",", b"0", b"e", b"\xff", b" ", b"null", b"[1]"])
    )
    return value[:at] + put + value[at + cut :]


@given(st.data())
def test_scanned_messages_say_what_decoded_ones_say(data):
    agree_on_damaged(data, WRITERS, damaged, "json")


def test_what_came_before_is_not_left_again():
    values = [
        writer(event)
        for writer in WRITERS
        for event in events(
            [
                {
                    "features": {"age": 4.5, "town": town, "owner": owner},
                    "prediction": 1,
                    "score": None,
                    "groups": {"sex": "ü"},
                    "second": 0.5,
                }
                for town, owner in [("Ulm", True), ("Köln", False), (None, None), (3, True)]
            ]
        )
    ]
    _, left = scanned(LAYOUT, [values] * 12)
    assert left[0] == len(values)
    assert left[-1] == 0


def test_a_scan_stays_within_its_messages():
    """One message must not be completed by the next one's bytes."""
    whole = message()
    for end in range(1, len(whole)):
        for pieces in ([whole[:end], whole[end:], whole], [whole, whole[:end]]):
            (_, found), _ = scanned(NUMBER, [[whole] * 2, pieces])
            assert found.index is not None
            assert found.index.tolist() == [pieces.index(whole)]
            assert not math.isnan(found.rows[0, 0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"prediction":1', b'"prediction": 2'),
        (b'"prediction":1', b'"prediction":null,"prediction":2'),
        (b'"features"', b'"\xff":1,"features"'),
    ],
)
def test_odd_messages_that_count_teach_nothing_wrong(old, new):
    odd = message().replace(old, new)
    batches = [[message()] * 3, [message(), odd, odd], [odd, message()]]
    found, _ = scanned(NUMBER, batches)
    assert [told(one) for one in found] == [told(one) for one in packed(NUMBER, batches)]
    assert len(found[1]) == 3


def test_an_object_that_is_there_twice_is_not_scanned():
    """The second one counts, with what it does not have."""
    value = message().replace(b'"prediction"', b'"features":{"y":2},"prediction"')
    found, left = scanned(NUMBER, [[value] * 2] * 3)
    assert left == [2, 2, 2]
    assert told(found[2]) == told(packed(NUMBER, [[value] * 2])[0])


def test_without_numba_messages_are_decoded_as_before():
    values = [message()] * 100
    with mock.patch.dict("sys.modules", {"monitor.kernels": None}):
        found = RowDecoder(NUMBER, VERSION).decode(values)
    (plain,) = packed(NUMBER, [values])
    assert told(found) == told(plain)


def test_a_writer_whose_first_key_is_a_label_is_learned_though_another_came_before():
    fields = json.loads(message())
    event = {"prediction": fields.pop("prediction"), **fields}
    compact = json.dumps(event, separators=(",", ":")).encode()
    spaced = json.dumps(event).encode()
    _, left = scanned(NUMBER, [[compact] * 3, [compact, spaced], [compact, spaced]])
    assert left == [3, 1, 0]

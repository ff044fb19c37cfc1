"""An event read as it was written gives the row that it gives decoded whole: the same columns and refusals, for any bytes."""

from __future__ import annotations

import base64
import datetime as dt
import json
import tempfile
from pathlib import Path
from unittest import mock

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.events import JSON_CONTENT, PredictionEvent
from monitor.predictionlog import rows as rows_room
from monitor.predictionlog import written
from monitor.predictionlog.keys import KeyRing, MasterKey
from monitor.predictionlog.messages import Message
from monitor.predictionlog.rows import Rows
from tests.archive import TODAY, event, message

texts = st.sampled_from(
    [
        "a",
        "Köln",
        'q"uote',
        "back\\slash",
        "\u2028",
        "\x01",
        "",
        "x" * 257,
        "ü" * 200,
        "sex",
        "{[1]}",
    ]
)
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -0.0, 1e-300, 0.1, 1.7976931348623157e308]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
maybe_text = st.none() | texts
DAY = 86_400

bodies = st.fixed_dictionaries(
    {
        "event_id": texts,
        "prediction_id": texts,
        "event_time": st.one_of(
            st.integers(-DAY, 40 * 365 * DAY).map(
                lambda s: (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=s)).isoformat()
            ),
            st.sampled_from(["2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05+01:00", "2026-13-01T00:00:00Z", "now"]),
        ),
        "model_name": st.sampled_from(["team's/credit"] * 5 + ["other", ""]),
        "model_version": st.sampled_from(["1"] * 5 + ["2", "1/2"]),
        "features": st.dictionaries(texts, scalars | st.lists(st.floats(-1, 1), max_size=2), max_size=4),
        "prediction": scalars,
    },
    optional={
        "run_id": maybe_text,
        "score": st.none() | numbers,
        "groups": st.dictionaries(texts, scalars, max_size=2),
        "subject": maybe_text,
        "session_id": maybe_text,
        "transaction_id": maybe_text,
        "human_override": st.none(),
        "latency_ms": st.none() | numbers,
        "sampling_fraction": st.sampled_from([1.0, 1, 0.5, 0, -0.0, 2, None]),
        "deployment": maybe_text,
        "schema_version": st.sampled_from([1, 2, 0, 1.0, 10, None]),
        "more": scalars,
    },
)  # fmt: skip


def spaced(body) -> bytes:
    return json.dumps(body).encode()


def sorted_by_name(body) -> bytes:
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


WRITERS = [msgspec.json.encode, spaced, sorted_by_name]


@st.composite
def damaged(draw, value):
    at, cut = draw(st.integers(0, len(value))), draw(st.integers(0, 3))
    put = draw(st.sampled_from([b"", b'"', b"\\", b"}", b"{", b",", b"0", b"-", b"e9", b"\xff", b" ", b"\n", b"null", b"[1]"]))  # fmt: skip
    return value[:at] + put + value[at + cut :]


@pytest.fixture(scope="module")
def keys():
    with tempfile.TemporaryDirectory() as directory:
        yield KeyRing(Path(directory), MasterKey(base64.b64encode(bytes(32)).decode()))


def said(keys, values, *, as_written):
    """Return the rows that messages give, opened, and what is wrong with the others; and how many were read as written."""
    rows = Rows(keys, lambda _: {"a"})
    rows.add([message(event(0))])  # so that the key is known
    found = []

    def read(values):
        found.append(written.read(values) if as_written else None)
        return found[-1]

    with mock.patch.object(rows_room, "read", read):
        refused = rows.add(values)
    table = sorted(rows.take().to_pylist(), key=lambda row: row["kafka_offset"])
    for row in table:
        if row["protected"] is not None:
            sealed = keys.find(row["date"], row["model"]).open(row["protected"], row["event_id"])
            row["protected"] = json.loads(sealed)
        row["features"] = json.loads(row["features"])
    fits = sum(len(one) for one in found if one is not None)
    return table, {at: str(fault) for at, fault in refused.items()}, fits


def messages(values):
    key = event(0).version.key
    return [
        Message("predictions", 0, 1 + at, TODAY.timestamp() + 1e9, key, value, JSON_CONTENT)
        for at, value in enumerate(values)
    ]


def check(keys, values):
    taken = messages(values)
    short, short_refused, fits = said(keys, taken, as_written=True)
    whole, whole_refused, _ = said(keys, taken, as_written=False)
    assert short == whole
    assert short_refused == whole_refused
    return fits


@given(st.data())
def test_any_message_says_the_same_on_both_roads(keys, data):
    drawn = data.draw(st.lists(bodies, min_size=1, max_size=6))
    used = data.draw(st.lists(st.sampled_from(WRITERS), min_size=1, max_size=3))
    values = [used[at % len(used)](body) for at, body in enumerate(drawn)]
    check(keys, [data.draw(damaged(one)) if at % 2 else one for at, one in enumerate(values)])


@given(st.data())
def test_a_damaged_event_says_the_same_on_both_roads(keys, data):
    whole = data.draw(st.sampled_from(WRITERS))(msgspec.to_builtins(event(0)))
    check(keys, [whole, data.draw(damaged(whole)), whole])


GOOD = msgspec.json.encode(event(0, features={"x": 1}))


@example("1" * 25)
@example("0." + "1" * 400)
@example("-0")
@example("01")
@example("1.")
@example("1e999")
@example("+1")
@given(st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_a_number_is_one_on_both_roads(keys, text):
    check(keys, [GOOD.replace(b'"x":1', b'"x":' + text.encode())])


@pytest.mark.parametrize(
    "odd",
    [
        *({"sampling_fraction": odd} for odd in (0, -0.0, 1.5, None)),
        *({"latency_ms": odd} for odd in (-1, -1e-9)),
        *({"event_id": odd} for odd in ("", "x" * 257, "ü" * 129, None)),
        *({"schema_version": odd} for odd in (0, 1.0, 10)),
        *({"prediction": odd} for odd in (None, 'a"', 10**30)),
        *({"features": odd} for odd in ({"a": 1, "b": 2}, {"b": "sex", "sex": 1}, {"b": [1.0]})),
        {"features": {"b": 1}, "groups": {"b": 1}},
        {"groups": {"b": [1]}},
        {"model_version": "2"},
        {"more": 1},
        {"human_override": {"decision": 1, "reviewer": "r", "reason": "x", "at": TODAY}},
    ],
)
def test_what_is_odd_says_the_same_on_both_roads(keys, odd):
    check(keys, [msgspec.json.encode(msgspec.to_builtins(event(0)) | odd), GOOD])


@pytest.mark.parametrize("field", [b'"prediction":', b'"features":', b'"score":', b'"groups":'])
def test_of_a_field_that_is_there_twice_the_last_one_counts(keys, field):
    other = {b'"features":': b'{"x":2}', b'"groups":': b'{"sex":"Frau"}'}.get(field, b"0.5")
    value = GOOD.replace(field, field + other + b"," + field)
    assert check(keys, [value, GOOD[:-1] + b"," + field + other + b"}", GOOD]) == 1


def test_a_message_is_not_completed_by_the_next_ones_bytes(keys):
    for end in range(len(GOOD)):
        check(keys, [GOOD[:end], GOOD[end:], GOOD])


@pytest.mark.parametrize("writer", WRITERS)
def test_usual_events_are_read_as_they_were_written(keys, writer):
    usual = [
        event(0),
        event(2, features={"age": -1.5e-7, "open": True, "gone": None, "region": "a b"}),
        event(4, subject=None, groups={}, score=None, prediction="yes", deployment="eu"),
        event(6, latency_ms=2.5, sampling_fraction=0.25, transaction_id="t", session_id=None),
    ]
    values = [writer(msgspec.to_builtins(one)) for one in usual]
    assert check(keys, values) == len(usual)


def test_texts_beyond_ascii_are_read_as_they_were_written(keys):
    said = event(0, features={"stadt": "Köln"}, subject="Zoë", groups={"rôle": "ü"})
    broken = msgspec.json.encode(said).replace("ö".encode(), b"\xc3")
    assert check(keys, [msgspec.json.encode(said), broken]) == 1


def test_every_field_of_the_contract_is_known():
    assert set(written.FIELDS) == set(PredictionEvent.__struct_fields__)


def test_microseconds_are_kept(keys):
    times = [f"{year}-05-06T07:08:09.{micro:06}Z" for year in (1970, 2026, 2250) for micro in (1, 333_333, 999_999)]  # fmt: skip
    values = [msgspec.json.encode(msgspec.to_builtins(event(0)) | {"event_time": t}) for t in times]
    later = [one._replace(arrived=9e9) for one in messages(values)]
    found, refused, fits = said(keys, later, as_written=True)
    assert (refused, fits) == ({}, len(times))
    moments = sorted(row["event_time"] for row in found if row["kafka_offset"])
    assert moments == [dt.datetime.fromisoformat(time) for time in times]

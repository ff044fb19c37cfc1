from __future__ import annotations

from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import EventError
from monitor.profiles import packing
from monitor.profiles.arrow import ArrowDecoder
from monitor.profiles.codec import decode_profile, encode_profile
from monitor.profiles.decoder import RowDecoder
from monitor.profiles.profile import Profile
from tests import profile_roads as roads

LAYOUT, REGRESSION = roads.LAYOUT, roads.REGRESSION

mixed = st.lists(roads.rows(roads.labels, roads.labels), max_size=60)
one_kind = st.sampled_from([roads.texts, st.booleans(), st.integers(-2, 2)]).flatmap(
    lambda label: st.lists(roads.rows(label, label), min_size=1, max_size=60)
)
amounts = st.lists(
    roads.rows(roads.labels, st.floats(-5, 5) | st.integers(-3, 3)), min_size=1, max_size=60
)
sizes = st.lists(st.integers(1, 40), min_size=1, max_size=4)
calm = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def same(profile, facts):
    assert roads.close(roads.facts(profile), facts), (roads.facts(profile), facts)


@calm
@given(
    mixed | one_kind, sizes, st.sampled_from(["json", "msgpack"]), st.sampled_from([2, 10, 1000])
)
def test_rows_are_counted_as_plain_python_counts_them(parts, sizes, content, trial):
    profile = roads.by_rows(LAYOUT, parts, content, sizes, trial=trial)
    same(profile, roads.expected(LAYOUT, parts))


@calm
@given(one_kind, sizes, st.booleans(), st.sampled_from([None, "lz4", "zstd"]))
def test_columns_are_counted_as_plain_python_counts_them(parts, sizes, dictionaries, compression):
    profile = roads.by_arrow(
        LAYOUT, parts, sizes, dictionaries=dictionaries, compression=compression
    )
    same(profile, roads.expected(LAYOUT, parts))


@calm
@given(mixed.filter(bool))
def test_frames_are_counted_as_plain_python_counts_them(parts):
    same(roads.by_frame(LAYOUT, parts), roads.expected(LAYOUT, parts))


@calm
@given(amounts, sizes)
def test_every_road_gives_a_regression_the_same_profile(parts, sizes):
    facts = roads.expected(REGRESSION, parts)
    same(roads.by_rows(REGRESSION, parts, "json", sizes), facts)
    same(roads.by_rows(REGRESSION, parts, "msgpack", sizes), facts)
    same(roads.by_frame(REGRESSION, parts), facts)


@calm
@given(mixed, st.randoms(use_true_random=False))
def test_order_does_not_matter(parts, random):
    shuffled = random.sample(parts, len(parts))
    facts = roads.facts(roads.by_rows(LAYOUT, parts, "json"))
    same(roads.by_rows(LAYOUT, shuffled, "json", (7,)), facts)


@calm
@given(mixed, mixed, mixed)
def test_profiles_add_in_any_order_and_leave_their_operands_alone(one, two, three):
    a, b, c = (roads.by_rows(LAYOUT, parts, "json") for parts in (one, two, three))
    before = [encode_profile(profile) for profile in (a, b, c)]
    together = roads.expected(LAYOUT, one + two + three)
    same(a.merge(b).merge(c), together)
    same(a.merge(b.merge(c)), together)
    same(c.merge(b).merge(a), together)
    same(Profile.empty(LAYOUT).merge(a), roads.facts(a))
    merged = a.merge(b)
    for cell in merged.cells.values():
        cell.missing += 1
        cell.outcomes.clear()
    assert [encode_profile(profile) for profile in (a, b, c)] == before


@calm
@given(mixed)
def test_a_profile_survives_being_written_down(parts):
    profile = roads.by_rows(LAYOUT, parts, "json")
    assert roads.facts(decode_profile(encode_profile(profile), LAYOUT)) == roads.facts(profile)


@st.composite
def damaged(draw, content):
    """Draw an event's bytes with some of them cut, doubled or changed."""
    encode = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}[content]
    data = bytearray(encode(roads.events([draw(roads.rows(roads.labels, roads.labels))])[0]))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def mistyped(draw):
    event = msgspec.to_builtins(roads.events([draw(roads.rows(roads.texts, roads.texts))])[0])
    for _ in range(draw(st.integers(1, 3))):
        target = draw(st.sampled_from([event, event["features"], event["groups"]]))
        if isinstance(target, dict):
            key = draw(st.sampled_from([*target, "age", "town", "owner", "sex"]))
            target[key] = draw(json_values)
    return msgspec.json.encode(event)


@calm
@given(
    st.lists(st.none() | st.binary(max_size=40) | damaged("json") | mistyped(), max_size=30),
    st.sampled_from([5, 1000]),
)
def test_any_json_bytes_are_either_counted_or_refused_with_a_reason(values, trial):
    with mock.patch.object(packing, "_TRIAL", trial):
        _counted_or_refused(RowDecoder(LAYOUT, roads.VERSION), values)


@calm
@given(st.lists(st.none() | st.binary(max_size=40) | damaged("msgpack"), max_size=30))
def test_any_msgpack_bytes_are_either_counted_or_refused_with_a_reason(values):
    _counted_or_refused(RowDecoder(LAYOUT, roads.VERSION, "msgpack"), values)


def _counted_or_refused(decoder, values):
    decoded = decoder.decode(values, event_ids=True)
    refused = [position for position, _ in decoded.bad]
    counted = list(range(len(values))) if decoded.index is None else decoded.index.tolist()
    assert sorted(refused + counted) == list(range(len(values)))
    assert len(decoded.rows) == len(decoded.times) == len(decoded.event_ids) == len(counted)
    assert all(error.field and error.reason for _, error in decoded.bad)
    # A value is judged by itself, whatever else is in the batch.
    alone = [position for position, value in enumerate(values) if decoder.decode([value]).bad]
    assert alone == refused
    buffer = roads.RowBuffer(profile := Profile.empty(LAYOUT))
    buffer.append(decoded)
    buffer.fold()
    assert profile.n == len(counted)


@st.composite
def damaged_stream(draw):
    parts = draw(st.lists(roads.rows(roads.texts, roads.texts), min_size=1, max_size=5))
    made = roads.table(parts, dictionaries=draw(st.booleans()))
    data = bytearray(roads.ipc(made, draw(st.sampled_from([None, "lz4", "zstd"]))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


@settings(calm, max_examples=200)
@given(st.none() | st.binary(max_size=200) | damaged_stream())
def test_any_arrow_bytes_are_either_counted_or_refused_with_a_reason(value):
    try:
        decoded = ArrowDecoder(LAYOUT, roads.VERSION).decode(value)
    except EventError as refusal:
        error = refusal
    else:
        error = None
        profile = Profile.empty(LAYOUT)
        buffer = roads.RowBuffer(profile)
        buffer.append(decoded)
        buffer.fold()
        assert profile.n == len(decoded)
    assert error is None or (error.field and error.reason)


def test_an_attacker_with_a_million_labels_meets_a_cap():
    decoder, profile = RowDecoder(LAYOUT, roads.VERSION), Profile.empty(LAYOUT)
    buffer = roads.RowBuffer(profile)
    part = {"features": {}, "prediction": 1, "score": None, "groups": {}, "second": 0.0}
    parts = [
        part | {"features": {"town": f"t{i}"}, "groups": {"sex": f"s{i}"}, "prediction": f"p{i}"}
        for i in range(30_000)
    ]
    values = [msgspec.json.encode(event) for event in roads.events(parts)]
    seen = set()
    for batch in roads.cut(values, (5_000,)):
        decoded = decoder.decode(batch)
        seen.add(id(decoded.vocabulary))
        assert max(map(len, decoded.vocabulary.groups)) < 20_000
        buffer.append(decoded)
    buffer.fold()
    assert len(seen) > 1
    assert profile.n == 30_000
    assert len(profile.cells) <= 1_001
    assert sum(cell.n for cell in profile.cells.values()) == 30_000
    town = profile.sketches[2]
    assert len(town.counts) <= 1_003
    assert town.n == 30_000


@pytest.mark.parametrize("content", ["json", "msgpack"])
def test_a_label_too_long_to_keep_counts_as_other(content):
    part = {
        "features": {"town": "x" * 5_000},
        "prediction": 1,
        "score": None,
        "groups": {},
        "second": 0,
    }
    profile = roads.by_rows(LAYOUT, [part] * 3, content)
    assert profile.sketches[2].counts == {"(other)": 3}

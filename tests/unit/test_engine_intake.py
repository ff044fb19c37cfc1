"""Intake: whatever stands in keys and headers, nothing is lost, counted twice, or stuck."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from monitor.engine.records import Outbox
from monitor.events import ModelVersion
from monitor.reports import encode
from monitor.stream.topics import LARGEST_RECORD
from tests.unit.engine_world import SUBJECT, Message, engine, messages, people
from tests.unit.test_engine_partition import drive, spread


def with_headers(record: Message, *headers: tuple[str, bytes | None]) -> Message:
    return replace(record, headers=headers)  # type: ignore[arg-type]  # Kafka knows null headers


@pytest.mark.parametrize(
    "producer", [b"\xff\xfe", b"", b"\x00", "größe".encode(), "\ud800".encode("utf-8", "surrogatepass")]
)  # fmt: skip
def test_any_bytes_may_name_a_producer_and_are_known_again_after_a_restart(producer: bytes) -> None:
    records = [
        with_headers(record, ("producer_id", producer), ("sequence", str(number).encode()))
        for number, record in enumerate(messages(people(10), spread(10, 1)))
    ]
    machine = engine()
    _, state = drive(machine, records)
    again = engine(learn=False)
    again.restore(state)
    drive(again, records)
    assert machine.counts["counted"] == 10
    assert again.counts["duplicates"] == 10


@pytest.mark.parametrize("sequence", [b"-5", b"18446744073709551616", b"9" * 5000, b"x", b"\xff"])
def test_a_sequence_that_cannot_be_kept_is_set_aside(sequence: bytes) -> None:
    (record,) = messages(people(1), spread(1, 1))
    machine = engine()
    total, _ = drive(machine, [with_headers(record, ("producer_id", b"p"), ("sequence", sequence))])
    (letter,) = total.dead_letters
    assert letter.field == "sequence"
    assert len(letter.reason) < 120


@pytest.mark.parametrize("content", [b"application/json", b"application/msgpack"])
def test_without_any_id_in_its_headers_an_event_is_known_by_the_one_it_holds(
    content: bytes,
) -> None:
    records = [
        with_headers(record, ("content-type", content))
        for record in messages(people(20), spread(20, 1))
    ]
    if content.endswith(b"msgpack"):
        records = [
            replace(r, value=msgspec.msgpack.encode(msgspec.json.decode(r.value or b"")))
            for r in records
        ]
    machine = engine()
    drive(machine, records + [replace(r, offset=r.offset + 20) for r in records])
    assert machine.counts["counted"] == 20
    assert machine.counts["duplicates"] == 20


def test_a_producer_id_without_end_is_set_aside() -> None:
    (record,) = messages(people(1), spread(1, 1))
    endless = with_headers(record, ("producer_id", b"p" * 1_000_000), ("sequence", b"1"))
    total, state = drive(engine(), [endless])
    assert [letter.field for letter in total.dead_letters] == ["producer_id"]
    assert sum(map(len, state.values())) < 100_000


def test_headers_without_a_value_say_nothing() -> None:
    (record,) = messages(people(1), spread(1, 1))
    names = ("ce_id", "a", "b", "c", "d", "content-type", "producer_id", "sequence")
    machine = engine()
    drive(machine, [with_headers(record, *((name, None) for name in names))])
    assert machine.counts["counted"] == 1


def test_eight_headers_in_another_order_than_ours_are_read_by_name() -> None:
    (record,) = messages(people(1), spread(1, 1))
    ours = [(f"x{i}", b"") for i in range(5)]
    last = [("producer_id", b"p"), ("content-type", b"application/json"), ("sequence", b"1")]
    machine = engine()
    drive(machine, [with_headers(record, *ours, *last)])
    assert machine.counts["counted"] == 1


def test_records_sent_on_are_counted_though_later_ones_of_their_publisher_came_straight() -> None:
    records = messages(people(100), spread(100, 10))
    straight = records[1::2]
    sent_on = [
        replace(
            record,
            offset=1000 + record.offset,
            headers=(*record.headers, ("monitor_forwarded", f"3:{record.offset}".encode())),
        )
        for record in records[::2]
    ]
    machine = engine()
    drive(machine, [*straight, *sent_on, *sent_on])
    assert machine.counts["counted"] == 100
    assert machine.counts["duplicates"] == 50


@pytest.mark.parametrize("key", [None, b"", b"nonsense", b"\xff"])
def test_a_version_is_asked_for_by_the_value_where_the_key_does_not_name_it(
    key: bytes | None,
) -> None:
    records = [replace(record, key=key) for record in messages(people(100), spread(100, 10))]
    machine = engine(learn=False)
    assert machine.versions(records) == {SUBJECT}
    total, _ = drive(machine, records)
    assert machine.counts["counted"] == 100
    assert total.dead_letters == Outbox().dead_letters


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "x" * 257])
def test_a_key_that_no_event_may_carry_names_no_version(name: str) -> None:
    with pytest.raises(ValueError, match="is not model_name/model_version"):
        ModelVersion.from_key(f"{name}/1".encode())
    machine = engine(learn=False)
    (record,) = messages(people(1), spread(1, 1))
    assert machine.versions([replace(record, key=f"{name}/1".encode(), value=b"{}")]) == set()


def test_a_record_that_no_topic_would_take_is_cut_among_the_dead_letters_and_never_sent_on():
    home, stray = engine(), engine(partition=0, partitions=2)
    value = b"{" + b"a" * (50 << 20)
    record = Message(0, 1_700_000_000_000, SUBJECT.key, value, (("h", b"x" * (2 << 20)),))
    elsewhere = replace(record, key=b"odd" + SUBJECT.key)  # of partition 1
    for one, of in ((home, record), (stray, elsewhere)):
        one.fold([of])
        outbox = one.take()
        (letter,) = outbox.dead_letters
        assert not outbox.forwards
        assert (letter.offset, letter.headers) == (0, ())
        assert value.startswith(letter.value)
        assert len(encode(letter)) < LARGEST_RECORD
        assert "the first 8388608 bytes of" in letter.reason
        assert outbox.position == 1

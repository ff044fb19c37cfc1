from __future__ import annotations

from operator import attrgetter

import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from monitor.engine.block import Block
from monitor.engine.intake import Intake
from monitor.events import ARROW_CONTENT, JSON_CONTENT
from monitor.fetch import inbulk
from monitor.fetch.answers import Fetched, PartitionRecords
from tests.batches import TRACE, batch, headers

what_a_record_says = attrgetter("offset", "timestamp", "key", "value", "headers")


def at_once(*batches: bytes):
    data, places = b"".join(batches), []
    for one in batches:
        start = places[-1].stop if places else 0
        places.append(slice(start, start + len(one)))
    return inbulk.read(data, places)


def one_by_one(*batches: bytes):
    return [record for one in batches for record in DefaultRecordBatch(one)]


senders = st.lists(
    st.tuples(
        st.sampled_from([b"credit/1", b"credit/12", b"other/1"]),
        st.binary(max_size=300) | st.integers(9_000, 40_000).map(bytes),
        st.builds(
            headers,
            st.integers(0, 10**18 - 1) | st.integers(0, 50),
            producer=st.sampled_from([b"p", b"q" * 100]),
            content=st.sampled_from([JSON_CONTENT, ARROW_CONTENT]),
            source=st.text(max_size=100),
            traced=st.booleans(),
        ),
    ),
    min_size=1,
    max_size=30,
)


@given(
    st.lists(st.tuples(senders, st.integers(0, 4), st.booleans()), min_size=1, max_size=3),
    st.integers(0, 2**40),
)
def test_records_are_what_aiokafka_reads_them_as(chosen, first):
    batches = [
        batch(records, first=first + 100 * place, compression=compression, appended=appended)
        for place, (records, compression, appended) in enumerate(chosen)
    ]
    found, expected = at_once(*batches), one_by_one(*batches)
    assert list(map(what_a_record_says, found)) == list(map(what_a_record_says, expected))
    assert found.usual.tolist() == [len(record.headers) == 8 for record in expected]
    for record in found:
        named = dict(record.headers)
        assert record.content == named["content-type"]
        assert record.producer == named["producer_id"]
        assert record.sequence == int(named["sequence"])


@given(senders, st.integers(0, 4), st.data())
def test_a_broken_batch_is_left_to_aiokafka_and_raises_nothing(records, compression, data):
    whole = bytearray(batch(records, compression=compression))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    found = at_once(bytes(whole[: data.draw(st.integers(61, len(whole)))]))
    assert found is None or len(found) > 0


@pytest.mark.parametrize(
    "record",
    [
        (None, b"{}", headers()),
        (b"credit/1", None, headers()),
        (b"credit/1", b"{}", []),
        (b"credit/1", b"{}", headers()[1:]),
        (b"credit/1", b"{}", [TRACE, *headers(traced=True)]),
        (b"credit/1", b"{}", [*headers()[:-1], ("sequences", b"1")]),
        (b"credit/1", b"{}", [*headers()[:-1], ("sequence", b"-1")]),
        (b"credit/1", b"{}", [*headers()[:-1], ("sequence", b"")]),
        (b"credit/1", b"{}", [*headers()[:-1], ("sequence", b"1" * 19)]),
        (b"credit/1", b"{}", [*headers()[:-1], ("sequence", None)]),
        (b"credit/1", b"{}", [("ce_id", None), *headers()[1:]]),
        (b"credit/1", b"{}", [*headers(), ("monitor_forwarded", b"3:7")]),
    ],
)
def test_a_record_that_is_not_as_our_publisher_writes_it_leaves_the_batch_to_aiokafka(record):
    usual = (b"credit/1", b"{}", headers())
    assert at_once(batch([usual, usual])) is not None
    assert at_once(batch([usual, record, usual])) is None


@given(senders, st.integers(0, 60))
def test_the_intake_sorts_them_as_it_sorts_aiokafkas(records, known):
    def sorted_(found):
        intake = Intake(0, lambda _: 0)
        intake.restore({"p": (known, 0.0)})
        runs = [
            (run.subject, run.content, [record.offset for record in run.records], run.by_id)
            for run in intake.sort(found)
        ]
        repeated = [record.offset for record in intake.take_repeated()]
        return sorted(runs), repeated, intake.progress(0.0)

    one = batch(records)
    assert sorted_(at_once(one)) == sorted_(one_by_one(one))


@pytest.mark.parametrize("most", [1, 70, None])
def test_what_a_fetch_brings_is_the_same_however_it_is_read(most):
    usual = [(b"credit/1", b"%d" % number, headers(number)) for number in range(60)]
    strange = [(b"credit/1", b"%d" % number, [("a", b"b")]) for number in range(60)]
    parts = [usual, usual * 20, strange, usual[:3], strange[:1]]
    firsts = [0, 60, 1_300, 1_360, 1_400]
    data = b"".join(batch(part, first=first) for part, first in zip(parts, firsts, strict=True))
    held = PartitionRecords(
        TopicPartition("predictions", 0), Fetched(data), [], 30, None, None, False, 1
    )
    taken, blocks = [], []
    while not held.ended:
        part = held.take(most)
        blocks.append(isinstance(part, Block))
        taken += part
        assert held.next_fetch_offset >= taken[-1].offset + 1
    assert held.next_fetch_offset == 1_401
    assert [record.offset for record in taken] == [
        *range(30, 1_260), *range(1_300, 1_363), 1_400
    ]  # fmt: skip
    assert set(blocks) == {True, False}

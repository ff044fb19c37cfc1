from __future__ import annotations

import google_crc32c
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from monitor.fetch.answers import Fetched, PartitionRecords
from tests import batches


def batch(first: int, names: list[str], *, compression: int = 0) -> bytes:
    """A record batch of an answer: a record for each header's name."""
    records = [(b"credit/7", b"%d" % place, [(name, b"there")]) for place, name in enumerate(names)]
    return batches.batch(
        records, first=first, compression=compression, appended=False, stamp=1_000, step=1
    )


def broken(data: bytes) -> bytes:
    """The same, where the header that is called so has a name that is no text."""
    return data.replace(b"no-text", b"no-\xff\xfe\xfft")


@pytest.fixture
def taken():
    def take(*batches: bytes, check_crcs: bool = False):
        records = Fetched(b"".join(batches))
        held = PartitionRecords(
            TopicPartition("predictions", 0), records, [], 0, None, None, check_crcs, 1
        )
        return [
            (record.offset, record.timestamp, record.value, list(record.headers))
            for record in held.take(None)
        ]

    return take


def test_a_header_whose_name_is_no_text_costs_that_record_its_headers_and_nothing_else(taken):
    first, second = batch(0, ["a", "no-text", "b"]), batch(3, ["c"])
    assert taken(first, second, check_crcs=True) == [
        (0, 1_000, b"0", [("a", b"there")]),
        (1, 1_001, b"1", [("no-text", b"there")]),
        (2, 1_002, b"2", [("b", b"there")]),
        (3, 1_000, b"0", [("c", b"there")]),
    ]
    assert taken(first, broken(batch(3, ["a", "no-text"])), batch(5, ["c"])) == [
        (0, 1_000, b"0", [("a", b"there")]),
        (1, 1_001, b"1", [("no-text", b"there")]),
        (2, 1_002, b"2", [("b", b"there")]),
        (3, 1_000, b"0", [("a", b"there")]),
        (4, 1_001, b"1", []),
        (5, 1_000, b"0", [("c", b"there")]),
    ]


def test_records_in_a_compressed_batch_are_read_the_same(taken):
    gzip = 1
    assert taken(batch(7, ["a", "b"], compression=gzip), check_crcs=True) == [
        (7, 1_000, b"0", [("a", b"there")]),
        (8, 1_001, b"1", [("b", b"there")]),
    ]


@pytest.mark.parametrize("native", [True, False])
def test_a_batch_that_is_not_what_its_checksum_says_is_never_taken(taken, native, monkeypatch):
    monkeypatch.setattr(google_crc32c, "implementation", "c" if native else "python")
    whole = batch(0, ["a", "b"])
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    assert len(taken(whole, check_crcs=True)) == 2
    with pytest.raises(CorruptRecordException):
        taken(flipped, check_crcs=True)


def test_a_batch_that_cannot_be_read_is_told_of_when_it_is_taken():
    """Raised while it is fetched, it would end aiokafka's own task of fetching, and nobody would know."""
    unknown = bytearray(batch(0, ["a"] * 3))
    unknown[22] = 5  # no compression that there is
    held = PartitionRecords(
        TopicPartition("predictions", 0), Fetched(bytes(unknown)), [], 0, None, None, False, 1
    )
    with pytest.raises(UnsupportedCodecError):
        held.take(None)


@pytest.mark.parametrize("magic", [0, 1])
def test_records_of_before_kafka_0_11_are_read(taken, magic):
    old = LegacyRecordBatchBuilder(magic, 0, 1 << 20)
    old.append(0, timestamp=1_000, key=b"credit/7", value=b"0")
    ((offset, _, value, headers),) = taken(bytes(old.build()), check_crcs=True)
    assert (offset, value, headers) == (0, b"0", [])

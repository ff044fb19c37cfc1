"""What a fetch brought, a record batch at a time.

aiokafka makes a Python object of eleven fields for each record, one turn of a generator each: 3 us a record, more than
decoding it takes. Its compiled parser's own records have all that the engine asks for, and a list takes a whole batch
of them at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aiokafka import conn
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

if TYPE_CHECKING:
    from monitor.engine.records import Record


#: Bytes of an answer that wait in memory before its connection is told to pause: aiokafka's own 64 KiB pause and
#: resume it thirty times in one answer.
_WAITING = 8 << 20

#: How each record batch begins.
_OFFSET_AND_LENGTH = struct.Struct(">qi")


class PartitionRecords(fetcher.PartitionRecords):
    """aiokafka's, which checks, decompresses and leaves out what was aborted; the records as they were parsed."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._rest: list[Record] = []

    def take(self, most: int | None) -> list[Record]:
        """Return the next records, so many at most; fewer only at the end."""
        taken, self._rest = self._rest, []
        while self._records_iterator is not None and (most is None or len(taken) < most):
            taken += next(self, ())
        if most is not None and len(taken) > most:
            self._rest = taken[most:]
            del taken[most:]
            self.next_fetch_offset = self._rest[0].offset
        elif taken:
            self.next_fetch_offset = max(self.next_fetch_offset, taken[-1].offset + 1)
        return taken

    @property
    def ended(self) -> bool:
        """Whether all was taken."""
        return self._records_iterator is None and not self._rest

    def _unpack_records(self) -> Iterator[list[Record]]:
        """Yield each batch's records. Line by line what aiokafka does, but for the loop over the records."""
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise fetcher.Errors.CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._is_left_out(batch):
                records = self._parsed(batch)
                if records and records[0].offset < self.next_fetch_offset:
                    records = [r for r in records if r.offset >= self.next_fetch_offset]
                if records:
                    self.next_fetch_offset = records[-1].offset + 1
                    yield records
            self.next_fetch_offset = batch.next_offset

    def _parsed(self, batch: Any) -> list[Record]:
        try:
            return list(batch)
        except UnicodeDecodeError:
            # Kafka takes any bytes for a header's name; aiokafka's parser takes text, and gives up the whole batch.
            return list(Tolerant(self._records.bytes_of(batch.base_offset)))

    def _is_left_out(self, batch: Any) -> bool:
        """Whether it holds a transaction's marker, or what a transaction wrote that was aborted."""
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class Fetched(MemoryRecords):
    """aiokafka's record batches of an answer, which remember their bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data

    def bytes_of(self, base_offset: int) -> bytes:
        """Return the batch that begins at this offset, as it came."""
        start = 0
        while True:
            found, length = _OFFSET_AND_LENGTH.unpack_from(self._data, start)
            end = start + _OFFSET_AND_LENGTH.size + length
            if found == base_offset:
                return self._data[start:end]
            start = end


class Tolerant(_DefaultRecordBatchPy):
    """Reads a batch in which names of headers are no text: those records have no headers, the others all theirs."""

    _pos: int

    def _read_msg(self, *_: Any) -> Any:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            return self._without_headers()

    def _without_headers(self) -> _DefaultRecordPy:
        length, start = decode_varint(self._buffer, self._pos)
        _, place = decode_varint(self._buffer, start)  # attributes, which mean nothing yet
        delta, place = decode_varint(self._buffer, place)
        kind = self.timestamp_type
        time = self.max_timestamp if kind == self.LOG_APPEND_TIME else self.first_timestamp + delta
        number, place = decode_varint(self._buffer, place)
        key, place = self._field(place)
        value, _ = self._field(place)
        self._pos = start + length
        return _DefaultRecordPy(self.base_offset + number, time, kind, key, value, [])

    def _field(self, place: int) -> tuple[bytes | None, int]:
        size, place = decode_varint(self._buffer, place)
        return (
            (None, place) if size < 0 else (bytes(self._buffer[place : place + size]), place + size)
        )


class FetchResult(fetcher.FetchResult):
    """aiokafka's, which knows whether its records still belong to where the consumer stands."""

    _partition_records: PartitionRecords | None

    def getall(self, max_records: int | None = None) -> list[Record]:
        """Return the next records, so many at most."""
        records = self._partition_records
        if records is None or not self.check_assignment(self._topic_partition):
            return []
        taken = records.take(max_records)
        self._update_position()
        if records.ended:
            self._partition_records = None
        return taken


def install() -> None:
    """Have every consumer of this process fetch so: aiokafka names the classes in one place."""
    conn.READER_LIMIT = _WAITING
    fetcher.MemoryRecords = Fetched
    fetcher.PartitionRecords = PartitionRecords
    fetcher.FetchResult = FetchResult

"""What a fetch brought, a record batch at a time.

aiokafka makes a Python object of eleven fields for each record, one turn of a generator each: 3 us a record, more than
decoding it takes. Where all records of some batches end in our publisher's headers, `monitor.fetch.inbulk` reads them in
one pass. Elsewhere the compiled parser's own records have all that the engine asks for, and a list takes a whole batch of
them at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import google_crc32c
from aiokafka import conn
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords

from monitor.engine.block import since
from monitor.engine.records import read_varint
from monitor.fetch import inbulk

if TYPE_CHECKING:
    from monitor.engine.records import Record


#: Bytes of an answer that wait in memory before its connection is told to pause: aiokafka's own 64 KiB pause and
#: resume it thirty times in one answer.
_WAITING = 8 << 20

#: Records that are read in one pass, if an answer has so many; fewer than the second are read faster one by one.
_AT_ONCE, _TOO_FEW = 10_000, 50

#: How many bytes of a batch's beginning are not in its checksum.
_UNSUMMED = 21

#: How each record batch begins.
_OFFSET_AND_LENGTH = struct.Struct(">qi")


class PartitionRecords(fetcher.PartitionRecords):
    """aiokafka's, which checks, decompresses and leaves out what was aborted; the records as they were parsed."""

    next_fetch_offset: int

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._rest: Sequence[Record] = ()
        self._broken: Exception | None = None
        # Begun now, while the thread that fetches has nothing else to do; the consumer moves on when it is taken.
        start = self.next_fetch_offset
        try:
            self._rest = next(self, ())
        except Exception as error:  # noqa: BLE001 - raised when it is taken: here it would end aiokafka's fetching, unseen
            self._broken = error
        self._read_to, self.next_fetch_offset = self.next_fetch_offset, start

    def take(self, most: int | None) -> Sequence[Record]:
        """Return the next records, so many at most: a block, or a list of such as could not be read at once.

        Raises
        ------
        CorruptRecordException
            If a batch is not what its checksum says.
        """
        if self._broken is not None:
            raise self._broken
        self.next_fetch_offset = max(self.next_fetch_offset, self._read_to)
        taken, self._rest = self._rest, ()
        while self._records_iterator is not None and (most is None or len(taken) < most):
            more = next(self, None)
            if more is None:
                break
            if not taken:
                taken = more
            elif isinstance(taken, list) and isinstance(more, list):
                taken += more
            else:
                self._rest = more
                break
        if most is not None and len(taken) > most:
            self._rest, taken = taken[most:], taken[:most]
        if self._rest:
            self.next_fetch_offset = self._rest[0].offset
        elif taken:
            self.next_fetch_offset = max(self.next_fetch_offset, taken[-1].offset + 1)
        return taken

    @property
    def ended(self) -> bool:
        """Whether all was taken."""
        return self._records_iterator is None and not self._rest

    def _unpack_records(self) -> Iterator[Sequence[Record]]:
        """Yield some batches' records at a time. What aiokafka does, but for the loop over the records."""
        held: list[Any] = []
        waiting = 0
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not self._is_whole(batch):
                yield from self._read(held, waiting)
                raise fetcher.Errors.CorruptRecordException(f"Invalid CRC - {self._tp}")
            if self._is_left_out(batch):
                yield from self._read(held, waiting)
                held, waiting = [], 0
                self.next_fetch_offset = batch.next_offset
                continue
            held.append((batch, self._records.latest))
            waiting += inbulk.count_of(self._records.data, self._records.latest.start)
            if waiting >= _AT_ONCE:
                yield from self._read(held, waiting)
                held, waiting = [], 0
        yield from self._read(held, waiting)

    def _read(self, held: list[tuple[Any, slice]], count: int) -> Iterator[Sequence[Record]]:
        """Yield the records of these batches: in one pass of all, or else of each; where that cannot be, as aiokafka reads them."""
        data = self._records.data
        if count >= _TOO_FEW:
            together = inbulk.read(data, [place for _, place in held])
            if together is not None:
                yield from self._from_here(together)
                self.next_fetch_offset = held[-1][0].next_offset
                return
            if len(held) > 1:
                for one in held:
                    yield from self._read([one], inbulk.count_of(data, one[1].start))
                return
        for batch, place in held:
            yield from self._from_here(self._parsed(batch, data[place]))
            self.next_fetch_offset = batch.next_offset

    def _from_here(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        records = since(records, self.next_fetch_offset)
        if records:
            self.next_fetch_offset = records[-1].offset + 1
            yield records

    def _parsed(self, batch: Any, data: bytes) -> list[Record]:
        try:
            return list(batch)
        except UnicodeDecodeError:
            # Kafka takes any bytes for a header's name; aiokafka's parser takes text, and gives up the whole batch.
            return list(Tolerant(data))

    def _is_whole(self, batch: Any) -> bool:
        """Whether it is what its checksum says: with the processor's own instruction a fifth of aiokafka's time."""
        place = self._records.latest
        data = self._records.data
        if not inbulk.is_present(data, place.start) or google_crc32c.implementation != "c":
            return bool(batch.validate_crc())
        summed = data[place.start + _UNSUMMED : place.stop]
        return bool(google_crc32c.value(summed) == batch.crc)

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
    """aiokafka's record batches of an answer, which also says where each lies.

    Attributes
    ----------
    data
        The answer.
    latest
        Where in it the batch lies that was handed out last.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data
        self.latest = slice(0, 0)

    def next_batch(self) -> Any:
        """Return the next batch."""
        start = self.latest.stop
        _, length = _OFFSET_AND_LENGTH.unpack_from(self.data, start)
        self.latest = slice(start, start + _OFFSET_AND_LENGTH.size + length)
        return super().next_batch()


class Tolerant(_DefaultRecordBatchPy):
    """Reads a batch in which names of headers are no text: those records have no headers, the others all theirs."""

    _pos: int

    def _read_msg(self, *_: Any) -> Any:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            return self._without_headers()

    def _without_headers(self) -> _DefaultRecordPy:
        length, start = read_varint(self._buffer, self._pos)
        _, place = read_varint(self._buffer, start)  # attributes, which mean nothing yet
        delta, place = read_varint(self._buffer, place)
        kind = self.timestamp_type
        time = self.max_timestamp if kind == self.LOG_APPEND_TIME else self.first_timestamp + delta
        number, place = read_varint(self._buffer, place)
        key, place = self._field(place)
        value, _ = self._field(place)
        self._pos = start + length
        return _DefaultRecordPy(self.base_offset + number, time, kind, key, value, [])

    def _field(self, place: int) -> tuple[bytes | None, int]:
        size, place = read_varint(self._buffer, place)
        return (
            (None, place) if size < 0 else (bytes(self._buffer[place : place + size]), place + size)
        )


class FetchResult(fetcher.FetchResult):
    """aiokafka's, which knows whether its records still belong to where the consumer stands."""

    _partition_records: PartitionRecords | None

    def getall(self, max_records: int | None = None) -> Sequence[Record]:
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

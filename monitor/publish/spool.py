"""The disk spool: where messages wait, in order, while Kafka is away.

A directory of append-only segments, each named by the first sequence in it. A record is framed as
``length (u32) | crc32 (u32) | msgpack``. A torn tail (the process or the machine died while writing)
ends its segment; what stands before it is read.

Durability: each append is handed to the operating system at once, so it outlives the process. A segment
is synced to the disk when it is full and when the spool is closed; a power cut may take what was written
to the last segment.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FRAME = struct.Struct("<II")
_SUFFIX = ".spool"


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One Kafka message on its way, with the number that it keeps for ever.

    Attributes
    ----------
    sequence
        Monotone per producer; never used twice.
    events
        How many predictions the message holds: 1, or the rows of an Arrow batch.
    """

    sequence: int
    events: int
    key: bytes
    headers: list[tuple[str, bytes]]
    value: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def frame(record: Record) -> bytes:
    """Return the record as it stands in a segment."""
    payload = _encoder.encode(record)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def unframe(data: bytes, start: int = 0) -> Iterator[tuple[Record, int]]:
    """Yield each whole record from `start` on, and where it ends; stop at the first torn one."""
    while start + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, start)
        end = start + _FRAME.size + length
        payload = data[start + _FRAME.size : end]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            return
        try:
            record = _decoder.decode(payload)
        except msgspec.MsgspecError:  # zeros after a power cut: a frame of length 0 has crc 0
            return
        yield record, end
        start = end


@dataclass
class _Segment:
    path: Path
    size: int = 0
    last: int = -1
    events: int = 0


class Spool:
    """A FIFO of records on disk, for one thread of one process.

    Reading and confirming are two things: `read` hands out what was not yet handed out, `confirm` lets go
    of what Kafka has. A segment is deleted when all of it is confirmed, so after a restart a part of one
    segment may be handed out again; the worker knows those by their sequence.

    Parameters
    ----------
    directory
        Made if missing.
    limit_bytes
        What all segments together may take. When it is reached the newest records are refused: what is
        on disk is never taken away, so a long outage leaves one gap, at its end.
    segment_bytes
        Size at which a new segment begins.
    """

    def __init__(
        self, directory: Path, *, limit_bytes: int, segment_bytes: int = 4 * 1024 * 1024
    ) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self._segment_bytes = max(1, min(segment_bytes, limit_bytes // 4))
        self._segments: deque[_Segment] = deque()
        self._file: int | None = None
        self._reading = 0
        self._offset = 0
        #: Bytes that were on disk and could not be read back.
        self.torn_bytes = 0
        #: Why the last `append` kept less than it was given, if the disk was the reason.
        self.trouble: OSError | None = None
        directory.mkdir(parents=True, exist_ok=True)
        for path in sorted(directory.glob(f"*{_SUFFIX}")):
            self._adopt(path)

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be confirmed."""
        return not self._segments

    @property
    def size_bytes(self) -> int:
        """Bytes taken on disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def events(self) -> int:
        """Predictions in the segments, those confirmed in part of a segment included."""
        return sum(segment.events for segment in self._segments)

    @property
    def last(self) -> int:
        """The highest sequence on disk; -1 if nothing is."""
        return max((segment.last for segment in self._segments), default=-1)

    def append(self, records: Iterable[Record]) -> int:
        """Append the records, in order of sequence, and return how many were kept.

        The first that does not fit ends it, and so does a disk that refuses: see `trouble`.
        """
        self.trouble = None
        kept, room = 0, self._limit - self.size_bytes
        batch: list[bytes] = []
        held: list[Record] = []
        space = 0
        for record in records:
            framed = frame(record)
            if len(framed) > room:
                break
            room -= len(framed)
            batch.append(framed)
            held.append(record)
            space += len(framed)
            if space >= self._segment_bytes:
                if not self._write(batch, held):
                    return kept
                kept += len(held)
                batch, held, space = [], [], 0
        if held and self._write(batch, held):
            kept += len(held)
        return kept

    def read(self) -> list[Record]:
        """Return the next records not yet handed out: the rest of one segment, or nothing."""
        while self._reading < len(self._segments):
            segment = self._segments[self._reading]
            if self._offset < segment.size:
                data = _read_from(segment.path, self._offset, segment.size - self._offset)
                found = list(unframe(data))
                taken = found[-1][1] if found else 0
                self._offset += taken
                if taken < len(data):  # altered since it was written or adopted
                    self.torn_bytes += len(data) - taken
                    self._offset = segment.size
                if found:
                    return [record for record, _ in found]
            if self._file is not None and self._reading == len(self._segments) - 1:
                break  # still being written
            self._reading += 1
            self._offset = 0
        return []

    def confirm(self, sequence: int) -> None:
        """Let go of all segments that hold nothing after `sequence`."""
        while self._segments and self._segments[0].last <= sequence:
            segment = self._segments.popleft()
            if not self._segments and self._file is not None:
                os.close(self._file)
                self._file = None
            segment.path.unlink(missing_ok=True)
            if self._reading > 0:
                self._reading -= 1
            else:
                self._offset = 0

    def rewind(self) -> None:
        """Hand out again all that is not yet confirmed."""
        self._reading = self._offset = 0

    def close(self) -> None:
        """Sync and close; the content stays for the next start."""
        if self._file is not None:
            self._seal()

    def _adopt(self, path: Path) -> None:
        data = path.read_bytes()
        segment = _Segment(path)
        for record, segment.size in unframe(data):
            segment.last = record.sequence
            segment.events += record.events
        self.torn_bytes += len(data) - segment.size
        if segment.size:
            self._segments.append(segment)
        else:
            path.unlink()

    def _write(self, batch: list[bytes], records: list[Record]) -> bool:
        try:
            if self._file is None:
                path = self._directory / f"{records[0].sequence:020d}{_SUFFIX}"
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                self._segments.append(_Segment(path))
            segment = self._segments[-1]
            view = memoryview(b"".join(batch))
            size = segment.size + len(view)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self.trouble = error
            if self._file is not None:  # no torn record may stand before a whole one
                os.ftruncate(self._file, self._segments[-1].size)
            return False
        segment.size = size
        segment.events += sum(record.events for record in records)
        segment.last = records[-1].sequence
        if size >= self._segment_bytes:
            self._seal()
        return True

    def _seal(self) -> None:
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None


def _read_from(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)

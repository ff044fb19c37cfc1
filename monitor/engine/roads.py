"""From records to rows: JSON, MessagePack and Arrow of one model version, under one layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import numpy as np

from monitor.engine.block import Block, arrivals
from monitor.engine.intake import FEWEST_HEADERS
from monitor.errors import EventError
from monitor.events import ARROW_CONTENT, MSGPACK_CONTENT, ModelVersion
from monitor.profiles.arrow import ArrowDecoder
from monitor.profiles.buffer import RowBuffer
from monitor.profiles.decoder import Decoded, RowDecoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.engine.records import Record
    from monitor.profiles.layout import Layout
    from monitor.profiles.profile import Profile

    Positions = NDArray[np.intp]
    Floats = NDArray[np.float64]


class Sink(Protocol):
    """Where a road's rows go: a window's buffer, and the road that it was made for."""

    road: Road
    buffer: RowBuffer


class Road:
    """How one version's records are read under one layout.

    Attributes
    ----------
    name
        Short hash of the layout.
    """

    def __init__(self, subject: ModelVersion, layout: Layout) -> None:
        self.subject, self.layout = subject, layout
        self.name = hashlib.sha256(msgspec.msgpack.encode(layout)).hexdigest()[:16]
        self._rows: dict[bytes, RowDecoder] = {}
        self._arrow: ArrowDecoder | None = None

    def buffer(self, profile: Profile) -> RowBuffer:
        """Return a buffer whose rows are folded into the profile."""
        return RowBuffer(profile)

    def decode(self, records: Sequence[Record], content: bytes) -> list[Batch]:
        """Return the records' events, in order: one batch, or with Arrow one a record."""
        if content == ARROW_CONTENT:
            return [self._columns(record) for record in records]
        values = (
            records.values if isinstance(records, Block) else [record.value for record in records]
        )
        decoded = self._decoder(content).decode(values)
        bad = [(records[position], error) for position, error in decoded.bad]
        return [Batch(self, content, records, decoded, bad)]

    def _columns(self, record: Record) -> Batch:
        if self._arrow is None:
            self._arrow = ArrowDecoder(self.layout, self.subject)
        try:
            decoded = self._arrow.decode(record.value)
        except EventError as error:
            return Batch(self, ARROW_CONTENT, [record], None, [(record, error)])
        return Batch(self, ARROW_CONTENT, [record], decoded, [])

    def _decoder(self, content: bytes) -> RowDecoder:
        decoder = self._rows.get(content)
        if decoder is None:
            decoder = self._rows[content] = RowDecoder(
                self.layout, self.subject, "msgpack" if content == MSGPACK_CONTENT else "json"
            )
        return decoder


class Refused(NamedTuple):
    """An event set aside because a feature is of another type.

    Attributes
    ----------
    time
        Of the event, seconds.
    """

    offset: int
    time: float
    feature: str
    reason: str


@dataclass(slots=True)
class Batch:
    """Decoded events of one version, of which some may turn out not to count.

    Attributes
    ----------
    records
        One an event, by `Decoded.index`; or a single one that holds them all.
    bad
        Records that are no events, with the reason.
    times
        Event times of those that may count, shape (n,), seconds.
    refused
        Events among the bad that are so only for the type of a feature.
    """

    road: Road
    content: bytes
    records: Sequence[Record]
    decoded: Decoded | None
    bad: list[tuple[Record, EventError]]
    refused: list[Refused] = field(default_factory=list)
    _at: Positions | None = None
    _unusual: set[int] | None = None

    @property
    def times(self) -> Floats:
        """Event times, shape (n,), seconds."""
        if self.decoded is None:
            return np.empty(0)
        return self.decoded.times if self._at is None else self.decoded.times[self._at]

    def record(self, event: int) -> Record:
        """Return the record that holds an event."""
        if self.content == ARROW_CONTENT or self.decoded is None:
            return self.records[0]
        row = event if self._at is None else int(self._at[event])
        index = self.decoded.index
        return self.records[row if index is None else int(index[row])]

    def traced(self, events: Positions) -> Iterator[Record]:
        """Yield the records of these events that may carry a trace, in order of arrival.

        Our publisher writes so many headers without one: most records are passed over by this alone.
        """
        if self.content == ARROW_CONTENT:
            yield from self.records[:1]
            return
        if self._unusual is None:
            self._unusual = _unusual(self.records)
        if self._unusual:
            records = map(self.record, events.tolist())
            yield from (record for record in records if record.offset in self._unusual)

    def arrivals(self) -> Floats:
        """Return when each event arrived, shape (n,), seconds."""
        if self.content == ARROW_CONTENT:
            return np.full(len(self.times), self.records[0].timestamp / 1000)
        rows = arrivals(self.records)
        if self.decoded is not None and self.decoded.index is not None:
            rows = rows[self.decoded.index]
        return rows if self._at is None else rows[self._at]

    def keep(self, events: Positions) -> None:
        """Let only these events count."""
        self._at = events if self._at is None else self._at[events]

    def append(self, events: Positions, sink: Sink) -> int:
        """Have a window count these events; one of an older layout reads its records again.

        Returns
        -------
        int
            How many of them it could not read; their records are in `bad` now.
        """
        if self.decoded is None:
            return 0
        rows = events if self._at is None else self._at[events]
        if sink.road is self.road or sink.road.layout == self.road.layout:
            everything = len(rows) == len(self.decoded.times)
            sink.buffer.append(self.decoded, None if everything else rows)
            return 0
        records = self.records
        if self.content != ARROW_CONTENT:
            index = self.decoded.index
            records = [self.records[row if index is None else int(index[row])] for row in rows]
        taken = 0
        for again in sink.road.decode(records, self.content):
            self.bad += again.bad
            if again.decoded is not None:
                chosen = rows if self.content == ARROW_CONTENT else None
                sink.buffer.append(again.decoded, chosen)
                taken += len(again.decoded) if chosen is None else len(chosen)
        return len(rows) - taken


def _unusual(records: Sequence[Record]) -> set[int]:
    """Return the offsets of records that have not just the headers which our publisher writes without a trace."""
    if isinstance(records, Block):
        return set(records.offsets[~records.usual].tolist())
    return {record.offset for record in records if len(record.headers) != FEWEST_HEADERS}

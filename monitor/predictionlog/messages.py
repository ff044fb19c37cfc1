"""Kafka messages as the log needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from monitor.engine.block import Block, arrivals
from monitor.engine.intake import CONTENT_HEADER, FORWARDED_HEADER
from monitor.events import JSON_CONTENT
from monitor.kernels.pieces import Pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.engine.records import Record

    Integers = NDArray[np.int64]


class Message(NamedTuple):
    """What the log needs of a Kafka message; `arrived` in seconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    arrived: float
    key: bytes | None
    value: bytes | None
    content: bytes


class Kind(NamedTuple):
    """What many messages have in common."""

    key: bytes | None
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Messages(Sequence[Message]):
    """Messages of one topic in columns: each is made when it is asked for.

    Attributes
    ----------
    partitions, offsets, arrived
        Of each message, shape (n,); `arrived` in seconds since 1970 UTC.
    values
        An empty one where there is none.
    kinds, kind
        What kinds of messages there are, and which of them each is, shape (n,).

    Examples
    --------
    >>> messages = Messages.of([Message("predictions", 0, 7, 1.7e9, b"credit/7", b"{}", b"application/json")])
    >>> messages.offsets.tolist(), messages[0].key
    ([7], b'credit/7')
    """

    topic: str
    partitions: Integers
    offsets: Integers
    arrived: NDArray[np.float64]
    values: Pieces
    kinds: Sequence[Kind]
    kind: Integers

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Messages:
        """Return these messages, all of one topic, in columns."""
        if isinstance(messages, Messages):
            return messages
        return cls(
            messages[0].topic if messages else "",
            np.array([one.partition for one in messages], np.int64),
            np.array([one.offset for one in messages], np.int64),
            np.array([one.arrived for one in messages], np.float64),
            Pieces.of([one.value for one in messages]),
            *_numbered([Kind(one.key, one.content) for one in messages]),
        )

    @classmethod
    def joined(cls, several: Sequence[Messages]) -> Messages:
        """Return all of several."""
        if len(several) == 1:
            return several[0]
        kinds: dict[Kind, int] = {}
        numbers = [
            np.array([kinds.setdefault(kind, len(kinds)) for kind in one.kinds], np.int64)[one.kind]
            for one in several
        ]
        return cls(
            several[0].topic,
            np.concatenate([one.partitions for one in several]),
            np.concatenate([one.offsets for one in several]),
            np.concatenate([one.arrived for one in several]),
            Pieces.joined([one.values for one in several]),
            list(kinds),
            np.concatenate(numbers),
        )

    def take(self, which: Integers | slice) -> Messages:
        """Return some of them."""
        return Messages(
            self.topic,
            self.partitions[which],
            self.offsets[which],
            self.arrived[which],
            self.values.take(which),
            self.kinds,
            self.kind[which],
        )

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> Messages: ...
    def __getitem__(self, at: int | slice) -> Message | Messages:
        if isinstance(at, slice):
            return self.take(at)
        key, content = self.kinds[self.kind[at]]
        return Message(
            self.topic,
            int(self.partitions[at]),
            int(self.offsets[at]),
            float(self.arrived[at]),
            key,
            self.values[at],
            content,
        )


def messages_of(
    records: Sequence[Record], topic: str, partition: int
) -> tuple[Messages, Sequence[Record]]:
    """Return what the log needs of a partition's records, and the records: without copies of such as lie in other partitions."""
    kinds: Sequence[Kind]
    if isinstance(records, Block):  # copies have their mark last, and come in no block
        offsets, values = records.offsets, records.values
        kinds = [Kind(sender.key, sender.content or JSON_CONTENT) for sender in records.senders]
        kind = records.sender
    else:
        contents = list(map(_content, records))
        if None in contents:
            told = zip(records, contents, strict=True)
            records = [record for record, content in told if content is not None]
        offsets = np.fromiter((record.offset for record in records), np.int64, len(records))
        values = Pieces.of([record.value for record in records])
        keys = (record.key for record in records)
        kinds, kind = _numbered(map(Kind, keys, filter(None, contents)))
    places = np.full(len(offsets), partition, np.int64)
    return Messages(topic, places, offsets, arrivals(records), values, kinds, kind), records


def _content(record: Record) -> bytes | None:
    """Return a record's content type, JSON if it says none; None if it is a copy of one that lies in another partition."""
    named = dict(record.headers)
    return None if FORWARDED_HEADER in named else named.get(CONTENT_HEADER) or JSON_CONTENT


def _numbered(kinds: Iterable[Kind]) -> tuple[list[Kind], Integers]:
    """Return the distinct ones, and which of them each is, shape (n,)."""
    known: dict[Kind, int] = {}
    numbers = [known.setdefault(kind, len(known)) for kind in kinds]
    return list(known), np.array(numbers, np.int64)

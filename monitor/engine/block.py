"""Many records in columns: what a fetch brought of our own publishers, without an object a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from monitor.engine.records import Numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.engine.records import Record
    from monitor.kernels.pieces import Pieces

    Integers = NDArray[np.int64]


class Sender(NamedTuple):
    """What all records have in common that one publisher sends of one version in one way."""

    key: bytes
    content: bytes
    producer: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Block(Sequence[Numbered]):
    """Records of one partition, in order of their offsets; each is made when it is asked for.

    Attributes
    ----------
    offsets, stamps, sequences
        Of each record, shape (n,); time stamps in milliseconds since 1970 UTC.
    values, headers
        Of each record, the headers as Kafka writes them.
    usual
        Whether it has as many headers as our publisher writes without a trace, shape (n,).
    senders, sender
        Who sent any of them, and which of those each record is from, shape (n,).
    """

    offsets: Integers
    stamps: Integers
    sequences: Integers
    values: Pieces
    headers: Pieces
    usual: NDArray[np.bool_]
    senders: Sequence[Sender]
    sender: Integers

    def take(self, which: Integers | slice) -> Block:
        """Return some of them."""
        return Block(
            self.offsets[which],
            self.stamps[which],
            self.sequences[which],
            self.values.take(which),
            self.headers.take(which),
            self.usual[which],
            self.senders,
            self.sender[which],
        )

    def split(self, of: Callable[[Sender], bytes]) -> list[tuple[bytes, Block]]:
        """Return the records of senders that have something in common, each with what that is; in order of arrival."""
        names, which = self._named(of)
        if len(names) == 1:
            return [(names[0], self)]
        # Sorted once, however many there are.
        order = np.argsort(which, kind="stable")
        bounds = np.searchsorted(which[order], np.arange(len(names) + 1)).tolist()
        return [
            (name, self.take(order[start:stop]))
            for name, (start, stop) in zip(names, pairwise(bounds), strict=True)
            if start < stop
        ]

    def cut(self, of: Callable[[Sender], bytes]) -> list[tuple[bytes, Block]]:
        """Return consecutive records that have something in common, each with what that is."""
        names, which = self._named(of)
        changes = (np.flatnonzero(which[1:] != which[:-1]) + 1).tolist()
        return [
            (names[which[start]], self[start:stop])
            for start, stop in pairwise([0, *changes, len(self)])
        ]

    def _named(self, of: Callable[[Sender], bytes]) -> tuple[list[bytes], Integers]:
        """Return the distinct names of all senders, and which of them each record has, shape (n,)."""
        numbers: dict[bytes, int] = {}
        of_sender = [numbers.setdefault(of(sender), len(numbers)) for sender in self.senders]
        return list(numbers), np.array(of_sender, np.int64)[self.sender]

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, at: int) -> Numbered: ...
    @overload
    def __getitem__(self, at: slice) -> Block: ...
    def __getitem__(self, at: int | slice) -> Numbered | Block:
        if isinstance(at, slice):
            return self.take(at)
        sender = self.senders[self.sender[at]]
        return Numbered(
            int(self.offsets[at]),
            int(self.stamps[at]),
            sender.key,
            sender.content,
            sender.producer,
            int(self.sequences[at]),
            self.values[at],
            self.headers[at],
        )


def arrivals(records: Sequence[Record]) -> NDArray[np.float64]:
    """Return when each record arrived, seconds since 1970 UTC, shape (n,)."""
    if isinstance(records, Block):
        return records.stamps / 1000
    return np.fromiter((record.timestamp for record in records), np.float64, len(records)) / 1000


def keys(records: Sequence[Record]) -> set[bytes | None]:
    """Return the records' distinct keys."""
    if isinstance(records, Block):
        present = np.flatnonzero(np.bincount(records.sender)).tolist()
        return {records.senders[sender].key for sender in present}
    return {record.key for record in records}


def since(records: Sequence[Record], offset: int) -> Sequence[Record]:
    """Return those from an offset on."""
    if not records or records[0].offset >= offset:
        return records
    if isinstance(records, Block):
        return records[int(np.searchsorted(records.offsets, offset)) :]
    return [record for record in records if record.offset >= offset]

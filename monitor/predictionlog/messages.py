"""Kafka messages as the log needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import starmap
from typing import Any, NamedTuple, overload


class Message(NamedTuple):
    """What the log needs of a Kafka message; `arrived` in seconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    arrived: float
    key: bytes | None
    value: bytes | None
    content: bytes


@dataclass(slots=True)
class Messages(Sequence[Message]):
    """Messages in columns: each is made when it is asked for.

    Examples
    --------
    >>> messages = Messages.of([Message("predictions", 0, 7, 1.7e9, b"credit/7", b"{}", b"application/json")])
    >>> messages.offsets, messages[0].key
    ([7], b'credit/7')
    """

    topics: list[str] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Messages:
        """Return these messages in columns."""
        if isinstance(messages, Messages):
            return messages
        return cls(*map(list, zip(*messages, strict=True)))

    @property
    def columns(self) -> tuple[list[Any], ...]:
        """All columns, in the order of a message's fields."""
        return tuple(getattr(self, one.name) for one in fields(self))

    def extend(self, more: Messages) -> None:
        """Add messages."""
        for column, others in zip(self.columns, more.columns, strict=True):
            column.extend(others)

    def take(self, positions: Iterable[int]) -> Messages:
        """Return some of them."""
        wanted = list(positions)
        return Messages(*([column[at] for at in wanted] for column in self.columns))

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[Message]:
        return starmap(Message, zip(*self.columns, strict=True))

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> Messages: ...
    def __getitem__(self, at: int | slice) -> Message | Messages:
        if isinstance(at, slice):
            return Messages(*(column[at] for column in self.columns))
        return Message(*(column[at] for column in self.columns))

"""A Kafka message as the log needs it."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """What the log needs of a Kafka message; `arrived` in seconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    arrived: float
    key: bytes | None
    value: bytes | None
    content: bytes

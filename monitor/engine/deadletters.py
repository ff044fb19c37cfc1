"""What is kept of a record that could not be counted: all of it, unless no topic would take it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from monitor.reports import DeadLetter

if TYPE_CHECKING:
    from monitor.engine.records import Record
    from monitor.errors import EventError

#: Most bytes of a record's value that a dead letter holds, and of a record that is sent on to another partition. The
#: topics take records of 16 MiB, and a value of so many bytes is 11 MiB in JSON.
LETTER_BYTES = 8 << 20

#: The same of its key, and of its headers together: past it they are left out.
_KEY_BYTES, _HEADER_BYTES = 64 << 10, 1 << 20


def dead_letter(record: Record, error: EventError, *, topic: str, partition: int) -> DeadLetter:
    """Return the record with the reason; one that is too large for any topic is cut, and says so.

    Without that its partition would be stuck: the position moves in the same transaction as the dead letter.
    """
    value, reason, headers = record.value, error.reason, tuple(record.headers)
    if value is not None and len(value) > LETTER_BYTES:
        reason = f"{reason} (the first {LETTER_BYTES} bytes of {len(value)})"
        value = value[:LETTER_BYTES]
    return DeadLetter(
        topic=topic,
        partition=partition,
        offset=record.offset,
        field=error.field,
        reason=reason,
        at=record.timestamp / 1000,
        key=record.key if record.key is None else record.key[:_KEY_BYTES],
        value=value,
        headers=headers if _size(headers) <= _HEADER_BYTES else (),
    )


def size_of(record: Record) -> int:
    """Return how many bytes a record is, about: key, value and headers."""
    return len(record.key or b"") + len(record.value or b"") + _size(record.headers)


def _size(headers: Iterable[tuple[str, bytes]]) -> int:
    return sum(len(name) + len(value or b"") for name, value in headers)

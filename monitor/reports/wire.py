"""How what was measured and decided goes over the wire: as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from monitor.reports.decision import Decision, Verdict
from monitor.reports.report import Report


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A record that could not be counted, with its reason and its bytes.

    Attributes
    ----------
    field
        What was at fault: a path such as ``features.age``, or ``$``.
    value
        The original bytes, whole (base64 in JSON).
    """

    topic: str
    partition: int
    offset: int
    field: str
    reason: str
    at: float
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


# Each type is made ready here, in the thread that imports, and not in whichever uses it first: see decision 040.
for _type in (Report, Verdict, Decision, DeadLetter):
    msgspec.json.Decoder(_type)


def encode(value: Struct) -> bytes:
    """Return the value as JSON; NaN and infinities never occur in it: a measure without a number is null."""
    return msgspec.json.encode(value)


def as_dict(value: Struct) -> dict[str, Any]:
    """Return the value as plain dicts, lists and scalars."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain

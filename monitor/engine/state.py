"""The engine's state as keys and values of the compacted state topic, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec
import zstandard
from msgspec import Struct

from monitor.errors import StateError
from monitor.reports import Verdict

#: Raised whenever a struct below changes its meaning.
FORMAT = 1

#: Largest value of one Kafka message; a longer one is cut into pieces.
PIECE_BYTES = 900_000

PROGRESS_KEY = b"progress"


class Progress(Struct, frozen=True, kw_only=True):
    """How far a source partition has been counted.

    Attributes
    ----------
    position
        Offset of the next record to read.
    now
        Latest arrival time known, seconds since 1970 UTC.
    sequences
        Highest sequence counted, per producer id, with the arrival time of its last record.
    """

    format: int
    position: int
    now: float
    sequences: dict[str, tuple[int, float]]


class Written(Struct, frozen=True, kw_only=True):
    """The one thing that the progress record of every release says."""

    format: int


class SpanState(Struct, frozen=True, kw_only=True):
    """A window's bookkeeping.

    Attributes
    ----------
    layout
        Name of the layout that its profile has.
    stale
        Whether something was counted since its last report.
    kept
        Past all lateness; its profile stays for the policy's streak.
    traces
        Trace ids of a few of its events.
    """

    first: int
    stop: int
    n: int
    frozen: bool
    revision: int
    stale: bool
    layout: str
    kept: bool = False
    traces: tuple[str, ...] = ()


class VersionState(Struct, frozen=True, kw_only=True):
    """All of a model version but its layouts, profiles, event ids and reports, which have keys of their own.

    Attributes
    ----------
    length
        Of a slot, seconds: that of the policy when the version began, for as long as the version lasts.
    final
        Up to here, windows are final, seconds of event time; None while none is.
    """

    model: str
    version: str
    length: float
    watermark: float | None
    last_arrival: float
    idled_until: float
    layout: str
    spans: tuple[SpanState, ...]
    verdict: Verdict | None = None
    final: float | None = None


S = TypeVar("S", bound=Struct)


def pack(value: Struct) -> bytes:
    """Return the value as MessagePack."""
    return msgspec.msgpack.encode(value)


def unpack(data: bytes, type_: type[S]) -> S:
    """Read what `pack` wrote.

    Raises
    ------
    StateError
        If another release wrote it.
    """
    try:
        return msgspec.msgpack.decode(data, type=type_)
    except msgspec.MsgspecError as error:
        msg = f"the stored state cannot be read: {error}"
        raise StateError(
            msg, fix="Run the release that wrote it, or rebuild from the log."
        ) from error


class Pieces:
    """Values of any length as Kafka messages: compressed, cut, and put together again.

    Examples
    --------
    >>> pieces = Pieces()
    >>> written = pieces.write(b"k", b"value")
    >>> list(written)
    [b'k']
    >>> Pieces().read(written)
    {b'k': b'value'}
    >>> pieces.erase(b"k")
    {b'k': None}
    """

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._compress = zstandard.ZstdCompressor(level=1).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    def write(self, key: bytes, value: bytes) -> dict[bytes, bytes | None]:
        """Return the messages that store `value` under `key`, tombstones of left-over pieces included."""
        data = self._compress(value)
        cuts = range(0, len(data), PIECE_BYTES)
        parts = [data[cut : cut + PIECE_BYTES] for cut in cuts]
        changes: dict[bytes, bytes | None] = {}
        for number, name in enumerate(_names(key, max(len(parts), self._counts.get(key, 0)))):
            known = number < len(parts)
            prefix = len(parts).to_bytes(2, "big") if number == 0 else b""
            changes[name] = prefix + parts[number] if known else None
        self._counts[key] = len(parts)
        return changes

    def erase(self, key: bytes) -> dict[bytes, bytes | None]:
        """Return the tombstones of all pieces of `key`."""
        return dict.fromkeys(_names(key, self._counts.pop(key, 1)))

    def read(self, messages: Mapping[bytes, bytes | None]) -> dict[bytes, bytes]:
        """Return the values put together, by key.

        Raises
        ------
        StateError
            If a piece is missing, which a transaction rules out.
        """
        values = {}
        for key, head in messages.items():
            if b"\x00" in key or head is None:
                continue
            count = int.from_bytes(head[:2], "big")
            try:
                data = head[2:] + b"".join(
                    messages[name] or b"" for name in list(_names(key, count))[1:]
                )
                values[key] = self._decompress(data)
            except (KeyError, zstandard.ZstdError) as error:
                msg = f"the stored state of {key.decode(errors='replace')} is not whole"
                raise StateError(msg) from error
            self._counts[key] = count
        return values


def _names(key: bytes, count: int) -> Iterator[bytes]:
    yield key
    for number in range(1, count):
        yield key + b"\x00" + str(number).encode()

"""JSON events whose features and groups stay as they were written: most of an event, and the log keeps features as JSON.

What is looked for in features is looked for in those of many events at once, in one run over joined bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from monitor.events import PredictionEvent

#: Names are held to the contract by the whole decoding of the first event that bears them, times and groups later.
_AS_WRITTEN = {
    "features": msgspec.Raw,
    "groups": msgspec.Raw,
    "event_time": str,
    "model_name": str,
    "model_version": str,
}

#: Features of so many bytes may hold an integer with more digits than Python reads.
_LONG = 4_300


def _field(info: Any) -> tuple[str, Any, Any]:
    if info.name == "groups":
        return info.name, msgspec.Raw, msgspec.field(default=msgspec.Raw(b"{}"))
    default: Any = {"default": info.default, "default_factory": info.default_factory}
    return info.name, _AS_WRITTEN.get(info.name, info.type), msgspec.field(**default)


_Written: Any = msgspec.defstruct(
    "Written", map(_field, msgspec.structs.fields(PredictionEvent)), kw_only=True, gc=False
)

#: Reads an event at a third of what the whole decoding costs.
decode_written = msgspec.json.Decoder(_Written).decode


def odd(features: Sequence[msgspec.Raw], names: Iterable[str]) -> set[int]:
    r"""Return which of several events' features must be read before it is known what is in them.

    All others are flat objects of numbers, texts, booleans and nulls, none of which bears one of these names.

    Parameters
    ----------
    features
        JSON values, as they were written.
    names
        What must not stand among them. A name is there between quotes, unless a character of it is escaped: so
        features with an escape are odd, whatever it means.

    Examples
    --------
    >>> texts = ['{"age":1}', '{"sex":0}', '{"a":[1]}', r'{"s\u0065x":0}', '{"a":{}}', "7", '{"note":"{"}']
    >>> sorted(odd([msgspec.Raw(text.encode()) for text in texts], ["sex"]))
    [1, 2, 3, 4, 5, 6]
    """
    sizes = np.fromiter(map(len, features), np.int64, len(features))
    joined = b"".join(features)
    ends = np.cumsum(sizes)
    first = np.frombuffer(joined, np.uint8)[ends - sizes]
    found = set(np.flatnonzero((first != ord("{")) | (sizes > _LONG)).tolist())
    last = ends.tolist()
    if joined.count(b"{") != len(features):
        found.update(row for row, text in enumerate(features) if bytes(text).find(b"{", 1) > 0)
    if not _is_text(joined):
        found.update(row for row, text in enumerate(features) if not _is_text(bytes(text)))
    # A name may have half of a surrogate pair, which no text has.
    quoted = [f'"{name}"'.encode(errors="surrogatepass") for name in names]
    for mark in (b"[", b"\\", *quoted):
        # Without its quotes, of which there are many, a name that is not there is missed sooner.
        if mark.strip(b'"') in joined:
            found.update(_rows_with(mark, joined, last))
    return found


def as_column(features: Sequence[msgspec.Raw]) -> pa.Array:
    """Return features as they were written, as a column of texts; none of them may be odd."""
    offsets = np.zeros(len(features) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, features), np.int64, len(features)), out=offsets[1:])
    buffers = pa.py_buffer(offsets), pa.py_buffer(b"".join(features))
    return pa.LargeStringArray.from_buffers(len(features), *buffers).cast(pa.string())


def _rows_with(mark: bytes, joined: bytes, ends: Sequence[int]) -> Iterator[int]:
    at = joined.find(mark)
    while at >= 0:
        row = bisect_right(ends, at)
        yield row
        at = joined.find(mark, ends[row])


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

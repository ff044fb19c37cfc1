"""JSON events whose features and groups stay as they were written: most of an event, and the log keeps features as JSON.

What is looked for in features is looked for in those of many events at once, in one run over joined bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from monitor.events import PredictionEvent
from monitor.kernels.pieces import bounds_of

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


class Texts:
    r"""Several events' features, as they were written.

    Examples
    --------
    >>> said = ['{"age":1}', '{"sex":0}', '{"a":[1]}', r'{"s\u0065x":0}', '{"a":{}}', "7", '{"note":"{"}']
    >>> texts = Texts([msgspec.Raw(one.encode()) for one in said])
    >>> sorted(texts.odd(["sex"]))
    [1, 2, 3, 4, 5, 6]
    >>> texts.column()[0].as_py()
    '{"age":1}'
    """

    def __init__(self, features: Sequence[msgspec.Raw]) -> None:
        self._features = features
        self._joined = b"".join(features)
        #: Where each begins, and the last one ends.
        self._bounds = bounds_of(features)

    def odd(self, names: Iterable[str]) -> set[int]:
        """Return which must be read before it is known what is in them.

        All others are flat objects of numbers, texts, booleans and nulls, none of which bears one of these names.

        Parameters
        ----------
        names
            What must not stand among them. A name is there between quotes, unless a character of it is escaped: so
            features with an escape are odd, whatever it means.
        """
        joined, begin = self._joined, self._bounds[:-1]
        first = np.frombuffer(joined, np.uint8)[begin]
        found = set(np.flatnonzero((first != ord("{")) | (np.diff(self._bounds) > _LONG)).tolist())
        if found or joined.count(b"{") != len(self._features):
            found.update(self._where(lambda text: text.find(b"{", 1) > 0))
        if not _is_text(joined):
            found.update(self._where(lambda text: not _is_text(text)))
        # A name may have half of a surrogate pair, which no text has.
        quoted = [f'"{name}"'.encode(errors="surrogatepass") for name in names]
        for mark in (b"[", b"\\", *quoted):
            # Without its quotes, of which there are many, a name that is not there is missed sooner.
            if mark.strip(b'"') in joined:
                found.update(self._with(mark))
        return found

    def column(self) -> pa.Array:
        """Return them as a column; the texts of odd ones may be none."""
        buffers = pa.py_buffer(self._bounds), pa.py_buffer(self._joined)
        column = pa.LargeStringArray.from_buffers(len(self._features), *buffers)
        return column.cast(pa.string())

    def _where(self, so: Callable[[bytes], bool]) -> Iterator[int]:
        return (row for row, text in enumerate(self._features) if so(bytes(text)))

    def _with(self, mark: bytes) -> Iterator[int]:
        bounds = self._bounds.tolist()
        at = self._joined.find(mark)
        while at >= 0:
            row = bisect_right(bounds, at) - 1
            yield row
            at = self._joined.find(mark, bounds[row + 1])


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

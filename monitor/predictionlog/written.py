"""JSON events read side by side, without an object each: what most of a topic is.

A compiled loop finds where each field's value stands in all messages at once, and Arrow's columns are copied from there:
features and groups stay as they were written. A message in which anything is not sure is left to whoever decodes it
whole: escapes, nesting, unknown fields, long numbers, a human override, bytes that are no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import eq
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.events import PredictionEvent
from monitor.kernels import loaded
from monitor.kernels.contents import Content
from monitor.kernels.pieces import Pieces, bounds_of
from monitor.predictionlog.columns import Distinct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.events import ModelVersion

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

#: What each field of an event may hold here: all that the contract allows, or less.
FIELDS = {
    "event_id": Content.TEXT,
    "prediction_id": Content.TEXT,
    "event_time": Content.INSTANT,
    "model_name": Content.TEXT,
    "model_version": Content.TEXT,
    "features": Content.OBJECT,
    "prediction": Content.SCALAR,
    "run_id": Content.TEXT_OR_NULL,
    "score": Content.NUMBER_OR_NULL,
    "groups": Content.OBJECT,
    "subject": Content.TEXT_OR_NULL,
    "session_id": Content.TEXT_OR_NULL,
    "transaction_id": Content.TEXT_OR_NULL,
    "human_override": Content.NULL,
    "latency_ms": Content.NUMBER_OR_NULL,
    "sampling_fraction": Content.NUMBER,
    "deployment": Content.TEXT_OR_NULL,
    "schema_version": Content.DIGIT,
}

#: Of each field that is found as bytes, the first of its two rows of places; of each that is a number, its row.
_PLACES = {name: 2 * at for at, name in enumerate(n for n, has in FIELDS.items() if has.has_place)}
_NUMBERS = {name: at for at, name in enumerate(n for n, has in FIELDS.items() if has.has_number)}
_TARGETS = _PLACES | _NUMBERS

_TEXTS = {Content.TEXT, Content.TEXT_OR_NULL}

#: A longer identifier may have too many characters: as many bytes as it may have characters are never too many.
_LONGEST_ID = 256

#: Arrow's texts lie within 2 GiB.
_LARGEST = (1 << 31) - 1

#: What the kernel says of a message whose text is to be looked at.
_BEYOND_ASCII = 2


@dataclass(frozen=True, slots=True)
class Written:
    """Events as they were written.

    Attributes
    ----------
    which
        Which of the messages they are, shape (n,), in order.
    """

    which: Integers
    _data: NDArray[np.uint8]
    _places: NDArray[np.int64]
    _numbers: Floats
    _found: dict[str, pa.StringArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.which)

    def where(self, wanted: Mask) -> Written:
        """Return some of them."""
        if wanted.all():
            return self
        places = np.ascontiguousarray(self._places[:, wanted])
        numbers = np.ascontiguousarray(self._numbers[:, wanted])
        return Written(self.which[wanted], self._data, places, numbers)

    def texts(self, field: str) -> pa.StringArray:
        """Return a field's texts without their quotes, or its objects and scalars as JSON; null where it is null or absent."""
        known = self._found.get(field)
        if known is None:
            known = self._found[field] = self._copied(*self._places[_PLACES[field] :][:2])
        return known

    def _copied(self, begins: Integers, ends: Integers) -> pa.StringArray:
        there = begins >= 0
        bounds = np.zeros(len(self) + 1, np.int32)
        room = np.empty(int((ends - begins).sum()) + 8, np.uint8)
        loaded("objects").copy(self._data, begins, ends, bounds, room)
        return pa.StringArray.from_buffers(
            len(self),
            pa.py_buffer(bounds),
            pa.py_buffer(room[:-8]),
            None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little")),
        )

    def numbers(self, field: str) -> Floats:
        """Return a field's numbers, of an instant microseconds since 1970 UTC; NaN where it is null or absent."""
        numbers: Floats = self._numbers[_NUMBERS[field]]
        return numbers

    def columns(self) -> dict[str, Any]:
        """Return what the events say, by field; of answers the values, of times microseconds since 1970 UTC."""
        answers = Distinct.of(self.texts("prediction"))
        return {
            **{name: self.texts(name) for name, has in FIELDS.items() if has in _TEXTS},
            **{name: self.numbers(name) for name in _NUMBERS},
            "event_time": self.numbers("event_time").astype(np.int64),
            "prediction": answers._replace(values=[*map(msgspec.json.decode, answers.values)]),
            "human_override": [None] * len(self),
        }

    def are(self, versions: Sequence[ModelVersion]) -> Mask:
        """Whether each says that it is of its version, or of the only one, shape (n,)."""
        models, numbers = self.texts("model_name"), self.texts("model_version")
        if len(versions) == 1:
            model, version = versions[0]
            same = pc.and_(pc.equal(models, model), pc.equal(numbers, version))
            return np.asarray(same)
        said = zip(models.to_pylist(), numbers.to_pylist(), strict=True)
        return np.fromiter(map(eq, said, versions), np.bool_, len(self))

    def bears(self, field: str, names: Iterable[str]) -> Mask:
        r"""Whether a field's object may have one of these names, shape (n,): all that have, and few others.

        Examples
        --------
        >>> told = b'{"event_id":"e","prediction_id":"p","event_time":"2026-01-02T00:00:00Z","model_name":"m",'
        >>> told += b'"model_version":"1","prediction":1,"features":{"was":"sex"}}'
        >>> written = read([told, told.replace(b"sex", b"so")])
        >>> written.bears("features", ["sex"]).tolist()
        [True, False]
        """
        # A name may have half of a surrogate pair, which no text has.
        looked_for = [b'%b"' % name.encode(errors="surrogatepass") for name in names]
        found = np.zeros(len(self), np.int64)
        text = np.frombuffer(b"".join([*looked_for, bytes(8)]), np.uint8)
        begins, ends = self._places[_PLACES[field] :][:2]
        loaded("objects").bear(self._data, begins, ends, text, bounds_of(looked_for), found)
        return found > 0

    def has_lengths(self, field: str, least: int, most: int) -> Mask:
        """Whether a field's text has so many bytes, shape (n,)."""
        begins, ends = self._places[_PLACES[field] :][:2]
        so: Mask = (ends - begins >= least) & (ends - begins <= most)
        return so


def read(values: Sequence[bytes]) -> Written | None:
    """Return the events of those messages that can be read here; None where there are no kernels, or more than 2 GiB.

    Each is what the contract calls an event, if its model and version are.

    Examples
    --------
    >>> told = b'{"event_id":"e","prediction_id":"p","event_time":"2026-01-02T00:00:00Z","model_name":"m",'
    >>> told += b'"model_version":"1","prediction":1,"features":{"age":41}}'
    >>> written = read([b"{", told])
    >>> written.which.tolist(), written.texts("features").to_pylist()
    ([1], ['{"age":41}'])
    """
    kernel, pieces, n = loaded("objects"), Pieces.of(values), len(values)
    if kernel is None or pieces.lengths.sum() > _LARGEST:
        return None
    places = np.empty((2 * len(_PLACES), n), np.int64)
    numbers, fits = np.empty((len(_NUMBERS), n)), np.zeros(n, np.int64)
    layout = _layout()
    kernel.read(pieces.buffer, pieces.begins, pieces.ends, *layout, places, numbers, fits)
    good = fits > 0
    for row in np.flatnonzero(fits == _BEYOND_ASCII).tolist():
        good[row] = _is_text(pieces[row])
    sampling = numbers[_NUMBERS["sampling_fraction"]]
    sampling[np.isnan(sampling)] = 1.0
    written = Written(np.arange(n), pieces.buffer, places, numbers)
    for name in ("event_id", "prediction_id"):
        good &= written.has_lengths(name, 1, _LONGEST_ID)
    good &= (sampling > 0) & (sampling <= 1) & ~(written.numbers("latency_ms") < 0)
    return written.where(good)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@cache
def _layout() -> tuple[Any, ...]:
    """Return what the kernel knows of the fields: names, contents, targets, their usual order, and which there must be.

    Every call learns the order anew; two threads that do so spoil each other's guesses, and nothing else.
    """
    names = [f'"{name}"'.encode() for name in FIELDS]
    needed = 0
    for one in msgspec.structs.fields(PredictionEvent):
        needed |= one.required << list(FIELDS).index(one.encode_name)
    n = len(FIELDS)
    return (
        np.frombuffer(b"".join([*names, bytes(8)]), np.uint8),
        bounds_of(names),
        np.array(list(FIELDS.values()), np.int64),
        np.array([_TARGETS.get(name, 0) for name in FIELDS], np.int64),
        (np.arange(n) + 1) % n,
        needed,
    )

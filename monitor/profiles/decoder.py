"""The JSON and MessagePack roads: one message, one event, one row of numbers.

Nothing is decoded that is not used. Messages that are written like earlier ones are read by comparing them with those
(`monitor.profiles.scanner`); what is left, each by itself (`monitor.profiles.packing`), so a bad one costs the batch
nothing but itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from monitor.errors import EventError
from monitor.profiles.packing import Content, Packer
from monitor.profiles.scanner import Scanner
from monitor.profiles.times import epoch_seconds
from monitor.profiles.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.events import ModelVersion
    from monitor.profiles.layout import Layout
    from monitor.profiles.scanner import Scanned

    Floats = NDArray[np.float64]
    Positions = NDArray[np.intp]

#: Fewer messages are read one by one as fast.
_FEWEST = 32

_PATH = " - at `$"


@dataclass(frozen=True, slots=True)
class Decoded:
    """The good events of a batch, in order.

    Attributes
    ----------
    rows
        Shape (n, width), as `RowShape` says; codes are those of `vocabulary`.
    times
        Event times, shape (n,): seconds since 1970 UTC.
    index
        Position of each row among the values given; None if all are good.
    bad
        Position and reason of each value that is not an event.
    event_ids
        Of the good events, if asked for.
    absent, foreign
        Features that no event of the message has, and such as the layout does not know, where a schema says so.
    """

    rows: Floats
    times: Floats
    vocabulary: Vocabulary
    index: Positions | None = None
    bad: list[tuple[int, EventError]] = field(default_factory=list)
    event_ids: list[str] | None = None
    absent: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)


class RowDecoder:
    """Reads the events of one model version.

    Parameters
    ----------
    layout
        The version's columns.
    version
        What the events must say they are of; None to take any.
    content
        How they are written.

    Raises
    ------
    LayoutMismatch
        If a column has a name that no JSON struct can carry.

    Examples
    --------
    >>> from monitor.events import ModelVersion
    >>> from monitor.profiles.layout import Column, Kind, Layout
    >>> layout = Layout(
    ...     features=(Column(name="age", kind=Kind.NUMERIC),),
    ...     prediction=Column(name="prediction", kind=Kind.CATEGORICAL))
    >>> decoder = RowDecoder(layout, ModelVersion("credit", "7"))
    >>> value = (b'{"event_id": "1", "prediction_id": "2", "event_time": "2026-01-02T03:04:05Z",'
    ...          b'"model_name": "credit", "model_version": "7", "features": {"age": 41}, "prediction": 1}')
    >>> decoded = decoder.decode([value, b"{}"])
    >>> decoded.rows.tolist(), decoded.index.tolist(), str(decoded.bad[0][1])
    ([[41.0, 2.0]], [0], 'event_id: is missing')
    """

    def __init__(
        self, layout: Layout, version: ModelVersion | None = None, content: Content = "json"
    ) -> None:
        self.layout = layout
        self._version = version
        self._content: Content = content
        self._packer = self._fresh()
        self._scanner: Scanner | None = None
        self._scans = True

    def decode(self, values: Sequence[bytes | None], *, event_ids: bool = False) -> Decoded:
        """Return the events that can be counted, and why the others cannot. Never raises on any bytes.

        Parameters
        ----------
        values
            Message values; None (a tombstone) is no event.
        event_ids
            Whether to return the events' ids too.
        """
        if self._packer.vocabulary.full:
            self._packer, self._scanner = self._fresh(), None
        scanner = self._scanner_for(values)
        if scanner is None:
            return self._pack(values, event_ids=event_ids)
        found = scanner.scan(values)
        left = found.left
        if not len(left):
            ids = found.ids() if event_ids else None
            return Decoded(found.rows, found.times, self._packer.vocabulary, event_ids=ids)
        rest = self._pack([values[i] for i in left.tolist()], event_ids=event_ids)
        good = left if rest.index is None else left[rest.index]
        scanner.learn(values, found, good)
        return _together(found, rest, good)

    def _scanner_for(self, values: Sequence[bytes | None]) -> Scanner | None:
        """Return the quick way to read these; None if it does not pay, or there is none."""
        if len(values) < _FEWEST or not self._scans:
            return None
        if self._scanner is None:
            try:
                self._scanner = Scanner(self._packer.vocabulary, self._version, self._content)
            except ImportError:
                self._scans = False
                return None
        return self._scanner

    def _pack(self, values: Sequence[bytes | None], *, event_ids: bool) -> Decoded:
        vocabulary = self._packer.vocabulary
        packed = self._packer.pack(values, ids=event_ids)
        rows = np.frombuffer(packed.buffer, np.float64, packed.filled // 8)
        rows = rows.reshape(-1, vocabulary.shape.width)
        bad = [(position, self._explain(error)) for position, error in packed.failed]
        index = _others(len(values), [position for position, _ in bad]) if bad else None
        ids = packed.ids
        seconds, wrong = epoch_seconds(packed.times)
        if wrong:
            good = _others(len(seconds), list(wrong))
            index = np.arange(len(values)) if index is None else index
            bad += [(int(index[row]), EventError("event_time", why)) for row, why in wrong.items()]
            bad.sort(key=lambda item: item[0])
            rows, seconds, index = rows[good], seconds[good], index[good]
            ids = [ids[row] for row in good.tolist()] if event_ids else ids
        return Decoded(rows, seconds, vocabulary, index, bad, ids if event_ids else None)

    def _fresh(self) -> Packer:
        """Start from an empty vocabulary: what an endless stream of new labels may take has an end."""
        return Packer(Vocabulary.of(self.layout), self._version, self._content)

    def _explain(self, error: Exception) -> EventError:
        if isinstance(error, EventError):
            return error
        if isinstance(error, msgspec.ValidationError):
            return self._explain_validation(str(error))
        if isinstance(error, RecursionError):
            return EventError("$", "is nested too deeply")
        if isinstance(error, TypeError):
            return EventError("$", "the message has no value")
        return EventError("$", f"cannot be read: {error}")

    def _explain_validation(self, message: str) -> EventError:
        reason, _, path = message.partition(_PATH)
        path = path.removesuffix("`").removeprefix(".")
        if "missing required field" in reason:
            name = reason.partition("`")[2].rstrip("`")
            return EventError(f"{path}.{name}" if path else name, "is missing")
        if self._version is not None and path in {"model_name", "model_version"}:
            expected = self._version[path == "model_version"]
            return EventError(path, f"expected {expected!r}: {reason[0].lower()}{reason[1:]}")
        return EventError(path or "$", f"{reason[0].lower()}{reason[1:]}")


def _others(count: int, positions: list[int]) -> Positions:
    return np.delete(np.arange(count, dtype=np.intp), positions)


def _together(found: Scanned, rest: Decoded, good: Positions) -> Decoded:
    """Return what was scanned, and what was read afterwards, in the order of the messages."""
    rows, times = found.rows, found.times
    rows[good], times[good] = rest.rows, rest.times
    ids = None
    if rest.event_ids is not None:
        ids = found.ids()
        for position, event_id in zip(good.tolist(), rest.event_ids, strict=True):
            ids[position] = event_id
    if not rest.bad:
        return Decoded(rows, times, rest.vocabulary, event_ids=ids)
    bad = [(int(found.left[position]), error) for position, error in rest.bad]
    index = _others(len(times), [position for position, _ in bad])
    ids = None if ids is None else [ids[position] for position in index.tolist()]
    return Decoded(rows[index], times[index], rest.vocabulary, index, bad, ids)

"""Profiles as bytes and back, for the state topic and for baselines. No pickle."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from monitor.errors import StateError
from monitor.profiles.cells import Cell, Errors
from monitor.profiles.embedding import EmbeddingSketch
from monitor.profiles.layout import Column, Layout
from monitor.profiles.notes import Notes
from monitor.profiles.profile import Profile, Sketch
from monitor.profiles.sketch import CategorySketch, NumericSketch

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Raised whenever what stands below changes; a reader of another release refuses rather than misreads.
FORMAT = 2


class NumericWire(Struct, frozen=True, tag="numeric"):
    """A numeric sketch; arrays are little-endian 8-byte numbers, bins without a value left out."""

    bins: bytes
    counts: bytes
    sums: bytes
    missing: int
    below: int
    above: int
    sum_of_squares: float
    minimum: float | None
    maximum: float | None


class CategoryWire(Struct, frozen=True, tag="category"):
    """A category sketch."""

    counts: dict[str, int]
    missing: int


class EmbeddingWire(Struct, frozen=True, tag="embedding"):
    """A vector column's sketch."""

    sums: bytes
    n: int
    missing: int


class CellWire(Struct, frozen=True):
    """A cell of the group table."""

    group: tuple[str, ...]
    outcomes: list[tuple[str, str, int]]
    missing: bytes
    zeros: bytes
    value_sum: float
    value_square_sum: float
    scores: dict[str, bytes]
    score_sums: dict[str, float]
    categories: dict[str, dict[str, int]]
    errors: tuple[int, float, float, float]


class NotesWire(Struct, frozen=True):
    """What was noticed about the events."""

    looked_at: int
    absent: dict[str, int]
    foreign: dict[str, int]
    refused: list[tuple[str, str, int]]
    repeated: int


SketchWire = NumericWire | CategoryWire | EmbeddingWire


class ProfileWire(Struct, frozen=True):
    """A profile without its layout, which is stored once."""

    format: int
    n: int
    sketches: tuple[SketchWire, ...]
    cells: tuple[CellWire, ...]
    notes: NotesWire


#: Made here, and not at its first use: see decision 040.
_decode = msgspec.msgpack.Decoder(ProfileWire).decode


def to_wire(profile: Profile) -> ProfileWire:
    """Return what has to be written to read the profile back."""
    return ProfileWire(
        FORMAT,
        profile.n,
        tuple(_sketch_to_wire(sketch) for sketch in profile.sketches),
        tuple(
            CellWire(
                group,
                [(answer, label, n) for (answer, label), n in cell.outcomes.items()],
                _pack(cell.missing),
                _pack(cell.zeros),
                cell.value_sum,
                cell.value_square_sum,
                {label: _pack(bins) for label, bins in cell.scores.items()},
                cell.score_sums,
                cell.categories,
                dataclasses.astuple(cell.errors),
            )
            for group, cell in profile.cells.items()
        ),
        _notes_to_wire(profile.notes),
    )


def from_wire(wire: ProfileWire, layout: Layout) -> Profile:
    """Return the profile that `to_wire` was given.

    Raises
    ------
    StateError
        If another release wrote it, or it does not fit the layout.
    """
    if wire.format != FORMAT:
        msg = f"a profile is in format {wire.format}, this release reads format {FORMAT}"
        raise StateError(msg, fix="Run the release that wrote it, or rebuild from the log.")
    if len(wire.sketches) != len(layout.columns):
        msg = f"a profile has {len(wire.sketches)} columns, its layout {len(layout.columns)}"
        raise StateError(msg)
    sketches = tuple(
        _sketch_from_wire(sketch, column)
        for sketch, column in zip(wire.sketches, layout.columns, strict=True)
    )
    cells = {
        cell.group: Cell(
            _unpack_counts(cell.missing),
            _unpack_counts(cell.zeros),
            {(answer, label): n for answer, label, n in cell.outcomes},
            cell.value_sum,
            cell.value_square_sum,
            {label: _unpack_counts(bins) for label, bins in cell.scores.items()},
            dict(cell.score_sums),
            {feature: dict(counts) for feature, counts in cell.categories.items()},
            Errors(*cell.errors),
        )
        for cell in wire.cells
    }
    return Profile(layout, sketches, cells, wire.n, _notes_from_wire(wire.notes))


def encode_profile(profile: Profile) -> bytes:
    """Return the profile as MessagePack.

    Examples
    --------
    >>> from monitor.profiles.layout import Column, Kind
    >>> layout = Layout(features=(), prediction=Column(name="prediction", kind=Kind.CATEGORICAL))
    >>> decode_profile(encode_profile(Profile.empty(layout)), layout).n
    0
    """
    return msgspec.msgpack.encode(to_wire(profile))


def decode_profile(data: bytes, layout: Layout) -> Profile:
    """Read what `encode_profile` wrote.

    Raises
    ------
    StateError
        If it cannot be read by this release.
    """
    try:
        wire = _decode(data)
    except msgspec.MsgspecError as error:
        msg = f"a profile cannot be read: {error}"
        raise StateError(msg) from error
    return from_wire(wire, layout)


def _notes_to_wire(notes: Notes) -> NotesWire:
    refused = [(feature, reason, n) for (feature, reason), n in notes.refused.items()]
    return NotesWire(notes.looked_at, notes.absent, notes.foreign, refused, notes.repeated)


def _notes_from_wire(wire: NotesWire) -> Notes:
    refused = {(feature, reason): n for feature, reason, n in wire.refused}
    return Notes(wire.looked_at, dict(wire.absent), dict(wire.foreign), refused, wire.repeated)


def _sketch_to_wire(sketch: Sketch) -> SketchWire:
    if isinstance(sketch, EmbeddingSketch):
        return EmbeddingWire(_pack(sketch.sums), sketch.n, sketch.missing)
    if isinstance(sketch, CategorySketch):
        return CategoryWire(sketch.counts, sketch.missing)
    bins = np.flatnonzero(sketch.counts)
    return NumericWire(
        _pack(bins),
        _pack(sketch.counts[bins]),
        _pack(sketch.sums[bins]),
        sketch.missing,
        sketch.below,
        sketch.above,
        sketch.sum_of_squares,
        None if np.isinf(sketch.minimum) else sketch.minimum,
        None if np.isinf(sketch.maximum) else sketch.maximum,
    )


def _sketch_from_wire(wire: SketchWire, column: Column) -> Sketch:
    if isinstance(wire, NumericWire) and column.is_numeric:
        return _numeric_from_wire(wire, column)
    if isinstance(wire, CategoryWire) and column.is_label:
        return CategorySketch(column.categories, dict(wire.counts), wire.missing)
    if isinstance(wire, EmbeddingWire) and column.embedding is not None:
        sketch = EmbeddingSketch.empty(column.embedding)
        sketch.sums += np.frombuffer(wire.sums, "<f8")
        sketch.n, sketch.missing = wire.n, wire.missing
        return sketch
    msg = f"a profile's column {column.name} is not of the kind {column.kind.value}"
    raise StateError(msg)


def _numeric_from_wire(wire: NumericWire, column: Column) -> NumericSketch:
    counts = np.zeros(len(column.edges) + 1, np.int64)
    sums = np.zeros(len(column.edges) + 1, np.float64)
    bins = _unpack_counts(wire.bins)
    counts[bins] = _unpack_counts(wire.counts)
    sums[bins] = np.frombuffer(wire.sums, "<f8")
    return NumericSketch(
        column.search,
        counts,
        sums,
        wire.missing,
        wire.below,
        wire.above,
        wire.sum_of_squares,
        np.inf if wire.minimum is None else wire.minimum,
        -np.inf if wire.maximum is None else wire.maximum,
    )


def _pack(array: NDArray[np.int64] | NDArray[np.float64]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _unpack_counts(data: bytes) -> NDArray[np.int64]:
    return np.frombuffer(data, "<i8").astype(np.int64)

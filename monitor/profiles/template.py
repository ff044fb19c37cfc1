"""What the messages of one writer have in common: found once from an example, then only compared.

A writer gives every event the same keys in the same order with the same spaces. So a message is a fixed text with blanks
for values, and reading one is comparing the text and reading the blanks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from monitor.kernels.blanks import Blank

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from monitor.events import ModelVersion
    from monitor.profiles.places import Path, Place
    from monitor.profiles.vocabulary import RowShape

#: Bytes behind the last literal, so that it can be compared eight at a time.
_SPARE = bytes(8)


class Wanted(NamedTuple):
    """What a blank is read for.

    Attributes
    ----------
    target
        Which number of the row it gives, if any.
    """

    blank: Blank
    target: int = 0


class Template(NamedTuple):
    """A fixed text with blanks.

    Attributes
    ----------
    text
        All literals, one behind the other.
    bounds
        Where each literal begins, and the last one ends, shape (blanks + 2,).
    blanks, targets
        What may stand in each blank, and which number of the row it gives, shape (blanks,).
    absent
        Numbers of a row that no blank gives.
    """

    text: bytes
    bounds: NDArray[np.int64]
    blanks: NDArray[np.int64]
    targets: NDArray[np.int64]
    absent: NDArray[np.int64]

    @property
    def literals(self) -> NDArray[np.uint8]:
        """The text and some spare bytes."""
        return np.frombuffer(self.text + _SPARE, np.uint8)

    def same_as(self, other: Template) -> bool:
        """Whether the other one reads the same messages."""
        return self.text == other.text and np.array_equal(self.bounds, other.bounds)


def wanted(shape: RowShape, version: ModelVersion | None) -> dict[Path, Wanted | None]:
    """Return what is read of an event of this shape; None of what is part of the text.

    Examples
    --------
    >>> from monitor.profiles.layout import Column, Kind, Layout
    >>> from monitor.profiles.vocabulary import RowShape
    >>> layout = Layout(
    ...     features=(Column(name="age", kind=Kind.NUMERIC),),
    ...     prediction=Column(name="prediction", kind=Kind.CATEGORICAL))
    >>> wanted(RowShape.of(layout), None)["features", "age"]
    Wanted(blank=<Blank.NUMBER_OR_NULL: 1>, target=0)
    """
    name = Wanted(Blank.STRING) if version is None else None
    found: dict[Path, Wanted | None] = {
        ("event_id",): Wanted(Blank.ID),
        ("prediction_id",): Wanted(Blank.STRING),
        ("event_time",): Wanted(Blank.INSTANT),
        ("model_name",): name,
        ("model_version",): name,
    }
    columns = shape.layout.columns
    answer = len(columns) - 1
    for target, index in enumerate(shape.numbers):
        kind = Blank.NUMBER if index == answer else Blank.NUMBER_OR_NULL
        found[_path(shape, index)] = Wanted(kind, target)
    for target, index in enumerate(shape.coded, len(shape.numbers)):
        found[_path(shape, index)] = Wanted(Blank.LABEL, target)
    first = len(shape.numbers) + len(shape.coded)
    for target, attribute in enumerate(shape.layout.groups, first):
        found["groups", attribute] = Wanted(Blank.LABEL, target)
    for index, place in shape.places():
        path = _path(shape, index)
        for i, target in enumerate(range(place.start, place.stop)):
            found[*path, i] = Wanted(Blank.NUMBER, target)
    return found


def _path(shape: RowShape, index: int) -> Path:
    column = shape.layout.columns[index]
    return ("features", column.name) if index < shape.features else (shape.field(index),)


def template(
    example: bytes,
    places: Callable[[bytes], Iterator[Place]],
    wants: Mapping[Path, Wanted | None],
    width: int,
) -> Template | None:
    """Return the template of messages like a good one; None if there is none that is sure.

    Parameters
    ----------
    places
        Yields path and place of each value of a message.
    wants
        What is read, as `wanted` says; anything may stand elsewhere.
    width
        How many numbers a row has.
    """
    pieces: list[bytes] = []
    blanks: list[Wanted] = []
    seen: set[Path] = set()
    end = 0
    try:
        found = list(places(example))
    except (msgspec.MsgspecError, ValueError):  # a key that is no scalar, or no text
        return None
    for path, start, stop in found:
        if path in seen or (start < stop and _is_vector(path, wants)):
            return None
        seen.add(path)
        if start == stop:
            continue
        want = wants.get(path, Wanted(Blank.ANYTHING))
        if want is not None:
            pieces.append(example[end:start])
            blanks.append(want)
            end = stop
    pieces.append(example[end:])
    given = {want.target for want in blanks if want.blank <= Blank.LABEL}
    return Template(
        b"".join(pieces),
        np.cumsum([0, *map(len, pieces)], dtype=np.int64),
        np.array([want.blank for want in blanks], np.int64),
        np.array([want.target for want in blanks], np.int64),
        np.array(sorted(set(range(width)) - given), np.int64),
    )


def _is_vector(path: Path, wants: Mapping[Path, Wanted | None]) -> bool:
    """Whether a vector is expected where there is a scalar: a null."""
    return path not in wants and (*path, 0) in wants

"""Labels as small numbers, so that an event is one row of numbers."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.errors import EventError
from monitor.profiles.layout import MISSING, OTHER, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.profiles.layout import Column, Layout

Scalar = int | float | str | bool | None

#: Codes of a null, and of a label too long to keep.
MISSING_CODE, OTHER_CODE = 0, 1

#: Longer labels are not kept: they count as `OTHER`.
LABEL_LENGTH = 256

#: Once a column has shown more labels than this, numbering starts anew.
VOCABULARY_CAP = 8192

#: As many values as are told apart while decoding.
_FEW = 64

_BOOLEANS: dict[Scalar, str] = {False: "false", True: "true"}


def label_of(value: float | str | bool) -> str:  # noqa: FBT001 - a value of the data, no flag
    """Return the one label that a category has on every road.

    Examples
    --------
    >>> [label_of(value) for value in (True, 1, 1.0, -0.0, 2.5, "x")]
    ['true', '1', '1', '0', '2.5', 'x']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return _BOOLEANS[value]
    return str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)


class Codes:
    """The labels of one column, numbered as they are first seen.

    Attributes
    ----------
    labels
        Label of each code; those of the first two are `MISSING` and `OTHER`.
    of_value, of_bool
        Code of each value met so far. Apart, because Python holds ``True == 1``.

    Examples
    --------
    >>> codes = Codes("features.colour", Kind.CATEGORICAL, ["red"])
    >>> codes.learn("red"), codes.learn("blue"), codes.learn(None), codes.labels[3]
    (2, 3, 0, 'blue')
    """

    __slots__ = ("_codes", "field", "kind", "labels", "of_bool", "of_value", "required")

    def __init__(
        self, field: str, kind: Kind, labels: Iterable[str] = (), *, required: bool = False
    ) -> None:
        self.field, self.kind, self.required = field, kind, required
        self.labels = [MISSING, OTHER]
        self.of_value: dict[Scalar, int] = {}
        self.of_bool: dict[Scalar, int] = {}
        self._codes: dict[str, int] = {}
        for label in labels:
            self.code(label)

    def __len__(self) -> int:
        return len(self.labels)

    def learn(self, value: Scalar) -> int:
        """Return the code of a value, remembering it for the quick look-up.

        Raises
        ------
        EventError
            If the column's kind does not allow the value.
        """
        known = self.of_value.get(value) if isinstance(value, str) else None
        if known is not None:
            return known
        code = self._code_of(value)
        if code != OTHER_CODE and value == value:  # noqa: PLR0124 - NaN finds no key
            (self.of_bool if isinstance(value, bool) else self.of_value)[value] = code
        return code

    def _code_of(self, value: Scalar) -> int:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if self.required:
                raise EventError(self.field, "is null")
            return MISSING_CODE
        if self.kind is Kind.BOOLEAN:
            if isinstance(value, str) or value not in _BOOLEANS:
                raise EventError(self.field, f"expected a boolean, got {_show(value)}")
            value = _BOOLEANS[value]
        elif isinstance(value, str) and len(value) > LABEL_LENGTH:
            return OTHER_CODE
        return self.code(label_of(value))

    def code(self, label: str | None) -> int:
        """Return the code of a label, None being the missing one."""
        if label is None:
            return MISSING_CODE
        if len(label) > LABEL_LENGTH:
            return OTHER_CODE
        code = self._codes.get(label)
        if code is None:
            code = self._codes[label] = len(self.labels)
            self.labels.append(label)
        return code

    def few(self) -> tuple[int | str, ...] | None:
        """Return the values met so far, if they are few, and all texts or whole numbers."""
        values = tuple(self.of_value)
        if self.of_bool or not 0 < len(values) <= _FEW:
            return None
        few = tuple(
            value
            for value in values
            if isinstance(value, str) or (isinstance(value, int) and abs(value) < 1 << 63)
        )
        return few if len(few) == len(values) else None

    def find(self, label: str) -> int | None:
        """Return the code of a label if it has been seen."""
        return self._codes.get(label)


@dataclass(frozen=True, slots=True)
class RowShape:
    """Where each column of a layout stands in a row: first all numbers, then all codes, then all vectors.

    Attributes
    ----------
    numbers
        Index in ``layout.columns`` of each number of a row.
    coded
        Index in ``layout.columns`` of each code that follows; then comes one code per protected attribute.
    vectors
        Index in ``layout.columns`` of each vector that follows, as many numbers as it has dimensions.
    """

    layout: Layout
    numbers: tuple[int, ...]
    coded: tuple[int, ...]
    vectors: tuple[int, ...] = ()

    @classmethod
    def of(cls, layout: Layout) -> RowShape:
        """Return the shape of a layout's rows."""
        columns = list(enumerate(layout.columns))
        return cls(
            layout,
            tuple(index for index, column in columns if column.is_numeric),
            tuple(index for index, column in columns if column.is_label),
            tuple(index for index, column in columns if column.dimension),
        )

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return self.flat + sum(self.layout.columns[index].dimension for index in self.vectors)

    @property
    def flat(self) -> int:
        """How many numbers come before the vectors."""
        return len(self.numbers) + len(self.coded) + len(self.layout.groups)

    def places(self) -> Iterator[tuple[int, slice]]:
        """Yield each vector's index in ``layout.columns``, with its place in a row."""
        start = self.flat
        for index in self.vectors:
            stop = start + self.layout.columns[index].dimension
            yield index, slice(start, stop)
            start = stop

    @property
    def features(self) -> int:
        """How many of ``layout.columns`` are features; they come first."""
        return len(self.layout.features)

    def field(self, index: int) -> str:
        """Return the path in an event of a column of the layout."""
        if index < self.features:
            return f"features.{self.layout.features[index].name}"
        return "prediction" if index == len(self.layout.columns) - 1 else "score"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The codes of a layout's coded columns and protected attributes, in the order of a row.

    It grows while a batch is decoded. Rows say which vocabulary they were coded with.

    Attributes
    ----------
    truth
        The codes of what turned out to be true, where rows end with that; None for a regression, whose rows end with
        a number then, NaN where it is not known.
    labelled
        Whether they do.
    """

    shape: RowShape
    columns: tuple[Codes, ...]
    groups: tuple[Codes, ...]
    truth: Codes | None = None
    labelled: bool = False

    @classmethod
    def of(cls, layout: Layout, *, labelled: bool = False) -> Vocabulary:
        """Return the vocabulary that knows the baseline's categories only."""
        found = cls._of(layout)
        return found.with_labels() if labelled else found

    def with_labels(self) -> Vocabulary:
        """Return the same vocabulary, of rows that end with what turned out to be true."""
        truth = Codes("label", Kind.CATEGORICAL) if self.shape.layout.is_classifier else None
        return dataclasses.replace(self, truth=truth, labelled=True)

    @classmethod
    def _of(cls, layout: Layout) -> Vocabulary:
        shape = RowShape.of(layout)
        columns = [(index, layout.columns[index]) for index in shape.coded]
        return cls(
            shape,
            tuple(_column_codes(shape, index, column) for index, column in columns),
            tuple(Codes(f"groups.{name}", Kind.CATEGORICAL) for name in layout.groups),
        )

    @property
    def all(self) -> tuple[Codes, ...]:
        """The codes of each coded part of a row, in order."""
        return (*self.columns, *self.groups)

    @property
    def full(self) -> bool:
        """Whether some column has shown so many labels that a fresh vocabulary is due."""
        return any(
            len(codes) > VOCABULARY_CAP + known
            for codes, known in (
                *zip(self.columns, map(self._known, self.shape.coded), strict=True),
                *((codes, 0) for codes in self.groups),
            )
        )

    def _known(self, index: int) -> int:
        return len(self.shape.layout.columns[index].categories)


def _column_codes(shape: RowShape, index: int, column: Column) -> Codes:
    required = index >= shape.features
    return Codes(shape.field(index), column.kind, column.categories, required=required)


def _show(value: float | str) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

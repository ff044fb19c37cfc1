"""All that is kept of a model version's events in a window: profiles add."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.errors import LayoutMismatch
from monitor.profiles.cells import Cell
from monitor.profiles.embedding import EmbeddingSketch
from monitor.profiles.layout import CELL_CAP, OTHER, cell_cap
from monitor.profiles.notes import Notes
from monitor.profiles.sketch import CategorySketch, NumericSketch

if TYPE_CHECKING:
    from monitor.profiles.layout import Column, Layout

Group = tuple[str, ...]
Sketch = NumericSketch | CategorySketch | EmbeddingSketch


@dataclass(slots=True)
class Profile:
    """What is kept of any number of events of one model version.

    Attributes
    ----------
    layout
        The version's columns.
    sketches
        One per column of ``layout.columns``, in that order.
    cells
        Per combination of the protected attributes of ``layout.groups``: its cell. Always at least one cell once
        there is an event: without protected attributes the key is ``()``.
    n
        How many events.
    notes
        What was noticed about the events themselves.
    """

    layout: Layout
    sketches: tuple[Sketch, ...]
    cells: dict[Group, Cell] = field(default_factory=dict)
    n: int = 0
    notes: Notes = field(default_factory=Notes)

    @classmethod
    def empty(cls, layout: Layout) -> Profile:
        """Return the profile of no events."""
        return cls(layout, tuple(_empty_sketch(column) for column in layout.columns))

    @property
    def features(self) -> tuple[tuple[Column, Sketch], ...]:
        """Each feature's column with its sketch."""
        return tuple(zip(self.layout.features, self.sketches, strict=False))

    @property
    def prediction(self) -> Sketch:
        """The sketch of the predictions."""
        return self.sketches[-1]

    @property
    def score(self) -> NumericSketch | None:
        """The sketch of the scores, if the model gives any."""
        sketch = self.sketches[-2] if self.layout.score is not None else None
        return sketch if isinstance(sketch, NumericSketch) else None

    def cell(self, group: Group) -> Cell:
        """Return the cell of a group, made on first use; past the cap, the one that the rest share."""
        key = _capped(self.cells, group)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell.empty(len(self.layout.features))
        return cell

    def merge(self, other: Profile) -> Profile:
        """Return the profile of both, leaving each as it was.

        Raises
        ------
        LayoutMismatch
            If they do not describe the same columns.
        """
        if self.layout is not other.layout and self.layout != other.layout:
            msg = "two profiles of one version have different columns"
            raise LayoutMismatch(msg)
        cells: dict[Group, Cell] = {}
        cap = cell_cap(len(self.cells.keys() | other.cells.keys()))
        for source in (self.cells, other.cells):
            for group, cell in source.items():
                key = _capped(cells, group)
                known = cells.get(key)
                cells[key] = (known or Cell.empty(len(self.layout.features))).merge(cell, cap)
        return Profile(
            self.layout,
            tuple(_merge(a, b) for a, b in zip(self.sketches, other.sketches, strict=True)),
            cells,
            self.n + other.n,
            self.notes + other.notes,
        )


def _capped(cells: dict[Group, Cell], group: Group) -> Group:
    full = group not in cells and len(cells) >= CELL_CAP
    return (OTHER,) * len(group) if full else group


def _empty_sketch(column: Column) -> Sketch:
    if column.embedding is not None:
        return EmbeddingSketch.empty(column.embedding)
    return (
        NumericSketch.over(column.search)
        if column.is_numeric
        else CategorySketch(column.categories)
    )


def _merge(a: Sketch, b: Sketch) -> Sketch:
    if isinstance(a, NumericSketch) and isinstance(b, NumericSketch):
        return a.merge(b)
    if isinstance(a, CategorySketch) and isinstance(b, CategorySketch):
        return a.merge(b)
    if isinstance(a, EmbeddingSketch) and isinstance(b, EmbeddingSketch):
        return a.merge(b)
    msg = "a column is of one kind in one profile and of another in the other"
    raise LayoutMismatch(msg)

"""Continuous columns laid one over another: a thousand are measured in a few passes, not one by one."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from monitor.metrics.drift.comparison import Comparison, largest_gap
from monitor.metrics.frozen import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitor.metrics.cells import Floats

    #: What a measure of numbers is asked of.
    Columns: TypeAlias = "Comparison | Stack"

#: So many columns' bins stay in the processor's cache.
_HEIGHT = 32


class Stack:
    """What a `Comparison` knows, of C columns at once: each array has their axis in front.

    A column that has fewer bins than the widest has empty ones.

    Parameters
    ----------
    columns
        All plain, and with the same number of cells.
    """

    def __init__(self, columns: Sequence[Comparison]) -> None:
        self._columns = columns
        self.n = np.array([column.n for column in columns], np.float64)
        self.m = np.array([column.m for column in columns], np.float64)

    @cached_property
    def fine(self) -> tuple[Floats, Floats]:
        """Counts in order, each side: -inf, each bin, +inf; shape (C, m + 3)."""
        return (
            _padded([in_order(column.expected) for column in self._columns], last=1),
            _padded([in_order(column.observed) for column in self._columns], last=1),
        )

    @cached_property
    def distance(self) -> Floats:
        """Largest differences of the two distribution functions at the fine edges, in [0, 1]."""
        p, q = self.fine[0] / self.n[:, None], self.fine[1] / self.m[:, None]
        return np.asarray(largest_gap(p, q))

    @cached_property
    def judged(self) -> tuple[Floats, Floats]:
        """Counts per baseline-quantile cell, each side: all of them expect enough."""
        old, new = self.fine
        rows = range(0, old.size, old.shape[1])
        starts = [
            row + start
            for row, column in zip(rows, self._columns, strict=True)
            for start in column.frozen.starts
        ]
        shape = len(self._columns), -1
        return (
            np.add.reduceat(old.ravel(), starts).reshape(shape),
            np.add.reduceat(new.ravel(), starts).reshape(shape),
        )

    @cached_property
    def shares(self) -> tuple[Floats, Floats]:
        """Share per cell, each side; each column's add up to 1."""
        return self.judged[0] / self.n[:, None], self.judged[1] / self.m[:, None]

    @property
    def sums(self) -> tuple[Floats, Floats]:
        """Sum of the values per bin, each side."""
        old, new = zip(*(column.sums for column in self._columns), strict=True)
        return _padded(old), _padded(new)

    @property
    def anchors(self) -> Floats:
        """Each bin's upper edge, of the last one and of those beyond it the lower."""
        return _padded([column.anchors for column in self._columns], mode="edge")

    @property
    def finite(self) -> tuple[Floats, Floats]:
        """How many values are finite, each side."""
        old, new = zip(*(column.finite for column in self._columns), strict=True)
        return np.array(old, np.float64), np.array(new, np.float64)

    @property
    def deviation(self) -> Floats:
        """Standard deviations of the baseline's finite values."""
        return np.array([column.deviation for column in self._columns])

    @property
    def outside(self) -> Floats:
        """How many of the window's numbers are beyond the baseline's smallest and largest."""
        return np.array([column.outside for column in self._columns], np.float64)


def stacks(columns: Iterable[tuple[int, Comparison]]) -> Iterator[tuple[list[int], Stack]]:
    """Lay the plain ones of some numbered columns into stacks; each comes with its columns' numbers."""
    alike: dict[int, list[tuple[int, Comparison]]] = defaultdict(list)
    for number, column in columns:
        if column.is_plain:
            alike[len(column.frozen.starts)].append((number, column))
    for same in alike.values():
        for first in range(0, len(same), _HEIGHT):
            numbers, laid = zip(*same[first : first + _HEIGHT], strict=True)
            yield list(numbers), Stack(laid)


def _padded(rows: Sequence[Floats], *, last: int = 0, mode: str = "empty") -> Floats:
    """Return rows of any lengths as one table; the `last` values of each stand at its end."""
    widest = max(len(row) for row in rows)
    table = np.zeros((len(rows), widest))
    for place, row in zip(table, rows, strict=True):
        body = len(row) - last
        place[:body] = row[:body]
        if last:
            place[-last:] = row[body:]
        elif mode == "edge":
            place[body:] = row[-1]
    return table

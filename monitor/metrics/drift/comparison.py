"""One column in the baseline and in the window, laid bin on bin."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import EmptyWindow, LayoutMismatch
from monitor.metrics.drift.cells import DISTINCT, Pooled, merge_neighbours, pool, quantile_starts
from monitor.profiles.embedding import EmbeddingSketch
from monitor.profiles.sketch import CategorySketch, NumericSketch

if TYPE_CHECKING:
    from monitor.metrics.drift.cells import Floats
    from monitor.profiles.profile import Sketch


class Comparison:
    """What every measure of one column starts from; each part is made once, when first asked for.

    Missing values take no part: they are a share of their own.

    Parameters
    ----------
    expected, observed
        The baseline's sketch and the window's, over the same edges or categories.

    Raises
    ------
    EmptyWindow
        If either side holds no value.
    LayoutMismatch
        If they do not describe the same column.

    Examples
    --------
    >>> old, new = CategorySketch(("a",), {"a": 30}), CategorySketch(("a",), {"a": 10, "b": 10})
    >>> Comparison(old, new).cells
    (array([30.,  0.]), array([10., 10.]))
    """

    def __init__(self, expected: Sketch, observed: Sketch) -> None:
        if not _same_column(expected, observed):
            msg = "the window's column is not counted as the baseline's"
            raise LayoutMismatch(msg, fix="Compare a window with the baseline of its own version.")
        self.expected, self.observed = expected, observed
        self.n, self.m = values(expected), values(observed)
        if not (self.n and self.m):
            side = "window" if self.n else "baseline"
            msg = f"the {side} has no value in this column"
            raise EmptyWindow(msg, fix="Wait for more events, or look for what is missing.")

    @property
    def is_numeric(self) -> bool:
        """Whether the column holds numbers."""
        return isinstance(self.expected, NumericSketch)

    @cached_property
    def fine(self) -> tuple[Floats, Floats]:
        """Counts in order: -inf, each bin, +inf; numbers only, shape (m + 3,)."""
        return _in_order(self.expected), _in_order(self.observed)

    @cached_property
    def distance(self) -> float:
        """Largest difference of the two distribution functions at the fine edges, in [0, 1]."""
        expected, observed = self.fine
        gaps = expected / self.n
        gaps -= observed / self.m
        gaps = gaps.cumsum(out=gaps)
        return min(max(float(gaps.max()), -float(gaps.min())), 1.0)

    @cached_property
    def is_continuous(self) -> bool:
        """Whether cells are quantile cells in order, rather than a cell per value or label."""
        return (
            isinstance(self.expected, NumericSketch)
            and int(np.count_nonzero(self.expected.counts)) > DISTINCT
        )

    @cached_property
    def cells(self) -> tuple[Floats, Floats]:
        """Counts per cell, each side; no cell is empty on both sides.

        Continuous numbers: baseline-quantile cells, the end ones open. Other numbers: a cell per bin.
        Labels: a cell per label of either side.
        """
        if isinstance(self.expected, CategorySketch) and isinstance(self.observed, CategorySketch):
            old, new = self.expected.counts, self.observed.counts
            labels = [*old, *(label for label in new if label not in old)]
            cells = (
                np.array([old.get(label, 0) for label in labels], np.float64),
                np.array([new.get(label, 0) for label in labels], np.float64),
            )
        elif self.is_continuous:
            starts = quantile_starts(self.fine[0])
            return np.add.reduceat(self.fine[0], starts), np.add.reduceat(self.fine[1], starts)
        else:
            cells = self.fine
        some = cells[0] + cells[1] > 0
        return cells if some.all() else (cells[0][some], cells[1][some])

    @cached_property
    def shares(self) -> tuple[Floats, Floats]:
        """Share per cell, each side; each adds up to 1."""
        return self.cells[0] / self.n, self.cells[1] / self.m

    @cached_property
    def pooled(self) -> Pooled:
        """The cells, with those pooled that expect too few to be judged alone."""
        if self.is_continuous:
            return Pooled(*merge_neighbours(*self.cells), 0.0, 0.0)
        return pool(*self.cells)


def values(sketch: Sketch) -> int:
    """How many values are not missing, infinite ones included."""
    if not isinstance(sketch, NumericSketch):
        return sketch.n
    return sketch.n + sketch.below + sketch.above


def _in_order(sketch: Sketch) -> Floats:
    if not isinstance(sketch, NumericSketch):
        msg = "only numbers have an order"
        raise LayoutMismatch(msg)
    counts = np.empty(len(sketch.counts) + 2)
    counts[0], counts[1:-1], counts[-1] = sketch.below, sketch.counts, sketch.above
    return counts


def _same_column(a: Sketch, b: Sketch) -> bool:
    if isinstance(a, NumericSketch):
        return isinstance(b, NumericSketch) and (
            a.search is b.search or np.array_equal(a.edges, b.edges)
        )
    if isinstance(a, EmbeddingSketch):
        return isinstance(b, EmbeddingSketch) and (
            a.embedding is b.embedding or a.embedding == b.embedding
        )
    return isinstance(b, CategorySketch) and a.categories == b.categories

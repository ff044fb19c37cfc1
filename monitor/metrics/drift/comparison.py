"""One column in the baseline and in the window, laid bin on bin."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import EmptyWindow, LayoutMismatch
from monitor.metrics.cells import Pooled, least_expected, merge_neighbours, pool
from monitor.metrics.frozen import FrozenColumn, in_order, numbers, values
from monitor.profiles.embedding import EmbeddingSketch
from monitor.profiles.sketch import CategorySketch, NumericSketch

if TYPE_CHECKING:
    from monitor.metrics.cells import Floats
    from monitor.metrics.protocol import Number
    from monitor.profiles.profile import Sketch


class Comparison:
    """What every measure of one column starts from; each part is made once, when first asked for.

    Missing values take no part: they are a share of their own.

    Parameters
    ----------
    expected, observed
        The baseline's sketch and the window's, over the same edges or categories.
    frozen
        The baseline's column, if it was made for an earlier window.

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

    def __init__(
        self, expected: Sketch, observed: Sketch, frozen: FrozenColumn | None = None
    ) -> None:
        if not _same_column(expected, observed):
            msg = "the window's column is not counted as the baseline's"
            raise LayoutMismatch(msg, fix="Compare a window with the baseline of its own version.")
        self.expected, self.observed = expected, observed
        self.frozen = frozen or FrozenColumn(expected)
        self.n, self.m = self.frozen.n, values(observed)
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
        return in_order(self.expected), in_order(self.observed)

    @cached_property
    def distance(self) -> float:
        """Largest difference of the two distribution functions at the fine edges, in [0, 1]."""
        return float(largest_gap(self.fine[0] / self.n, self.fine[1] / self.m))

    @property
    def is_plain(self) -> bool:
        """Whether it is continuous, and no cell of it need be joined to another: such columns may be stacked."""
        column = self.frozen
        return (
            column.is_continuous
            and len(column.starts) > 1
            and column.smallest_cell >= least_expected(self.n, self.m)
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
        elif self.frozen.is_continuous:
            (old_fine, new_fine), starts = self.fine, self.frozen.starts
            return np.add.reduceat(old_fine, starts), np.add.reduceat(new_fine, starts)
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
        if self.frozen.is_continuous:
            return Pooled(*merge_neighbours(*self.cells), 0.0, 0.0)
        return pool(*self.cells)

    @cached_property
    def judged(self) -> tuple[Floats, Floats]:
        """The pooled cells, and the rest as one more where it holds anything."""
        expected, observed, rest_expected, rest_observed = self.pooled
        if not rest_expected + rest_observed:
            return expected, observed
        return np.append(expected, rest_expected), np.append(observed, rest_observed)

    @property
    def sums(self) -> tuple[Floats, Floats]:
        """Sum of the values per bin, each side; numbers only, shape (m + 1,)."""
        return self.frozen.numbers.sums, numbers(self.observed).sums

    @property
    def anchors(self) -> Floats:
        """Each bin's upper edge, of the last one the lower; zero where there is no edge. Numbers only, shape (m + 1,)."""
        edges = self.frozen.numbers.edges
        return np.append(edges, edges[-1]) if len(edges) else np.zeros(1)

    @property
    def finite(self) -> tuple[int, int]:
        """How many values are finite, each side; numbers only."""
        new = numbers(self.observed)
        return self.frozen.finite, self.m - new.below - new.above

    @property
    def deviation(self) -> float:
        """Standard deviation of the baseline's finite values; numbers only."""
        return self.frozen.deviation

    @property
    def outside(self) -> int:
        """How many of the window's numbers are beyond the baseline's smallest and largest."""
        return numbers(self.observed).out_of_range


def largest_gap(p: Floats, q: Floats) -> Number:
    """Return the largest difference of two distribution functions, from their shares bin by bin, in [0, 1].

    Examples
    --------
    >>> float(largest_gap(np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])))
    0.5
    """
    gaps = p - q
    gaps.cumsum(axis=-1, out=gaps)
    return np.minimum(np.maximum(gaps.max(axis=-1), -gaps.min(axis=-1)), 1.0)


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

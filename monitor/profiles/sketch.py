"""What is kept of one column: counts that add up, whatever order they are added in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import LayoutMismatch
from monitor.profiles.edges import search_edges
from monitor.profiles.layout import CATEGORY_CAP, OTHER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]
    Positions = NDArray[np.intp]

    #: Finite values, where among them each bin that has any begins, which bins these are, and how many each has.
    _Split = tuple[Floats, Positions, Positions, Positions]

#: Below this many values a binary search per value is faster than sorting them (measured).
_SMALL_BATCH = 300


@dataclass(slots=True)
class NumericSketch:
    """Histogram of a numeric column over frozen edges, with moments.

    Attributes
    ----------
    search
        `search_edges` of the m edges, shape (m + 3,); shared, never changed.
    counts, sums
        Per bin, shape (m + 1,): how many finite values, and their sum.
    missing, below, above
        How many values were null or NaN, -inf, and +inf; `LARGEST` and beyond is infinite.
    sum_of_squares, minimum, maximum
        Of the finite values; the extremes are +inf and -inf while there is none.

    Examples
    --------
    >>> sketch = NumericSketch.empty([0.0, 1.0])
    >>> sketch.add(np.array([-3.0, 0.0, 0.5, np.nan, 7.0]))
    >>> sketch.counts.tolist(), sketch.missing, sketch.n
    ([1, 2, 1], 1, 4)
    """

    search: Floats
    counts: Counts
    sums: Floats
    missing: int = 0
    below: int = 0
    above: int = 0
    sum_of_squares: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf

    @classmethod
    def empty(cls, edges: Iterable[float]) -> NumericSketch:
        """Return a sketch of nothing over these edges."""
        return cls.over(search_edges(edges))

    @classmethod
    def over(cls, search: Floats) -> NumericSketch:
        """Return a sketch of nothing over edges as `search_edges` gives them."""
        bins = len(search) - 2
        return cls(search, np.zeros(bins, np.int64), np.zeros(bins, np.float64))

    @property
    def edges(self) -> Floats:
        """The m finite edges."""
        return self.search[1:-2]

    @property
    def n(self) -> int:
        """How many finite values."""
        return int(self.counts.sum())

    @property
    def total(self) -> int:
        """How many values of any sort, missing ones included."""
        return self.n + self.missing + self.below + self.above

    @property
    def mean(self) -> float:
        """Of the finite values; NaN if there is none."""
        n = self.n
        return float(self.sums.sum()) / n if n else float("nan")

    @property
    def variance(self) -> float:
        """Population variance of the finite values, at least 0; NaN if there is none."""
        n = self.n
        return max(self.sum_of_squares / n - self.mean**2, 0.0) if n else float("nan")

    @property
    def out_of_range(self) -> int:
        """How many values lie outside what the baseline had, infinities included."""
        if not len(self.edges):
            return self.below + self.above
        return int(self.counts[0] + self.counts[-1]) + self.below + self.above

    def add(self, values: Floats) -> None:
        """Count values in place; `values`, shape (n,), is sorted as a side effect."""
        if not len(values):
            return
        values.sort()
        few = len(values) < _SMALL_BATCH and len(self.search) > len(values)
        finite, starts, filled, counts = self._few(values) if few else self._many(values)
        if not len(finite):
            return
        self.counts[filled] += counts
        # Bin by bin: differences of a running sum would lose small values behind one huge one.
        self.sums[filled] += np.add.reduceat(finite, starts)
        # Not `finite @ finite`: BLAS would start threads for it, which cost more than they do.
        self.sum_of_squares += float(np.einsum("i,i", finite, finite))
        self.minimum = min(self.minimum, float(finite[0]))
        self.maximum = max(self.maximum, float(finite[-1]))

    def _many(self, values: Floats) -> _Split:
        """Find each edge among the values."""
        position = values.searchsorted(self.search)
        first, last = self._count_infinite(len(values), position[[0, -2, -1]].tolist())
        inner = position[:-1]
        counts = inner[1:] - inner[:-1]
        filled = counts.nonzero()[0]
        return values[first:last], inner[filled] - first, filled, counts[filled]

    def _few(self, values: Floats) -> _Split:
        """Find each value among the edges; nothing here takes longer for there being many bins."""
        last_bin = len(self.search) - 2
        bins = self.search.searchsorted(values, side="right") - 1
        ends = bins.searchsorted((0, last_bin, last_bin + 1)).tolist()
        first, last = self._count_infinite(len(values), ends)
        bins = bins[first:last]
        begins = np.empty(len(bins) + 1, np.bool_)
        begins[0] = begins[-1] = True
        np.not_equal(bins[1:], bins[:-1], out=begins[1:-1])
        bounds = begins.nonzero()[0]
        starts = bounds[:-1]
        return values[first:last], starts, bins[starts], bounds[1:] - starts

    def _count_infinite(self, n: int, ends: list[int]) -> tuple[int, int]:
        """Count what is no finite number; return where those begin and end that are.

        Parameters
        ----------
        ends
            Where -inf, the numbers, and +inf end among n sorted values.
        """
        first, last, there = ends
        self.below += first
        self.above += there - last
        self.missing += n - there
        return first, last

    def merge(self, other: NumericSketch) -> NumericSketch:
        """Return the sketch of both, leaving each as it was."""
        if self.search is not other.search and not np.array_equal(
            self.search, other.search, equal_nan=True
        ):
            msg = "two sketches of one column have different edges"
            raise LayoutMismatch(msg)
        return NumericSketch(
            self.search,
            self.counts + other.counts,
            self.sums + other.sums,
            self.missing + other.missing,
            self.below + other.below,
            self.above + other.above,
            self.sum_of_squares + other.sum_of_squares,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )


@dataclass(slots=True)
class CategorySketch:
    """Counts of a column's labels, capped.

    Attributes
    ----------
    categories
        The baseline's; never capped away.
    counts
        Count per label; labels past the cap share `OTHER`.
    missing
        How many values were null.

    Examples
    --------
    >>> sketch = CategorySketch(("a", "b"))
    >>> sketch.add({"a": 2, "z": 1}, missing=1)
    >>> sketch.n, sketch.unseen, sketch.missing
    (3, 1, 1)
    """

    categories: tuple[str, ...]
    counts: dict[str, int] = field(default_factory=dict)
    missing: int = 0

    @property
    def n(self) -> int:
        """How many values that were not missing."""
        return sum(self.counts.values())

    @property
    def total(self) -> int:
        """How many values, missing ones included."""
        return self.n + self.missing

    @property
    def unseen(self) -> int:
        """How many values carry a label that the baseline does not have."""
        known = set(self.categories)
        return sum(count for label, count in self.counts.items() if label not in known)

    def add(self, counts: Mapping[str, int], missing: int = 0) -> None:
        """Count labels in place."""
        add_capped(self.counts, counts, CATEGORY_CAP + len(self.categories))
        self.missing += missing

    def merge(self, other: CategorySketch) -> CategorySketch:
        """Return the sketch of both, leaving each as it was."""
        if self.categories != other.categories:
            msg = "two sketches of one column have different categories"
            raise LayoutMismatch(msg)
        merged = CategorySketch(self.categories, dict(self.counts), self.missing)
        merged.add(other.counts, other.missing)
        return merged


def add_capped(counts: dict[str, int], more: Mapping[str, int], cap: int) -> None:
    """Add counts in place; once `cap` labels are known, a new one counts as `OTHER`.

    Examples
    --------
    >>> counts = {"a": 1}
    >>> add_capped(counts, {"b": 2, "a": 1}, cap=1)
    >>> counts
    {'a': 2, '(other)': 2}
    """
    for label, count in more.items():
        known = label in counts or len(counts) < cap
        key = label if known else OTHER
        counts[key] = counts.get(key, 0) + count

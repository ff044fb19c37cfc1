"""A baseline's columns, and what each window's comparison needs of them: made once, since a baseline is frozen."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import LayoutMismatch
from monitor.metrics.cells import DISTINCT, quantile_starts
from monitor.metrics.scale import Scale
from monitor.profiles.sketch import NumericSketch

if TYPE_CHECKING:
    from monitor.baselines import Baseline
    from monitor.metrics.cells import Floats
    from monitor.profiles.profile import Profile, Sketch

#: What a baseline keeps them under.
_COLUMNS = "columns"

#: Below this share of the squared mean, a variance from sums of squares is rounding error.
_TRUSTED = 1e-9


class FrozenColumn:
    """One column of reference data: a few hundred numbers beside its sketch, each made when first asked for.

    Parameters
    ----------
    sketch
        Of the reference data. It must not change after.
    """

    def __init__(self, sketch: Sketch) -> None:
        self.sketch = sketch

    @property
    def numbers(self) -> NumericSketch:
        """The sketch, of a column of numbers."""
        return numbers(self.sketch)

    @cached_property
    def n(self) -> int:
        """How many values are not missing, infinite ones included."""
        return values(self.sketch)

    @property
    def total(self) -> int:
        """How many values, missing ones included."""
        return self.n + self.sketch.missing

    @property
    def finite(self) -> int:
        """How many values are finite; numbers only."""
        return self.n - self.numbers.below - self.numbers.above

    @cached_property
    def is_continuous(self) -> bool:
        """Whether it holds so many different numbers that its cells are quantile cells, not a cell per value."""
        sketch = self.sketch
        return isinstance(sketch, NumericSketch) and int(np.count_nonzero(sketch.counts)) > DISTINCT

    @cached_property
    def starts(self) -> list[int]:
        """First fine bin of each of a continuous column's quantile cells."""
        return quantile_starts(in_order(self.sketch))

    @cached_property
    def smallest_cell(self) -> float:
        """Fewest values that one of those cells holds."""
        return float(np.add.reduceat(in_order(self.sketch), self.starts).min())

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the finite values; 0 if they are all the same, or none. Numbers only.

        From the sum of squares, unless the mean is so large that only rounding is left of it (times since 1970):
        then from the spread of the bins' means.
        """
        sketch, n = self.numbers, self.finite
        if not n or sketch.minimum == sketch.maximum:
            return 0.0
        mean = float(sketch.sums.sum()) / n
        variance = sketch.sum_of_squares / n - mean * mean
        if variance <= _TRUSTED * mean * mean:
            held = sketch.counts > 0
            counts = sketch.counts[held]
            variance = float(counts @ (sketch.sums[held] / counts - mean) ** 2) / n
        return math.sqrt(variance)

    @cached_property
    def scale(self) -> Scale:
        """The few cells in which it is shown; numbers only."""
        return Scale(self.numbers)

    @cached_property
    def shown(self) -> Floats:
        """How many values each of those cells holds."""
        return self.scale.gather(self.numbers)


def frozen_columns(profile: Profile) -> tuple[FrozenColumn, ...]:
    """Return the columns of a profile that will not change any more, in its layout's order."""
    return tuple(map(FrozenColumn, profile.sketches))


def columns_of(baseline: Baseline) -> tuple[FrozenColumn, ...]:
    """Return the baseline's columns, the same ones each time."""
    if _COLUMNS not in baseline.kept:
        baseline.kept[_COLUMNS] = frozen_columns(baseline.profile)
    kept: tuple[FrozenColumn, ...] = baseline.kept[_COLUMNS]
    return kept


def values(sketch: Sketch) -> int:
    """How many values are not missing, infinite ones included."""
    if not isinstance(sketch, NumericSketch):
        return sketch.n
    return sketch.n + sketch.below + sketch.above


def in_order(sketch: Sketch) -> Floats:
    """Return a numeric column's counts in order: -inf, each bin, +inf."""
    sketch = numbers(sketch)
    counts = np.empty(len(sketch.counts) + 2)
    counts[0], counts[1:-1], counts[-1] = sketch.below, sketch.counts, sketch.above
    return counts


def numbers(sketch: Sketch) -> NumericSketch:
    """Return the sketch, if it is one of numbers."""
    if not isinstance(sketch, NumericSketch):
        msg = "only numbers have an order"
        raise LayoutMismatch(msg)
    return sketch

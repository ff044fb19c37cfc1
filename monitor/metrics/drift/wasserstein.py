"""Wasserstein distance of two samples, from counts and sums."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from monitor.metrics.protocol import NUMBERS, Measure
from monitor.profiles.sketch import NumericSketch

if TYPE_CHECKING:
    from monitor.metrics.drift.comparison import Comparison

#: Below this share of the squared mean, a variance from sums of squares is rounding error.
_TRUSTED = 1e-9


def distance(column: Comparison) -> float | None:
    r"""Earth mover's distance of the finite values, in standard deviations of the baseline.

    .. math:: W = \frac{1}{\sigma} \sum_b \Bigl| \int_b (F - G)\,dx \Bigr|

    Each integral is exact, from the bin's count and sum: with bin b = [l, u) it is
    ``(u - l)(F - G)(l) + sum_{x in b} (u - x)(dF - dG)``, and in the open end bins what lies beyond the edge.
    So the result is exact but for bins within which F - G changes its sign; there it is low, in all by at most
    the sum over those of width times the larger share.

    Returns
    -------
    float or None
        Standard deviations, in [0, inf). None if the baseline is constant and the window is elsewhere: it has
        no unit then; and None if a side has infinite values only.
    """
    expected, observed = column.expected, column.observed
    if not (isinstance(expected, NumericSketch) and isinstance(observed, NumericSketch)):
        return None
    n = column.n - expected.below - expected.above
    m = column.m - observed.below - observed.above
    if not (n and m):
        return None
    edges = expected.edges
    mass = expected.counts / n - observed.counts / m
    integral = observed.sums / m - expected.sums / n
    if len(edges):
        # Of each bin's values to its upper edge; the last bin has only a lower one.
        integral[:-1] += edges * mass[:-1]
        integral[-1] += edges[-1] * mass[-1]
        integral[1:-1] += (edges[1:] - edges[:-1]) * mass.cumsum()[:-2]
    moved = float(np.abs(integral, out=integral).sum())
    unit = deviation(expected, n)
    if not unit:
        return 0.0 if math.isclose(moved, 0.0, abs_tol=1e-12) else None
    return moved / unit


def deviation(sketch: NumericSketch, n: int) -> float:
    """Return the standard deviation of the n finite values; 0 if they are all the same.

    From the sum of squares, unless the mean is so large that only rounding is left of it (times since 1970):
    then from the spread of the bins' means.
    """
    if sketch.minimum == sketch.maximum:
        return 0.0
    mean = float(sketch.sums.sum()) / n
    variance = sketch.sum_of_squares / n - mean * mean
    if variance <= _TRUSTED * mean * mean:
        held = sketch.counts > 0
        counts = sketch.counts[held]
        variance = float(counts @ (sketch.sums[held] / counts - mean) ** 2) / n
    return math.sqrt(variance)


WASSERSTEIN = Measure("wasserstein", distance, kinds=NUMBERS, upper=float("inf"), symmetric=False)

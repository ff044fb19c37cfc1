"""Cells that are compared: few enough to hold people, made from the counts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Baseline-quantile cells of a continuous column.
CELLS = 10

#: A numeric column of at most so many bins has a cell for each: codes are values, not a scale.
DISTINCT = 20

#: A cell that expects fewer is pooled (Cochran 1954).
LEAST = 5.0


class Pooled(NamedTuple):
    """Counts of the cells that expect `LEAST` on both sides, and what all the others hold together."""

    expected: Floats
    observed: Floats
    rest_expected: float
    rest_observed: float


def quantile_starts(counts: Floats, cells: int = CELLS) -> list[int]:
    """Return the first bin of each cell, so that the cells hold equal shares as nearly as the bins allow.

    Examples
    --------
    >>> quantile_starts(np.array([0.0, 25, 25, 25, 25, 0]), cells=2)
    [0, 3]
    """
    running = counts.cumsum()
    total = float(running[-1])
    # A hair below, so that a cut that falls on an edge takes that edge.
    wanted = np.arange(1, cells) * (total * (1 - 1e-12) / cells)
    ends = running.searchsorted(wanted) + 1
    # Beyond the last value there is no cell, only the open end of the last one.
    inner = set(ends[running[ends - 1] < total].tolist())
    return [0, *sorted(inner)]


def least_expected(n: float, m: float) -> float:
    """Return how many of a sample of n a cell must hold to expect `LEAST` in it and in a sample of m."""
    return LEAST * n / min(n, m)


def merge_neighbours(expected: Floats, observed: Floats) -> tuple[Floats, Floats]:
    """Join ordered cells until each expects `LEAST` on both sides, by the baseline's shares.

    Examples
    --------
    >>> merge_neighbours(np.array([30.0, 30, 30, 10]), np.array([5.0, 3, 4, 3]))
    (array([60., 40.]), array([8., 7.]))
    """
    n, m = float(expected.sum()), float(observed.sum())
    least = least_expected(n, m)
    if expected.min() >= least:
        return expected, observed
    starts, held, left = [0], 0.0, n
    for cell, count in enumerate(expected.tolist()[:-1], start=1):
        held, left = held + count, left - count
        if held >= least and left >= least:
            starts.append(cell)
            held = 0.0
    return np.add.reduceat(expected, starts), np.add.reduceat(observed, starts)


def pool(expected: Floats, observed: Floats) -> Pooled:
    """Pool unordered cells that expect fewer than `LEAST` on either side, by the baseline's shares.

    By the baseline's alone, since it is frozen: pooled by what the window shows, cells near the limit would be
    pooled just when they came out small, and windows of 50 would alarm in 3 % of clean cases instead of 0.25 %.

    Examples
    --------
    >>> pool(np.array([50.0, 48, 2, 0]), np.array([60.0, 39, 0, 1]))[2:]
    (2.0, 1.0)
    """
    n, m = float(expected.sum()), float(observed.sum())
    large = expected * (min(n, m) / n) >= LEAST
    if large.all():
        return Pooled(expected, observed, 0.0, 0.0)
    kept, seen = expected[large], observed[large]
    return Pooled(kept, seen, n - float(kept.sum()), m - float(seen.sum()))

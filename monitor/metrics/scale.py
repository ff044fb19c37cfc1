"""The few cells in which a column of many numbers is shown."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.sketch import NumericSketch

    Floats = NDArray[np.float64]

#: Equal cells of a scale, its open ends not counted; rounding makes them up to two and a half times as wide.
CELLS = 30

#: Share of the reference left out at either end of a scale, and gathered in an end cell.
_TAIL = 0.005


class Scale:
    """Equal cells over all but a sketch's tails, with an open one at either end; whole ones where values are whole.

    Attributes
    ----------
    grid
        Where the cells meet, ascending, shape (C - 1,).
    """

    def __init__(self, sketch: NumericSketch) -> None:
        self.grid = _grid(sketch)

    @property
    def names(self) -> list[str]:
        """One per cell, shape (C,)."""
        marks = [f"{place:g}" for place in self.grid.tolist()]
        return [
            f"below {marks[0]}",
            *(f"{low} to {high}" for low, high in pairwise(marks)),
            f"{marks[-1]} and above",
        ]

    def gather(self, sketch: NumericSketch) -> Floats:
        """Return the count of each cell, a fine bin counted where its mean lies: a spike stays one."""
        held = np.flatnonzero(sketch.counts)
        counts = sketch.counts[held]
        # Bins are in order, so their means are; rounding must not put a value that stands on an edge below it.
        means = np.maximum(sketch.sums[held] / counts, sketch.search[held])
        running = np.zeros(len(held) + 1)
        running[1:] = counts.cumsum()
        places = [0, *means.searchsorted(self.grid).tolist(), len(held)]
        return np.diff(running[places])


def _grid(sketch: NumericSketch) -> Floats:
    edges, running = sketch.edges, sketch.counts.cumsum()
    places = running.searchsorted(running[-1] * np.array([_TAIL, 1 - _TAIL]))
    low = float(edges[max(int(places[0]) - 1, 0)])
    high = float(edges[min(int(places[1]), len(edges) - 1)])
    digit, power = _round_step((high - low) / CELLS)
    if power < 0 and (edges[:-1] == np.floor(edges[:-1])).all():
        digit, power = 1, 0
    step = float(f"{digit}e{power}")
    first, last = math.floor(low / step), math.ceil(high / step)
    whole = np.arange(first, max(last, first + 1) + 1) * float(digit)
    # Whole numbers divided: 3 * 0.1 would be named 0.30000000000000004.
    return np.asarray(whole * 10.0**power if power > 0 else whole / 10.0**-power, np.float64)


def _round_step(step: float) -> tuple[int, int]:
    """Return the next step up that people would choose, 1, 2 or 5 times a power of ten: its digit, and the power.

    Examples
    --------
    >>> _round_step(0.031), _round_step(7.0)
    ((5, -2), (1, 1))
    """
    power = math.floor(math.log10(step)) if step > 0 else 0
    digit = next((digit for digit in (1, 2, 5) if float(f"{digit}e{power}") >= step), None)
    return (1, power + 1) if digit is None else (digit, power)

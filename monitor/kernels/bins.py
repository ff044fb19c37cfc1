"""Numbers into bins, in blocks: each step goes over a block at a time, so that the processor never guesses a branch."""

from __future__ import annotations

import numpy as np
from numba import float64, int64, uint16
from numba.types import Array

from monitor.kernels.compiled import FLOATS, INTEGERS, at_least, kernel

_READ = Array(float64, 1, "C", readonly=True)
_STARTS = Array(uint16, 1, "C", readonly=True)

_BLOCK = 512
_U = np.uint64
_NONE, _ONE = _U(0), _U(1)


@kernel(
    _READ, _READ, _STARTS, float64, float64, int64,
    INTEGERS, INTEGERS, FLOATS, FLOATS, INTEGERS, INTEGERS,
)  # fmt: skip
def count(
    values, search, starts, low, scale, half, cell_of, counts, sums, rest, missing, zeros
):  # fmt: skip
    """Count numbers by bin, and those that are none, and zeros, by cell.

    Parameters
    ----------
    values, cell_of
        Shape (n,): the numbers, and which cell each one's event is in.
    search, starts, low, scale, half
        Edges with sentinels, and where to begin among them, as `Grid` says.
    counts, sums
        Added to, per bin.
    rest
        Added to: how many were NaN, too small, and too large; the sum of squares, and the extremes, of the others.
    missing, zeros
        Added to, per cell: how many were NaN, and 0.
    """
    smallest, largest = search[0], search[-2]
    last_start, last_edge = float64(len(starts) - 1), _U(len(search) - 2)
    squares, low_end, high_end = rest[3], rest[4], rest[5]
    bins = np.empty(_BLOCK, np.uint64)
    for first in range(0, len(values), _BLOCK):
        n = min(_BLOCK, len(values) - first)
        odd = False
        for i in range(n):
            value = values[first + i]
            at = (value - low) * scale
            at = at if at > 0.0 else 0.0  # noqa: FURB136 - of NaN too
            at = last_start if at > last_start else at  # noqa: FURB136 - min() is slower
            bins[i] = starts[_U(int64(at))]
            odd |= (not smallest <= value < largest) | (value == 0.0)
        step = _U(half)
        while step != _NONE:
            for i in range(n):
                next_edge = bins[i] + step
                next_edge = last_edge if next_edge > last_edge else next_edge  # noqa: FURB136
                bins[i] += step * at_least(values[first + i], search[next_edge])
            step >>= _ONE
        if odd:
            for i in range(n):
                value, cell = values[first + i], cell_of[first + i]
                if value == 0.0:
                    zeros[cell] += 1
                elif not smallest <= value < largest:
                    bins[i] = _U(len(counts))
                    if value < smallest:
                        rest[1] += 1
                    elif value >= largest:
                        rest[2] += 1
                    else:
                        rest[0] += 1
                        missing[cell] += 1
            for i in range(n):
                if bins[i] < _U(len(counts)):
                    value = values[first + i]
                    counts[bins[i]] += 1
                    sums[bins[i]] += value
                    squares += value * value
                    low_end = value if value < low_end else low_end  # noqa: FURB136
                    high_end = value if value > high_end else high_end  # noqa: FURB136
        else:
            for i in range(n):
                counts[bins[i]] += 1
                sums[bins[i]] += values[first + i]
            for i in range(n):
                value = values[first + i]
                squares += value * value
                low_end = value if value < low_end else low_end  # noqa: FURB136
                high_end = value if value > high_end else high_end  # noqa: FURB136
    rest[3], rest[4], rest[5] = squares, low_end, high_end

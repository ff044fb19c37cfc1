"""Wasserstein distance of two samples, from counts and sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.metrics.protocol import NUMBERS, Measure

if TYPE_CHECKING:
    from monitor.metrics.cells import Floats
    from monitor.metrics.drift.stack import Columns
    from monitor.metrics.protocol import Number

#: Of a constant column, what is moved less has not moved.
_STILL = 1e-12


def distance(column: Columns) -> Number:
    r"""Earth mover's distance of the finite values, in standard deviations of the baseline.

    .. math:: W = \frac{1}{\sigma} \sum_b \Bigl| \int_b (F - G)\,dx \Bigr|

    Each integral is exact, from the bin's count and sum: with bin b = [l, u) it is
    ``(u - l)(F - G)(l) + sum_{x in b} (u - x)(dF - dG)``, and in the open end bins what lies beyond the edge.
    So the result is exact but for bins within which F - G changes its sign; there it is low, in all by at most
    the sum over those of width times the larger share.

    Returns
    -------
    float
        Standard deviations, in [0, inf). NaN if the baseline is constant and the window is elsewhere: it has
        no unit then; and NaN if a side has infinite values only.
    """
    (n, m), unit = column.finite, np.asarray(column.deviation)
    anchors, (old, new) = column.anchors, column.fine
    with np.errstate(divide="ignore", invalid="ignore"):
        mass = _each(old[..., 1:-1], n) - _each(new[..., 1:-1], m)
        integral = _each(column.sums[1], m) - _each(column.sums[0], n)
        # Of each bin's values to its upper edge; the last bin has only a lower one.
        integral += anchors * mass
        integral[..., 1:] += np.diff(anchors) * mass.cumsum(axis=-1)[..., :-1]
        moved = np.abs(integral, out=integral).sum(axis=-1)
        still = np.where(moved <= _STILL, 0.0, np.nan)
        return np.where(unit > 0, moved / unit, still)


def _each(values: Floats, n: Number) -> Floats:
    shares: Floats = values / np.asarray(n)[..., None]
    return shares


WASSERSTEIN = Measure("wasserstein", distance, kinds=NUMBERS, upper=float("inf"), symmetric=False)

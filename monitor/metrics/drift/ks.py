"""Kolmogorov-Smirnov distance of two samples, from counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from monitor.metrics.protocol import NUMBERS, Measure

if TYPE_CHECKING:
    from monitor.metrics.drift.stack import Columns
    from monitor.metrics.protocol import Number


def distance(column: Columns) -> Number:
    r"""Largest difference of the two distribution functions.

    .. math:: D = \max_x |F(x) - G(x)|

    taken at the edges of the fine bins; infinite values lie beyond the outer ones. It is never above the distance
    of the samples themselves, and below it by at most ``max_b min(p_b, q_b)``, hence by at most the largest
    share that one baseline bin holds (about 0.001 for a continuous column). Where each value has its bin it is exact.

    Returns
    -------
    float
        In [0, 1].
    """
    return column.distance


def p_value(column: Columns) -> Number:
    r"""Asymptotic p-value of the two-sample test.

    .. math:: Q\bigl(D \sqrt{NM / (N + M)}\bigr), \quad Q(t) = 2 \sum_k (-1)^{k-1} e^{-2 k^2 t^2}

    Conservative for small samples, and for columns with ties.

    Returns
    -------
    float
        In [0, 1].

    References
    ----------
    Hodges, J. L. (1958). The significance probability of the Smirnov two-sample test.
    """
    effective = column.n * column.m / (column.n + column.m)
    return special.kolmogorov(column.distance * np.sqrt(effective))


KS = Measure("ks", distance, kinds=NUMBERS)

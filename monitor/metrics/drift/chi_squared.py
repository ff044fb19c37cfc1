"""Chi-squared test of two samples of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from monitor.metrics.cells import LEAST
from monitor.metrics.proportions import surge_p_value
from monitor.metrics.protocol import LABELS, Measure

if TYPE_CHECKING:
    from monitor.metrics.cells import Floats
    from monitor.metrics.drift.comparison import Comparison


def statistic(column: Comparison) -> float:
    r"""Pearson's statistic of the table window/baseline by label.

    .. math:: \chi^2 = \sum_b \frac{(a_b \sqrt{M/N} - b_b \sqrt{N/M})^2}{a_b + b_b}

    over the labels that expect at least 5 on both sides by the baseline's shares, and one cell for the others if
    together they do.

    Returns
    -------
    float
        In [0, inf).
    """
    return _pearson(*_table(column))


def p_value(column: Comparison) -> float:
    """P-value of the column: chi-squared over the cells, and rare or new labels by an exact test.

    Labels that expect fewer than 5 even together (a new one, mostly) are no matter for chi-squared. Whether they
    surge is tested exactly, and the column's p-value is then twice the smaller of the two.

    Returns
    -------
    float
        In [0, 1].
    """
    expected, observed = _table(column)
    freedom = len(expected) - 1
    p = float(special.chdtrc(freedom, _pearson(expected, observed))) if freedom > 0 else 1.0
    old, new = column.n - float(expected.sum()), column.m - float(observed.sum())
    if not old + new:
        return p
    return min(2 * min(p, float(surge_p_value(old, column.n, new, column.m))), 1.0)


def _table(column: Comparison) -> tuple[Floats, Floats]:
    """Return the cells that expect enough; the rest is one of them, or left out."""
    pooled, n, m = column.pooled, column.n, column.m
    if pooled.rest_expected * min(n, m) / n < LEAST:
        return pooled.expected, pooled.observed
    return (
        np.append(pooled.expected, pooled.rest_expected),
        np.append(pooled.observed, pooled.rest_observed),
    )


def _pearson(expected: Floats, observed: Floats) -> float:
    n, m = float(expected.sum()), float(observed.sum())
    if not (n and m):
        return 0.0
    ratio = (m / n) ** 0.5
    return float(((expected * ratio - observed / ratio) ** 2 / (expected + observed)).sum())


CHI_SQUARED = Measure("chi2", statistic, kinds=LABELS, upper=float("inf"), symmetric=False)

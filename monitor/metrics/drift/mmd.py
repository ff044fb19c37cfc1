"""Maximum mean discrepancy of a vector column, with its null distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from monitor.errors import LayoutMismatch
from monitor.metrics.protocol import VECTORS, Measure
from monitor.profiles.embedding import EmbeddingSketch

if TYPE_CHECKING:
    from monitor.metrics.cells import Floats
    from monitor.metrics.drift.comparison import Comparison

#: Eigenvalues below this share of the largest move nothing.
_NEGLIGIBLE = 1e-12

#: What two sums of the same features in another order may differ by, squared.
_ROUNDING = 1e-20


def excess_discrepancy(column: Comparison) -> float:
    r"""Maximum mean discrepancy above what two samples of these sizes show without drift.

    .. math:: \sqrt{\max\bigl(0,\ \|\bar z_w - \bar z_b\|^2 - (1/N + 1/M) \textstyle\sum_i \lambda_i\bigr)}

    with the mean random Fourier features of window and baseline, and the eigenvalues of their covariance, both frozen.
    The squared norm is the discrepancy under a Gaussian kernel to within about ``1 / sqrt(D)`` (D = 128 frequencies).

    Returns
    -------
    float
        In [0, sqrt(2)]; 0 for equal means.

    References
    ----------
    Gretton, A., et al. (2012). A kernel two-sample test. JMLR 13.
    Rahimi, A., and Recht, B. (2007). Random features for large-scale kernel machines. NeurIPS 20.
    """
    return math.sqrt(max(_squared(column) - float(eigenvalues(column).sum()) * _noise(column), 0.0))


def p_value(column: Comparison) -> float:
    r"""P-value of the squared discrepancy.

    .. math:: P\Bigl(\textstyle\sum_i \lambda_i \chi^2_1 \, (1/N + 1/M) \ge \|\bar z_w - \bar z_b\|^2\Bigr)

    Features are bounded, so means of a few dozen are close to normal already, and this is their null distribution.

    Returns
    -------
    float
        In [0, 1].
    """
    return tail(eigenvalues(column), _squared(column) / _noise(column))


def smallest_discrepancy(column: Comparison, *, level: float) -> float | None:
    """Return the smallest `excess_discrepancy` that a window of this size could show as significant.

    Parameters
    ----------
    level
        The p-value needed, in (0, 1).

    Returns
    -------
    float or None
        None where the baseline's vectors are all the same.
    """
    weights = eigenvalues(column)
    if not len(weights):
        return None
    mean = float(weights.sum())
    high = mean
    while tail(weights, high) > level:
        high *= 2
    quantile = optimize.brentq(lambda q: tail(weights, q) - level, mean / 2, high, rtol=1e-4)
    return math.sqrt(max(float(quantile) - mean, 0.0) * _noise(column))


def tail(weights: Floats, quantile: float) -> float:
    r"""P-value of a sum of weighted chi-squared variables.

    .. math:: P\bigl(\textstyle\sum_i \lambda_i \chi^2_1 \ge q\bigr)

    By saddlepoint, within a few percent of itself far into the tail; near and below the mean by the chi-squared variable
    with the same two moments.

    Parameters
    ----------
    weights
        Positive, shape (k,).

    Examples
    --------
    >>> round(tail(np.ones(10), 29.588), 5)
    0.001

    References
    ----------
    Kuonen, D. (1999). Saddlepoint approximations for distributions of quadratic forms in normal variables.
    Satterthwaite, F. E. (1946). An approximate distribution of estimates of variance components.
    """
    if not len(weights):
        return 1.0 if quantile <= 0 else 0.0
    mean, variance = float(weights.sum()), 2 * float((weights**2).sum())
    if quantile <= mean + 0.1 * math.sqrt(variance):
        scale = variance / (2 * mean)
        return float(special.chdtrc(mean / scale, max(quantile, 0.0) / scale))
    last = 0.5 / float(weights.max())

    def slope(at: float) -> float:
        return float((weights / (1 - 2 * at * weights)).sum()) - quantile

    # Just below the pole the slope is past any quantile: one weight alone gives w / (1 - 2 t w).
    high = last * (1 - 1e-3 * min(1.0, mean / quantile))
    while slope(high) < 0:
        high = (high + last) / 2
    at = optimize.brentq(slope, 0.0, high, xtol=1e-14 * last)
    inner = 1 - 2 * at * weights
    cumulant = -0.5 * float(np.log(inner).sum())
    curvature = 2 * float((weights**2 / inner**2).sum())
    w = math.sqrt(2 * (at * quantile - cumulant))
    v = at * math.sqrt(curvature)
    return float(special.ndtr(-(w + math.log(v / w) / w)))


def eigenvalues(column: Comparison) -> Floats:
    """Return the eigenvalues that matter of the features' covariance in the baseline, largest first."""
    expected, _ = _sketches(column)
    values = np.array(expected.embedding.eigenvalues)
    return values[values > _NEGLIGIBLE * max(float(values.max(initial=0.0)), _NEGLIGIBLE)]


def _squared(column: Comparison) -> float:
    expected, observed = _sketches(column)
    squared = float(((observed.mean - expected.mean) ** 2).sum())
    return squared if squared > _ROUNDING else 0.0


def _noise(column: Comparison) -> float:
    return 1 / column.n + 1 / column.m


def _sketches(column: Comparison) -> tuple[EmbeddingSketch, EmbeddingSketch]:
    expected, observed = column.expected, column.observed
    if not (isinstance(expected, EmbeddingSketch) and isinstance(observed, EmbeddingSketch)):
        msg = "only vectors have a mean discrepancy"
        raise LayoutMismatch(msg)
    return expected, observed


MMD = Measure("mmd", excess_discrepancy, kinds=VECTORS, upper=math.sqrt(2))

"""Confidence limits of shares, of differences and ratios between groups, and of differences of those.

Everything is an `Estimate`: values with a lower and an upper limit, in arrays of any shape. The limits of a difference
come from the limits of its two sides (MOVER, the method of variance estimates recovery). So one rule serves shares,
means, gaps between groups, and the excess of a gap over the gap in another sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values with confidence limits, elementwise; the value is NaN where nothing was seen.

    Attributes
    ----------
    value, lower, upper
        Arrays of one shape; ``lower <= value <= upper``.
    """

    value: Floats
    lower: Floats
    upper: Floats

    def __getitem__(self, index: Any) -> Estimate:
        """Return some of the values with their limits, chosen as NumPy would."""
        return Estimate(self.value[index], self.lower[index], self.upper[index])

    def clipped(self, least: float) -> Estimate:
        """Return the estimate of ``max(quantity, least)``: limits pass through a monotone function."""
        return Estimate(
            np.maximum(self.value, least),
            np.maximum(self.lower, least),
            np.maximum(self.upper, least),
        )


def critical_value(comparisons: int, confidence: float = 0.95) -> float:
    """Return z such that so many two-sided intervals hold at once (Bonferroni).

    Parameters
    ----------
    comparisons
        How many intervals are looked at; fewer than one counts as one.
    confidence
        That all of them hold, in (0, 1).

    Examples
    --------
    >>> round(critical_value(1), 3), round(critical_value(36), 3)
    (1.96, 3.197)
    """
    return float(-ndtri((1.0 - confidence) / (2 * max(comparisons, 1))))


def wilson(successes: ArrayLike, totals: ArrayLike, z: float) -> Estimate:
    r"""Wilson's score interval of a share.

    .. math:: \frac{x + z^2/2 \pm z \sqrt{x(n-x)/n + z^2/4}}{n + z^2}

    Parameters
    ----------
    successes, totals
        Counts, ``0 <= successes <= totals``.

    Returns
    -------
    Estimate
        In [0, 1]. Of nothing (total 0): NaN, with the limits 0 and 1.

    Examples
    --------
    >>> interval = wilson([81], [263], 1.959964)
    >>> interval.lower.round(4).tolist(), interval.upper.round(4).tolist()
    ([0.2553], [0.3662])

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. JASA 22.
    """
    x, n = np.asarray(successes, np.float64), np.asarray(totals, np.float64)
    seen = n > 0
    share = np.divide(x, n, out=np.full(np.broadcast(x, n).shape, np.nan), where=seen)
    spread = z * np.sqrt(np.where(seen, share * (n - x), 0.0) + z * z / 4)
    middle, scale = x + z * z / 2, np.where(seen, n + z * z, 1.0)
    # Rounding must not put a limit on the wrong side of the value that it bounds.
    lower = np.where(x > 0, np.clip((middle - spread) / scale, 0.0, 1.0), 0.0)
    upper = np.where(x < n, np.clip((middle + spread) / scale, 0.0, 1.0), 1.0)
    return Estimate(share, lower, upper)


def normal(values: ArrayLike, standard_errors: ArrayLike, z: float) -> Estimate:
    """Symmetric interval of values that are close to normal, such as means.

    Examples
    --------
    >>> normal([10.0], [2.0], 2.0).upper
    array([14.])
    >>> normal([10.0], [float("inf")], 0.0).upper
    array([10.])
    """
    value, error = np.asarray(values, np.float64), np.asarray(standard_errors, np.float64)
    # One person's mean has an infinite error, and times 0 that is no number.
    margin = z * error if z else np.zeros_like(error)
    return Estimate(value, value - margin, value + margin)


def difference(a: Estimate, b: Estimate) -> Estimate:
    r"""Interval of ``a - b`` for independent samples, from the limits of each (MOVER).

    .. math:: L = d - \sqrt{(a - l_a)^2 + (u_b - b)^2}, \quad U = d + \sqrt{(u_a - a)^2 + (b - l_b)^2}

    With Wilson's limits this is Newcombe's hybrid score interval of a difference of shares.

    Examples
    --------
    >>> gap = difference(wilson(56, 70, 1.959964), wilson(48, 80, 1.959964))
    >>> round(float(gap.lower), 4), round(float(gap.upper), 4)
    (0.0524, 0.3339)

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions. Statistics in
    Medicine 17, method 10. Zou, G. Y. and Donner, A. (2008). Construction of confidence limits about effect measures:
    a general approach. Statistics in Medicine 27.
    """
    value = a.value - b.value
    return Estimate(
        value,
        value - np.hypot(a.value - a.lower, b.upper - b.value),
        value + np.hypot(a.upper - a.value, b.value - b.lower),
    )


def share_ratio(
    successes: ArrayLike, totals: ArrayLike, other: ArrayLike, other_totals: ArrayLike, z: float
) -> Estimate:
    r"""Katz's log interval of a ratio of two shares, with half counts so that no zero breaks it.

    .. math:: \exp\Big(\ln\frac{\tilde p_1}{\tilde p_2} \pm z \sqrt{1/\tilde x_1 - 1/\tilde n_1 + 1/\tilde x_2
              - 1/\tilde n_2}\Big), \quad \tilde x = x + 1/2, \; \tilde n = n + 1/2

    Returns
    -------
    Estimate
        In [0, inf). The value is the plain ratio: NaN where it is 0/0 or x/0.

    Examples
    --------
    >>> ratio = share_ratio(30, 300, 240, 1200, 1.959964)
    >>> float(ratio.value), round(float(ratio.upper), 3)
    (0.5, 0.722)

    References
    ----------
    Katz, D. et al. (1978). Obtaining confidence intervals for the risk ratio in cohort studies. Biometrics 34.
    Walter, S. D. (1975). The distribution of Levin's measure of attributable risk. Biometrika 62.
    """
    x1, n1 = np.asarray(successes, np.float64), np.asarray(totals, np.float64)
    x2, n2 = np.asarray(other, np.float64), np.asarray(other_totals, np.float64)
    known = (n1 > 0) & (n2 > 0) & (x2 > 0)
    plain = np.divide(x1 * n2, n1 * x2, out=np.full(known.shape, np.nan), where=known)
    x1, n1, x2, n2 = x1 + 0.5, n1 + 0.5, x2 + 0.5, n2 + 0.5
    middle = np.log(x1 / n1) - np.log(x2 / n2)
    spread = z * np.sqrt(1 / x1 - 1 / n1 + 1 / x2 - 1 / n2)
    lower, upper = np.exp(middle - spread), np.exp(middle + spread)
    return Estimate(plain, np.fmin(lower, plain), np.fmax(upper, plain))

"""Tests of a share against the baseline's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def surge_p_value(
    reference_count: ArrayLike, reference_n: ArrayLike, count: ArrayLike, n: ArrayLike
) -> NDArray[np.float64]:
    r"""P-value of a count's having grown, given both counts' sum.

    .. math:: P(X \ge k), \quad X \sim \mathrm{Bin}(k_0 + k,\ n / (n_0 + n))

    Exact for rare values, where the normal approximation cries wolf (1 of 200 against 0 of 10,000), and
    conservative for common ones.

    Parameters
    ----------
    reference_count, reference_n, count, n
        How many had the value, of how many; arrays of one shape, n > 0.

    Returns
    -------
    ndarray
        In [0, 1].

    Examples
    --------
    >>> surge_p_value([0], [9800], [1], [200]).round(4)
    array([0.02])

    References
    ----------
    Przyborowski, J., and Wilenski, H. (1940). Homogeneity of results in testing samples from Poisson series.
    """
    old, new = np.asarray(reference_count, np.float64), np.asarray(count, np.float64)
    window, total = np.asarray(n, np.float64), np.add(reference_n, n)
    tail = special.betainc(np.maximum(new, 1), old + 1, window / total)
    p_value: NDArray[np.float64] = np.where(new > 0, tail, 1.0)
    return p_value

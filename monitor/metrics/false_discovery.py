"""How many of a window's findings may be chance: Benjamini and Hochberg's control of false discoveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def discoveries(p_values: ArrayLike, q: float) -> NDArray[np.bool_]:
    r"""Tell which p-values stand when many are asked at once.

    The k smallest stand, for the largest k with :math:`p_{(k)} \le q k / K`. Twenty columns tested at 5 % each
    raise a false alarm in 64 % of windows; so, in at most a share q of them.

    Parameters
    ----------
    p_values
        One per test, shape (K,), in [0, 1].
    q
        Expected share of false ones among the discoveries, in [0, 1].

    Returns
    -------
    ndarray
        True where the p-value stands, shape (K,).

    Examples
    --------
    >>> discoveries([0.001, 0.04, 0.015, 0.8], q=0.05).tolist()
    [True, False, True, False]

    References
    ----------
    Benjamini, Y., and Hochberg, Y. (1995). Controlling the false discovery rate.
    """
    p = np.asarray(p_values, np.float64)
    ascending = np.sort(p)
    stands = np.flatnonzero(ascending <= q * np.arange(1, len(p) + 1) / max(len(p), 1))
    return p <= ascending[stands[-1]] if len(stands) else np.zeros(len(p), np.bool_)

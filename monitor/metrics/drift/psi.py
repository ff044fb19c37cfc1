r"""Population stability index: as other tools compute it, and as it is judged here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from monitor.metrics.protocol import Measure

if TYPE_CHECKING:
    from monitor.metrics.cells import Floats
    from monitor.metrics.drift.stack import Columns
    from monitor.metrics.protocol import Number

#: Smallest share that the plain index gives an empty cell; the value that other tools use.
FLOOR = 1e-4


def plain_index(column: Columns) -> Number:
    r"""Population stability index of a window against its baseline, without correction.

    .. math:: \mathrm{PSI} = \sum_b (q_b - p_b) \ln (q_b / p_b)

    over ten baseline-quantile cells, or a cell per value or label where there are few. Shares are as counted;
    only an empty cell is raised to 1e-4. Of two samples without drift it is about
    ``chi2(B - 1) * (1/N + 1/M)``, so at n = 50 it passes 0.1 in most windows: shown, never judged.

    Returns
    -------
    float
        Nats, in [0, inf).

    References
    ----------
    Yurdakul, B. (2018). Statistical properties of population stability index.
    """
    p, q = column.shares
    return _index(np.maximum(p, FLOOR), np.maximum(q, FLOOR))


def excess_index(column: Columns) -> Number:
    r"""Population stability index above what two samples of these sizes show without drift.

    .. math:: \max\Bigl(0,\ \sum_b (q_b - p_b) \ln (q_b / p_b) - (B-1)(1/N + 1/M)\Bigr)

    Each of the B cells gets half a count on both sides; cells that expect fewer than 5 are pooled first. The
    half count decides what a new label is worth: a share s of values never seen weighs about
    ``s * ln(2 s N)``; `unseen` says the share itself.

    Returns
    -------
    float
        Nats, in [0, inf).

    Examples
    --------
    >>> from monitor.metrics.drift.comparison import Comparison
    >>> from monitor.profiles.sketch import CategorySketch
    >>> old = CategorySketch(("a", "b"), {"a": 5000, "b": 5000})
    >>> new = CategorySketch(("a", "b"), {"a": 600, "b": 400})
    >>> float(excess_index(Comparison(old, new)).round(4))
    0.0394

    References
    ----------
    Yurdakul, B. (2018). Statistical properties of population stability index.
    """
    expected, observed = column.judged
    cells = expected.shape[-1]
    p, q = _with_half_counts(expected), _with_half_counts(observed)
    return np.maximum(_index(p, q) - (cells - 1) * noise(column), 0.0)


def smallest_index(column: Columns, *, level: float) -> Number:
    r"""Return the smallest `excess_index` that a window of this size could show as significant.

    .. math:: \bigl(\chi^2_{B-1}(1 - \alpha) - (B-1)\bigr)(1/N + 1/M)

    An approximation: it asks the index's own null, while a number's test is Kolmogorov-Smirnov, which sees a
    shift of the whole somewhat earlier, and a change of one cell later.

    Parameters
    ----------
    level
        The p-value needed, in (0, 1): under false-discovery control of k columns, q / k for one that drifts alone.

    Returns
    -------
    float or None
        Nats; None where one cell is left, so that nothing could be seen.
    """
    freedom = column.judged[0].shape[-1] - 1
    if freedom < 1:
        return None
    return (special.chdtri(freedom, level) - freedom) * noise(column)


def noise(column: Columns) -> Number:
    """Return 1/N + 1/M: the index's expectation without drift, per degree of freedom."""
    return 1 / column.n + 1 / column.m


def _with_half_counts(counts: Floats) -> Floats:
    cells = counts.shape[-1]
    shares: Floats = (counts + 0.5) / (counts.sum(axis=-1, keepdims=True) + 0.5 * cells)
    return shares


def _index(p: Floats, q: Floats) -> Number:
    return ((q - p) * np.log(q / p)).sum(axis=-1)


PSI = Measure("psi", excess_index, upper=float("inf"), symmetric=False)
PSI_PLAIN = Measure("psi_plain", plain_index, upper=float("inf"))

"""Distances between the shares of two samples: Jensen-Shannon and Hellinger.

All over ten quantile cells for a continuous column, not over the thousand fine bins: there each window of a
few hundred values lies far from its own population, for want of values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from monitor.metrics.protocol import Measure

if TYPE_CHECKING:
    from monitor.metrics.drift.stack import Columns
    from monitor.metrics.protocol import Number


def jensen_shannon(column: Columns) -> Number:
    r"""Jensen-Shannon distance, base 2, over the column's cells.

    .. math:: \sqrt{\tfrac12 \sum_b p_b \log_2 \frac{p_b}{m_b} + q_b \log_2 \frac{q_b}{m_b}}, \quad m = (p+q)/2

    Returns
    -------
    float
        In [0, 1]; 1 where no cell has both.

    References
    ----------
    Lin, J. (1991). Divergence measures based on the Shannon entropy.
    """
    p, q = column.shares
    middle = (p + q) / 2
    nats = (special.rel_entr(p, middle) + special.rel_entr(q, middle)).sum(axis=-1) / 2
    return np.sqrt(np.clip(nats / math.log(2), 0.0, 1.0))


def hellinger(column: Columns) -> Number:
    r"""Hellinger distance over the column's cells.

    .. math:: \sqrt{\tfrac12 \sum_b (\sqrt{p_b} - \sqrt{q_b})^2}

    Returns
    -------
    float
        In [0, 1].
    """
    p, q = column.shares
    roots = np.sqrt(p) - np.sqrt(q)
    return np.minimum(np.sqrt((roots * roots).sum(axis=-1) / 2), 1.0)


JENSEN_SHANNON = Measure("js", jensen_shannon)
HELLINGER = Measure("hellinger", hellinger)

"""Plain differences of shares: total variation and L-infinity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.metrics.protocol import Measure

if TYPE_CHECKING:
    from monitor.metrics.drift.stack import Columns
    from monitor.metrics.protocol import Number


def total_variation(column: Columns) -> Number:
    r"""Share that would have to move to another cell: :math:`\tfrac12 \sum_b |p_b - q_b|`, in [0, 1]."""
    p, q = column.shares
    return np.minimum(np.abs(p - q).sum(axis=-1) / 2, 1.0)


def l_infinity(column: Columns) -> Number:
    r"""Largest change of one cell's share: :math:`\max_b |p_b - q_b|`, in [0, 1]."""
    p, q = column.shares
    return np.abs(p - q).max(axis=-1)


TOTAL_VARIATION = Measure("total_variation", total_variation)
L_INFINITY = Measure("l_infinity", l_infinity)

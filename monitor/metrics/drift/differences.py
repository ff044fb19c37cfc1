"""Plain differences of shares: total variation and L-infinity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.metrics.protocol import Measure

if TYPE_CHECKING:
    from monitor.metrics.drift.comparison import Comparison


def total_variation(column: Comparison) -> float:
    r"""Share that would have to move to another cell: :math:`\tfrac12 \sum_b |p_b - q_b|`, in [0, 1]."""
    p, q = column.shares
    return min(float(np.abs(p - q).sum()) / 2, 1.0)


def l_infinity(column: Comparison) -> float:
    r"""Largest change of one cell's share: :math:`\max_b |p_b - q_b|`, in [0, 1]."""
    p, q = column.shares
    return float(np.abs(p - q).max())


TOTAL_VARIATION = Measure("total_variation", total_variation)
L_INFINITY = Measure("l_infinity", l_infinity)

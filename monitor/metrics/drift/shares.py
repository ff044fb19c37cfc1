"""Shares of what should not be there: unseen labels, values out of range, missing values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.metrics.protocol import LABELS, NUMBERS, Measure
from monitor.profiles.sketch import CategorySketch

if TYPE_CHECKING:
    from monitor.metrics.drift.comparison import Comparison
    from monitor.metrics.drift.stack import Columns
    from monitor.metrics.protocol import Number
    from monitor.profiles.profile import Sketch


def unseen(column: Comparison) -> float | None:
    """Share of the window's labels that the baseline never had, in [0, 1]; None for numbers."""
    sketch = column.observed
    return sketch.unseen / column.m if isinstance(sketch, CategorySketch) else None


def out_of_range(column: Columns) -> Number:
    """Share of the window's numbers beyond the baseline's smallest and largest, in [0, 1]."""
    return column.outside / column.m


def missing_share(sketch: Sketch, values: int | None = None) -> float | None:
    """Share of a column's values that are missing, in [0, 1]; None if there is no value of any sort.

    Parameters
    ----------
    values
        How many are not missing, if that is known: counting a thousand bins again takes longer than all else here.

    Examples
    --------
    >>> missing_share(CategorySketch(("a",), {"a": 3}, missing=1))
    0.25
    """
    total = sketch.total if values is None else values + sketch.missing
    return sketch.missing / total if total else None


UNSEEN = Measure("unseen", unseen, kinds=LABELS, symmetric=False)
OUT_OF_RANGE = Measure("out_of_range", out_of_range, kinds=NUMBERS, symmetric=False)

"""What a column looked like then and now: shown, never judged."""

from __future__ import annotations

from msgspec import Struct


class DistributionCell(Struct, frozen=True, array_like=True, gc=False):
    """One bar: its name, and the share of all rows that it holds in the reference and in the window, in [0, 1]."""

    name: str
    then: float
    now: float


class Distribution(Struct, frozen=True, kw_only=True):
    """A column's shares, cell by cell; missing values are a cell too, so that each side adds up to 1.

    Attributes
    ----------
    is_scale
        Whether the cells are neighbours on a scale, rather than values or labels of their own.
    """

    feature: str
    cells: tuple[DistributionCell, ...]
    is_scale: bool = False

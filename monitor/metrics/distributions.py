"""What a column looked like then and now, in few enough cells to be seen. Nothing alarms by it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from monitor.profiles.profile import Sketch
from monitor.profiles.sketch import CategorySketch, NumericSketch
from monitor.reports import Distribution, DistributionCell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from monitor.profiles.profile import Profile
    from monitor.reports import ColumnDrift

    Floats = NDArray[np.float64]

#: Cells of a scale, and labels or values shown one by one.
CELLS, SHOWN = 30, 15

#: A report shows so many columns, those that changed most first, and of a label so many characters: it is one record.
_COLUMNS, _LONGEST = 24, 48

#: Share of the reference left out at either end of a scale, and gathered in an end cell.
_TAIL = 0.005


def distribution_of(feature: str, then: Sketch, now: Sketch) -> Distribution | None:
    """Return the column's shares; None if one side has no row.

    Parameters
    ----------
    feature
        What the column is called.
    then, now
        Over the same edges or categories.

    Examples
    --------
    >>> then = CategorySketch(("a", "b"), {"a": 3, "b": 1})
    >>> shown = distribution_of("town", then, CategorySketch(("a", "b"), {"a": 1, "c": 1}))
    >>> [(cell.name, cell.then, cell.now) for cell in shown.cells]
    [('a', 0.75, 0.5), ('c (new)', 0.0, 0.5), ('b', 0.25, 0.0)]
    """
    if not (then.total and now.total):
        return None
    if isinstance(then, CategorySketch) and isinstance(now, CategorySketch):
        cells = (*_labels(then, now), *_missing(then, now))
        return Distribution(feature=feature, cells=cells)
    if isinstance(then, NumericSketch) and isinstance(now, NumericSketch):
        few = np.count_nonzero(then.counts + now.counts) <= SHOWN
        held = _values(then, now) if few else _scale(then, now)
        cells = (*held, *_missing(then, now))
        return Distribution(feature=feature, cells=cells, is_scale=not few)
    return None


def distributions(
    then: Profile, now: Profile, measured: Iterable[ColumnDrift]
) -> tuple[Distribution, ...]:
    """Return the distributions that a report shows, of the columns whose answers or values changed most.

    Parameters
    ----------
    then, now
        Over the same layout.
    measured
        The columns' drift; its order is kept.
    """
    sides = {
        column.name: (old, new)
        for column, old, new in zip(then.layout.columns, then.sketches, now.sketches, strict=True)
    }
    columns = list(measured)
    most = sorted(columns, key=lambda c: (not c.significant, -(c.psi or 0.0)))[:_COLUMNS]
    names = {column.feature for column in most}
    shown = (
        distribution_of(column.feature, *sides[column.feature])
        for column in columns
        if column.feature in names
    )
    return tuple(_brief(one) for one in shown if one is not None)


def _brief(shown: Distribution) -> Distribution:
    cells = (
        DistributionCell(
            cell.name if len(cell.name) <= _LONGEST else f"{cell.name[: _LONGEST - 1]}…",
            round(cell.then, 5),
            round(cell.now, 5),
        )
        for cell in shown.cells
    )
    return replace(shown, cells=tuple(cells))


def _labels(then: CategorySketch, now: CategorySketch) -> list[DistributionCell]:
    known = set(then.categories)
    shares = {
        label: (then.counts.get(label, 0) / then.total, now.counts.get(label, 0) / now.total)
        for label in {**then.counts, **now.counts}
    }
    # By the larger side, so that neither what has gone nor what is new is hidden among the rest.
    often = sorted(shares, key=lambda label: (-max(shares[label]), label))
    cells = [
        DistributionCell(label if label in known else f"{label} (new)", *shares[label])
        for label in _in_order(often[:SHOWN])
    ]
    return [*cells, *_rest(shares, often[SHOWN:])]


def _in_order(labels: list[str]) -> list[str]:
    """Return labels that are all numbers in their own order, others as they came."""
    try:
        return sorted(labels, key=float)
    except ValueError:
        return labels


def _rest(shares: Mapping[str, tuple[float, float]], labels: list[str]) -> list[DistributionCell]:
    if not labels:
        return []
    sides = zip(*(shares[label] for label in labels), strict=True)
    return [DistributionCell(f"{len(labels)} others", *map(sum, sides))]


def _values(then: NumericSketch, now: NumericSketch) -> list[DistributionCell]:
    """Return a cell per bin that holds anything: with so few, a bin is a value or nearly one."""
    edges = then.edges
    names = ["all values"]
    if len(edges):
        names = [
            f"below {edges[0]:g}",
            *(f"{edge:g}" for edge in edges[:-1]),
            f"above {edges[-1]:g}",
        ]
    cells = zip(names, then.counts / then.total, now.counts / now.total, strict=True)
    return [
        *(
            DistributionCell(name, float(old), float(new))
            for name, old, new in cells
            if old + new > 0
        ),
        *_infinite(then, now),
    ]


def _scale(then: NumericSketch, now: NumericSketch) -> list[DistributionCell]:
    grid = _grid(then)
    sides = [_gather(sketch, grid) / sketch.total for sketch in (then, now)]
    marks = [f"{place:g}" for place in grid.tolist()]
    names = [
        f"below {marks[0]}",
        *(f"{low} to {high}" for low, high in pairwise(marks)),
        f"{marks[-1]} and above",
    ]
    shares = (side.tolist() for side in sides)
    cells = [
        DistributionCell(name, old, new) for name, old, new in zip(names, *shares, strict=True)
    ]
    ends = {0, len(cells) - 1}
    shown = [c for i, c in enumerate(cells) if i not in ends or c.then + c.now > 0]
    return [*shown, *_infinite(then, now)]


def _grid(then: NumericSketch) -> Floats:
    """Return equal cells over all but the reference's tails; whole ones where values are whole."""
    edges, running = then.edges, then.counts.cumsum()
    places = np.searchsorted(running, running[-1] * np.array([_TAIL, 1 - _TAIL]))
    low, high = edges[max(int(places[0]) - 1, 0)], edges[min(int(places[1]), len(edges) - 1)]
    step = _round_step(float(high - low) / CELLS)
    if (edges[:-1] == np.floor(edges[:-1])).all():
        step = max(step, 1.0)
    first, last = np.floor(low / step), np.ceil(high / step)
    # Whole numbers divided: 3 * 0.1 would be named 0.30000000000000004.
    grid = np.arange(first, max(last, first + 1) + 1) * step
    return np.array([float(f"{place:.12g}") for place in grid.tolist()])


def _round_step(step: float) -> float:
    """Return the next step up that people would choose: 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> _round_step(0.031), _round_step(7.0)
    (0.05, 10.0)
    """
    power = math.floor(math.log10(step)) if step > 0 else 0
    return next(float(f"{s}e{power}") for s in (1, 2, 5, 10) if float(f"{s}e{power}") >= step)


def _gather(sketch: NumericSketch, grid: Floats) -> Floats:
    """Count each fine bin where its mean lies: a spike stays one."""
    held = np.flatnonzero(sketch.counts)
    means = sketch.sums[held] / sketch.counts[held]
    lowest = np.concatenate([[-np.inf], sketch.edges])[held]
    # Rounding must not put a value that stands on an edge below it.
    places = np.searchsorted(grid, np.maximum(means, lowest), side="right")
    counted = np.bincount(places, sketch.counts[held], minlength=len(grid) + 1)
    return counted.astype(np.float64, copy=False)


def _infinite(then: NumericSketch, now: NumericSketch) -> list[DistributionCell]:
    cells = [
        DistributionCell("-infinity", then.below / then.total, now.below / now.total),
        DistributionCell("infinity", then.above / then.total, now.above / now.total),
    ]
    return [cell for cell in cells if cell.then + cell.now > 0]


def _missing(then: Sketch, now: Sketch) -> list[DistributionCell]:
    if not then.missing + now.missing:
        return []
    return [DistributionCell("missing", then.missing / then.total, now.missing / now.total)]

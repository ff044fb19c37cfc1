"""What a column looked like then and now, in few enough cells to be seen. Nothing alarms by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.metrics.frozen import FrozenColumn, values
from monitor.profiles.sketch import CategorySketch, NumericSketch
from monitor.reports import Distribution, DistributionCell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.profiles.profile import Profile, Sketch
    from monitor.reports import ColumnDrift

    #: A cell's name, and how many rows of the reference and of the window it holds.
    Counted = tuple[str, float, float]

#: Labels or values shown one by one.
SHOWN = 15

#: A report shows so many columns, those that changed most first, and of a label so many characters, of a share so
#: many digits: it is one record.
_COLUMNS, _LONGEST, _DIGITS = 24, 48, 5


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
    return _distribution(feature, FrozenColumn(then), now)


def distributions(
    then: Sequence[FrozenColumn], current: Profile, measured: Iterable[ColumnDrift]
) -> tuple[Distribution, ...]:
    """Return the distributions that a report shows, of the columns whose answers or values changed most.

    Parameters
    ----------
    then, current
        Over the same layout.
    measured
        The columns' drift; its order is kept.
    """
    sides = {
        column.name: (old, new)
        for column, old, new in zip(current.layout.columns, then, current.sketches, strict=True)
    }
    columns = list(measured)
    most = sorted(columns, key=lambda c: (not c.significant, -(c.psi or 0.0)))[:_COLUMNS]
    names = {column.feature for column in most}
    shown = (
        _distribution(column.feature, *sides[column.feature], brief=True)
        for column in columns
        if column.feature in names
    )
    return tuple(one for one in shown if one is not None)


def _distribution(
    feature: str, frozen: FrozenColumn, now: Sketch, *, brief: bool = False
) -> Distribution | None:
    # Taken once: counting a thousand bins takes as long as showing them.
    rows = frozen.total, values(now) + now.missing
    then = frozen.sketch
    if not all(rows):
        return None
    is_scale = False
    counted: list[Counted]
    if isinstance(then, CategorySketch) and isinstance(now, CategorySketch):
        counted = _labels(then, now, rows)
    elif isinstance(then, NumericSketch) and isinstance(now, NumericSketch):
        is_scale = bool(np.count_nonzero(then.counts + now.counts) > SHOWN)
        counted = [
            *(_scale(frozen, now) if is_scale else _values(then, now)),
            *_some("-infinity", then.below, now.below),
            *_some("infinity", then.above, now.above),
        ]
    else:
        return None
    counted += _some("missing", then.missing, now.missing)
    return Distribution(
        feature=feature, cells=_cells(counted, rows, brief=brief), is_scale=is_scale
    )


def _cells(
    counted: Sequence[Counted], rows: tuple[int, int], *, brief: bool
) -> tuple[DistributionCell, ...]:
    names, then, now = zip(*counted, strict=True)
    shares = np.array([then, now]) / np.array(rows)[:, None]
    if brief:
        shares = shares.round(_DIGITS)
        names = tuple(n if len(n) <= _LONGEST else f"{n[: _LONGEST - 1]}…" for n in names)
    return tuple(map(DistributionCell, names, *shares.tolist()))


def _labels(then: CategorySketch, now: CategorySketch, rows: tuple[int, int]) -> list[Counted]:
    known = set(then.categories)
    counts = {
        label: (then.counts.get(label, 0), now.counts.get(label, 0))
        for label in {**then.counts, **now.counts}
    }

    def larger_side(label: str) -> float:
        old, new = counts[label]
        return max(old / rows[0], new / rows[1])

    # So that neither what has gone nor what is new is hidden among the rest.
    often = sorted(counts, key=lambda label: (-larger_side(label), label))
    shown: list[Counted] = [
        (label if label in known else f"{label} (new)", *counts[label])
        for label in _in_order(often[:SHOWN])
    ]
    rest = [counts[label] for label in often[SHOWN:]]
    if rest:
        old, new = zip(*rest, strict=True)
        shown.append((f"{len(rest)} others", sum(old), sum(new)))
    return shown


def _in_order(labels: list[str]) -> list[str]:
    """Return labels that are all numbers in their own order, others as they came."""
    try:
        return sorted(labels, key=float)
    except ValueError:
        return labels


def _values(then: NumericSketch, now: NumericSketch) -> list[Counted]:
    """Return a cell per bin that holds anything: with so few, a bin is a value or nearly one."""
    edges = then.edges
    names = ["all values"]
    if len(edges):
        names = [
            f"below {edges[0]:g}",
            *(f"{edge:g}" for edge in edges[:-1]),
            f"above {edges[-1]:g}",
        ]
    cells = zip(names, then.counts.tolist(), now.counts.tolist(), strict=True)
    return [(name, old, new) for name, old, new in cells if old + new]


def _scale(frozen: FrozenColumn, now: NumericSketch) -> list[Counted]:
    counts = frozen.scale.gather(now).tolist()
    first, *cells, last = zip(frozen.scale.names, frozen.shown.tolist(), counts, strict=True)
    return [*_some(*first), *cells, *_some(*last)]


def _some(name: str, old: float, new: float) -> list[Counted]:
    """Return the cell, if it holds anything."""
    return [(name, old, new)] if old + new else []

"""Where a number's bin is looked for: a table says where to begin, so that a few steps find it among a thousand edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple
from weakref import finalize

import numpy as np

from monitor.kernels import bins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.sketch import Counts, NumericSketch

    Floats = NDArray[np.float64]

#: Edges that may lie beyond either end of the table, where they are few and far between: the best of these is taken.
_BEYOND = (0, 3, 15)

#: More edges than this have no table: its numbers have 16 bits.
_MOST_EDGES = 1 << 15


class Grid(NamedTuple):
    """Equal steps over the range of some edges.

    Attributes
    ----------
    starts
        Per step: how many edges lie in the steps before it.
    low, scale
        A number's step is the whole part of ``(number - low) * scale``, or the first or last step.
    half
        Its bin is within ``2 * half - 1`` of where its step starts; a power of two, or 0.

    Examples
    --------
    >>> Grid.of(np.array([-1e150, 0.0, 1.0, 2.0, 1e150, np.nan]))
    Grid(starts=array([0, 1, 1, 1, 2, 2], dtype=uint16), low=0.0, scale=3.0, half=1)
    """

    starts: NDArray[np.uint16]
    low: float
    scale: float
    half: int

    @classmethod
    def of(cls, search: Floats) -> Grid:
        """Return the grid of edges as `search_edges` gives them."""
        edges = search[1:-2]
        grids = [cls._over(edges, beyond) for beyond in _BEYOND if 2 * beyond < len(edges) - 1]
        if not grids or len(edges) > _MOST_EDGES:
            return cls._one_step(len(edges))
        return min(grids, key=lambda grid: grid.half)

    @classmethod
    def _over(cls, edges: Floats, beyond: int) -> Grid:
        low, high = float(edges[beyond]), float(edges[len(edges) - 1 - beyond])
        steps = 2 * len(edges)
        with np.errstate(all="ignore"):
            scale = float(np.float64(steps) / (np.float64(high) - low))
            step_of = (edges - low) * scale
        if not np.isfinite(step_of).all():
            return cls._one_step(len(edges))
        # The same sums as of a number: what is smaller than an edge has no later step.
        step_of = np.clip(step_of, 0, steps - 1).astype(np.intp)
        starts = step_of.searchsorted(np.arange(steps + 1))
        return cls(starts[:-1].astype(np.uint16), low, scale, _half(int(np.diff(starts).max())))

    @classmethod
    def _one_step(cls, edges: int) -> Grid:
        return cls(np.zeros(1, np.uint16), 0.0, 0.0, _half(edges))


def _half(edges: int) -> int:
    """Return the first of the steps, each half of the one before, that can pass so many edges."""
    return 1 << edges.bit_length() - 1 if edges else 0


_grids: dict[int, Grid] = {}

_count: Callable[..., None] = bins.count


def grid_of(search: Floats) -> Grid:
    """Return the grid of an array that is shared, and never changed; it is kept as long as the array is."""
    grid = _grids.get(id(search))
    if grid is None:
        grid = _grids[id(search)] = Grid.of(search)
        finalize(search, _grids.pop, id(search), None)
    return grid


def count(
    sketches: Sequence[NumericSketch], columns: Floats, cell_of: Counts, cells: int
) -> Counts:
    """Count columns of numbers in place, as `NumericSketch.add` does.

    Parameters
    ----------
    columns
        One per sketch, shape (columns, n).
    cell_of, cells
        Which cell each event is in, shape (n,), of how many.

    Returns
    -------
    Counts
        How many numbers were missing, and how many were 0, shape (columns, 2, cells).
    """
    gaps = np.zeros((len(sketches), 2, cells), np.int64)
    rest = np.array([[0, 0, 0, s.sum_of_squares, s.minimum, s.maximum] for s in sketches])
    for i, sketch in enumerate(sketches):
        search = sketch.search
        _count(
            np.ascontiguousarray(columns[i]),
            search,
            *grid_of(search),
            cell_of,
            sketch.counts,
            sketch.sums,
            rest[i],
            *gaps[i],
        )
    for sketch, (missing, below, above, *moments) in zip(sketches, rest.tolist(), strict=True):
        sketch.missing += int(missing)
        sketch.below += int(below)
        sketch.above += int(above)
        sketch.sum_of_squares, sketch.minimum, sketch.maximum = moments
    return gaps

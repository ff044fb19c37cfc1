"""The edges of a column's bins, as they are searched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: A number this large or larger counts as infinite: its square, or a sum of such, would be.
LARGEST = 1e150

#: One array for all columns with the same edges, as long as there is any.
_searches: WeakValueDictionary[tuple[float, ...], Floats] = WeakValueDictionary()


def search_edges(edges: Iterable[float]) -> Floats:
    """Return the edges with the sentinels that tell -inf, the numbers, +inf and NaN apart in one search.

    The array is shared, and read-only.

    Examples
    --------
    >>> search_edges([0.0, 1.0]).tolist()
    [-1e+150, 0.0, 1.0, 1e+150, nan]
    """
    inner = tuple(edges)
    search = _searches.get(inner)
    if search is None:
        search = np.concatenate([[-LARGEST], np.asarray(inner, np.float64), [LARGEST, np.nan]])
        search.flags.writeable = False
        _searches[inner] = search
    return search

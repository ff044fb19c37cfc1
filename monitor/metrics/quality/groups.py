"""People that a finding may be about: all, each value of a protected attribute, and all but its commonest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.profile import Group


class Margin(NamedTuple):
    """Some of the group table's cells taken together.

    Attributes
    ----------
    name
        Attribute to value, such as ``{"race": "not white"}``; empty for all people.
    members
        Which cells, shape (cells,).
    """

    name: dict[str, str]
    members: NDArray[np.bool_]


def margins(
    attributes: Iterable[str], cells: list[Group], people: NDArray[np.float64]
) -> list[Margin]:
    """Return all people, each value of each attribute, and the complement of its commonest value.

    Parameters
    ----------
    cells
        Keys of the group table.
    people
        How many in each cell, shape (cells,).

    Examples
    --------
    >>> cells = [("white",), ("black",), ("asian",)]
    >>> [m.name for m in margins(["race"], cells, np.array([80.0, 15, 5]))]
    [{}, {'race': 'asian'}, {'race': 'black'}, {'race': 'white'}, {'race': 'not white'}]
    """
    found = [Margin({}, np.ones(len(cells), np.bool_))]
    for position, attribute in enumerate(attributes):
        values = [cell[position] for cell in cells]
        named = [
            Margin({attribute: value}, np.array([v == value for v in values]))
            for value in sorted(set(values))
        ]
        if len(named) < 2:
            continue
        found += named
        if len(named) > 2:
            commonest = max(named, key=lambda margin: float(people @ margin.members))
            found.append(
                Margin({attribute: f"not {commonest.name[attribute]}"}, ~commonest.members)
            )
    return found

"""A profile's group cells as columns: who was answered what, and what turned out to be true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.cells import UNLABELLED
from monitor.profiles.layout import MISSING, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.profiles.cells import Cell
    from monitor.profiles.profile import Profile

#: Of more answers than this only the most frequent are measured as favourable in turn.
CLASS_CAP = 12

#: What people call the answer that they want, where there are two.
_WANTED = frozenset({"1", "1.0", "true", "yes"})


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Counts by group, answer and true label: one row per combination that occurs.

    Attributes
    ----------
    attributes
        The protected attributes whose values make the groups.
    groups
        Names, sorted; an intersection's join its values with `` & ``. Shape (G,).
    cells
        The profile's cells, and `cell_group`, the index of each one's group.
    group
        Index of each row's group, shape (R,).
    answer, label
        Each row's prediction and true label (`UNLABELLED` where unknown), shape (R,).
    count
        How many people each row stands for, shape (R,).
    """

    attributes: tuple[str, ...]
    groups: tuple[str, ...]
    cells: tuple[Cell, ...]
    cell_group: NDArray[np.intp]
    group: NDArray[np.intp]
    answer: NDArray[np.str_]
    label: NDArray[np.str_]
    count: NDArray[np.float64]

    def per_group(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum one number per row over the rows of each group, shape (G,)."""
        return _sums(self.group, weights, len(self.groups))

    def per_cell(self, weights: Iterable[float]) -> NDArray[np.float64]:
        """Sum one number per cell over the cells of each group, shape (G,)."""
        values = np.fromiter(weights, np.float64, len(self.cells))
        return _sums(self.cell_group, values, len(self.groups))


def outcomes_of(profile: Profile, attributes: tuple[str, ...]) -> Outcomes | None:
    """Return the profile's outcomes by these attributes; None if it does not know one of them."""
    if not set(attributes) <= set(profile.layout.groups):
        return None
    places = [profile.layout.groups.index(attribute) for attribute in attributes]
    named = [
        (" & ".join(key[place] for place in places), cell)
        for key, cell in profile.cells.items()
        if cell.outcomes
    ]
    groups = tuple(sorted({name for name, _ in named}))
    index = {name: number for number, name in enumerate(groups)}
    rows = [
        (index[name], answer, label, count)
        for name, cell in named
        for (answer, label), count in cell.outcomes.items()
    ]
    group, answer, label, count = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Outcomes(
        attributes,
        groups,
        tuple(cell for _, cell in named),
        np.array([index[name] for name, _ in named], np.intp),
        np.array(group, np.intp),
        np.array(answer, np.str_),
        np.array(label, np.str_),
        np.array(count, np.float64),
    )


def classes_of(profile: Profile) -> tuple[str, ...]:
    """Return every answer and true label of a profile in order: by number if all are numbers, else by letter.

    An answer that was missing or past the cap of categories is no class: it counts among all people, and is
    favourable to nobody.
    """
    known = set(profile.layout.prediction.categories)
    for cell in profile.cells.values():
        known.update(name for pair in cell.outcomes for name in pair)
    classes = known - {UNLABELLED, MISSING, OTHER}
    try:
        return tuple(sorted(classes, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(classes))


def positive_class(classes: tuple[str, ...]) -> str | None:
    """Return the answer that people want among two, where nobody said which.

    The one called 1, true or yes, if exactly one is; else the last in order, which is the class whose probability a
    scikit-learn classifier gives as its score.

    Examples
    --------
    >>> positive_class(("0", "1")), positive_class(("False", "True")), positive_class(("bad", "good"))
    ('1', 'True', 'good')
    """
    wanted = [name for name in classes if name.casefold() in _WANTED]
    if len(wanted) == 1:
        return wanted[0]
    return classes[-1] if classes else None


def favourable_classes(
    reference: Profile | None, current: Profile, favourable: str | None
) -> tuple[tuple[str, str], ...]:
    """Return each answer to be measured as favourable, with the suffix of its metrics' names.

    One that somebody named, or the positive one of two, needs no suffix. Of more than two each is favourable in
    turn, suffix ``[answer]``; past `CLASS_CAP` only those most frequent in the reference data. Which answers there
    are is the reference's to say, so that a stray one does not rename the measures of a window.
    """
    source = current if reference is None else reference
    classes = classes_of(source)
    if favourable is None and len(classes) <= 2:
        favourable = positive_class(classes)
    if favourable is not None or not classes:
        return ((favourable, ""),) if favourable is not None else ()
    often = {name: sum(cell.count(name) for cell in source.cells.values()) for name in classes}
    frequent = set(sorted(classes, key=lambda name: (-often[name], name))[:CLASS_CAP])
    return tuple((name, f"[{name}]") for name in classes if name in frequent)


def _sums(index: NDArray[np.intp], weights: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    # Of no rows at all NumPy counts integers.
    return np.bincount(index, weights, minlength=size).astype(np.float64, copy=False)

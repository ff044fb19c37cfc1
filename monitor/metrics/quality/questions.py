"""What is asked of every group: how many have no value, 0, this label, a label never seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.cells import Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.layout import Column, Layout
    from monitor.profiles.profile import Group, Profile

    Floats = NDArray[np.float64]

MISSING_SURGE = "missing_surge"
ZERO_SURGE = "zero_surge"
CATEGORY_SURGE = "category_surge"
UNSEEN = "unseen"

#: Labels that a cell counts among its zeros.
ZERO_LABELS = frozenset({"0", "0.0", "false"})


@dataclass(frozen=True, slots=True)
class Question:
    """One check of one feature.

    Attributes
    ----------
    label
        Whose surge is asked for; None where the check is about no single label.
    """

    check: str
    feature: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The answers: counts per cell of the group table.

    Attributes
    ----------
    questions
        One per column.
    reference, current
        Counts, shape (cells, questions).
    reference_n, current_n
        People per cell, shape (cells,).
    """

    cells: list[Group]
    questions: list[Question]
    reference: Floats
    current: Floats
    reference_n: Floats
    current_n: Floats


def ask(reference: Profile, current: Profile) -> Table:
    """Count every group's answers to every question, in the baseline and in the window."""
    layout = current.layout
    cells = sorted(reference.cells.keys() | current.cells.keys())
    empty = Cell.empty(len(layout.features))
    old = [reference.cells.get(cell, empty) for cell in cells]
    new = [current.cells.get(cell, empty) for cell in cells]
    by_label = [column for column in layout.features if column.is_label]
    return Table(
        cells,
        _questions(layout, by_label),
        _answers(old, by_label, len(layout.features)),
        _answers(new, by_label, len(layout.features)),
        np.array([cell.n for cell in old], np.float64),
        np.array([cell.n for cell in new], np.float64),
    )


def _questions(layout: Layout, by_label: list[Column]) -> list[Question]:
    return [
        *(Question(MISSING_SURGE, column.name) for column in layout.features),
        *(Question(ZERO_SURGE, column.name) for column in layout.features),
        *(
            question
            for column in by_label
            for question in (
                *(Question(CATEGORY_SURGE, column.name, label) for label in _labels(column)),
                Question(UNSEEN, column.name),
            )
        ),
    ]


def _answers(cells: list[Cell], by_label: list[Column], features: int) -> Floats:
    if not cells:
        return np.zeros((0, 2 * features + sum(len(_labels(column)) + 1 for column in by_label)))
    parts = [
        np.stack([cell.missing for cell in cells]),
        np.stack([cell.zeros for cell in cells]),
    ]
    for column in by_label:
        labels, known = _labels(column), frozenset(column.categories)
        counted = [cell.categories.get(column.name, {}) for cell in cells]
        parts.append(
            np.array(
                [
                    [
                        *(counts.get(label, 0) for label in labels),
                        sum(n for label, n in counts.items() if label not in known),
                    ]
                    for counts in counted
                ]
            )
        )
    return np.concatenate(parts, axis=1).astype(np.float64)


def _labels(column: Column) -> list[str]:
    return [label for label in column.categories if label not in ZERO_LABELS]

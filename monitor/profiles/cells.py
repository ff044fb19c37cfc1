"""One cell of the group table: what is kept of the people who share all protected attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.layout import CATEGORY_CAP, OTHER
from monitor.profiles.sketch import add_capped

if TYPE_CHECKING:
    from monitor.profiles.sketch import Counts

#: Score bins per cell for calibration: equal widths over [0, 1].
SCORE_BINS = 20

#: Label of an event whose outcome is not known (yet).
UNLABELLED = ""

#: Class of every prediction of a regression.
NO_CLASS = ""


@dataclass(frozen=True, slots=True)
class Errors:
    """Answer less truth, of the people whose truth is known; regressions only.

    Examples
    --------
    >>> Errors(2, 3.0, 5.0, 3.0) + Errors(1, -1.0, 1.0, 1.0)
    Errors(n=3, total=2.0, squares=6.0, absolute=4.0)
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    absolute: float = 0.0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.n + other.n,
            self.total + other.total,
            self.squares + other.squares,
            self.absolute + other.absolute,
        )


@dataclass(slots=True)
class Cell:
    """Counts of one combination of protected-attribute values.

    Attributes
    ----------
    outcomes
        Count per (prediction class, true label); the label is `UNLABELLED` where unknown. For a regression
        the class is `NO_CLASS`.
    value_sum, value_square_sum
        Sum of predictions and of their squares; regressions only.
    errors
        How far the answers of a regression were from the truth, where that is known.
    scores
        Per true label: counts over `SCORE_BINS` equal bins of the score, shape (SCORE_BINS,).
    score_sums
        Per true label: sum of the scores.
    missing, zeros
        Per feature of the layout, shape (F,): how many values were null, and how many were 0, "0" or false.
    categories
        Per non-numeric feature: count per label.
    """

    missing: Counts
    zeros: Counts
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    value_sum: float = 0.0
    value_square_sum: float = 0.0
    scores: dict[str, Counts] = field(default_factory=dict)
    score_sums: dict[str, float] = field(default_factory=dict)
    categories: dict[str, dict[str, int]] = field(default_factory=dict)
    errors: Errors = Errors()

    @classmethod
    def empty(cls, features: int) -> Cell:
        """Return a cell that nobody is in."""
        return cls(np.zeros(features, np.int64), np.zeros(features, np.int64))

    @property
    def n(self) -> int:
        """How many predictions."""
        return sum(self.outcomes.values())

    def count(self, prediction: str) -> int:
        """How many predictions were of this class."""
        return sum(count for (answer, _), count in self.outcomes.items() if answer == prediction)

    def add_outcomes(
        self, outcomes: Mapping[tuple[str, str], int], cap: int = CATEGORY_CAP
    ) -> None:
        """Count (prediction, label) pairs in place; past the cap, a new prediction counts as `OTHER`."""
        for pair, count in outcomes.items():
            key = pair
            if pair not in self.outcomes and len(self.outcomes) >= cap:
                key = (OTHER, pair[1])
            self.outcomes[key] = self.outcomes.get(key, 0) + count

    def add_scores(self, label: str, bins: Counts, total: float) -> None:
        """Count scores of events with this true label in place."""
        known = self.scores.get(label)
        self.scores[label] = bins if known is None else known + bins
        self.score_sums[label] = self.score_sums.get(label, 0.0) + total

    def add_categories(
        self, feature: str, counts: Mapping[str, int], cap: int = CATEGORY_CAP
    ) -> None:
        """Count labels of a feature in place; past the cap, a new one counts as `OTHER`."""
        add_capped(self.categories.setdefault(feature, {}), counts, cap)

    def merge(self, other: Cell, cap: int = CATEGORY_CAP) -> Cell:
        """Return the cell of both, leaving each as it was."""
        merged = Cell(
            self.missing + other.missing,
            self.zeros + other.zeros,
            dict(self.outcomes),
            self.value_sum + other.value_sum,
            self.value_square_sum + other.value_square_sum,
            dict(self.scores),
            dict(self.score_sums),
            {feature: dict(counts) for feature, counts in self.categories.items()},
            self.errors + other.errors,
        )
        merged.add_outcomes(other.outcomes, cap)
        for label, bins in other.scores.items():
            merged.add_scores(label, bins, other.score_sums[label])
        for feature, counts in other.categories.items():
            merged.add_categories(feature, counts, cap)
        return merged

"""How a model treats each group: shares and means, with the limits that a sample of this size allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from monitor.metrics.intervals import Estimate, normal, wilson
from monitor.profiles.cells import SCORE_BINS, UNLABELLED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.metrics.fairness.outcomes import Outcomes
    from monitor.profiles.cells import Cell
    from monitor.profiles.profile import Profile

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]


class GroupStatistic(Protocol):
    """One number per group."""

    @property
    def sizes(self) -> Floats:
        """How many people each group's number is about, shape (G,)."""

    @property
    def values(self) -> Floats:
        """Each group's number, shape (G,); NaN for nobody."""

    def estimate(self, z: float) -> Estimate:
        """Return each group's number with its limits, shape (G,)."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Of `sizes` people in each group, `successes` had the event.

    Attributes
    ----------
    measured
        The shares as fairlearn gives them; None takes the quotient.
    """

    successes: Floats
    sizes: Floats
    measured: Floats | None = None

    @property
    def values(self) -> Floats:
        """Each group's share; NaN for nobody."""
        if self.measured is not None:
            return self.measured
        shares = np.full(len(self.sizes), np.nan)
        np.divide(self.successes, self.sizes, out=shares, where=self.sizes > 0)
        return shares

    def estimate(self, z: float) -> Estimate:
        """Return each group's share with Wilson's limits."""
        limits = wilson(self.successes, self.sizes, z)
        return limits if self.measured is None else replace(limits, value=self.measured)


@dataclass(frozen=True, slots=True)
class Means:
    """Each group's mean or another number that is close to normal, with its standard error."""

    values: Floats
    errors: Floats
    sizes: Floats

    def estimate(self, z: float) -> Estimate:
        """Return each group's number with symmetric limits."""
        return normal(self.values, self.errors, z)

    def scaled(self, unit: float) -> Means:
        """Return the same numbers in another unit."""
        return Means(self.values / unit, self.errors / unit, self.sizes)


@dataclass(frozen=True, slots=True)
class Event:
    """What a share counts: the rows with the event, among the rows it could have happened to."""

    rows: Mask
    among: Mask


def _everyone(outcomes: Outcomes) -> Mask:
    return np.ones(len(outcomes.count), np.bool_)


def _labelled(outcomes: Outcomes) -> Mask:
    return np.not_equal(outcomes.label, UNLABELLED)


#: Each share, by its name in a report: which rows have the event, among which.
SHARES: Mapping[str, Callable[[Outcomes, str], Event]] = MappingProxyType(
    {
        "selection_rate": lambda rows, wanted: Event(rows.answer == wanted, _everyone(rows)),
        "true_positive_rate": lambda rows, wanted: Event(
            rows.answer == wanted, rows.label == wanted
        ),
        "false_negative_rate": lambda rows, wanted: Event(
            rows.answer != wanted, rows.label == wanted
        ),
        "false_positive_rate": lambda rows, wanted: Event(
            rows.answer == wanted, _labelled(rows) & (rows.label != wanted)
        ),
        "precision": lambda rows, wanted: Event(
            rows.label == wanted, _labelled(rows) & (rows.answer == wanted)
        ),
        "accuracy": lambda rows, _: Event(rows.answer == rows.label, _labelled(rows)),
    }
)


def count_shares(outcomes: Outcomes, event: Event) -> Shares:
    """Count an event per group: NumPy on the weighted cells, as exact as counting people one by one."""
    return Shares(
        outcomes.per_group(np.where(event.rows & event.among, outcomes.count, 0.0)),
        outcomes.per_group(np.where(event.among, outcomes.count, 0.0)),
    )


class Moments(NamedTuple):
    """How many people of a cell a mean is about, and their numbers' sum and sum of squares."""

    n: int
    total: float
    squares: float


#: Each mean of a regression, by its name in a report: what it sums in a cell.
MEANS: Mapping[str, Callable[[Cell], Moments]] = MappingProxyType(
    {
        "mean_prediction": lambda cell: Moments(cell.n, cell.value_sum, cell.value_square_sum),
        "mean_error": lambda cell: Moments(cell.errors.n, cell.errors.total, cell.errors.squares),
        "mean_absolute_error": lambda cell: Moments(
            cell.errors.n, cell.errors.absolute, cell.errors.squares
        ),
    }
)


def group_means(outcomes: Outcomes, moments: Callable[[Cell], Moments]) -> Means:
    """Return each group's mean, for a regression; NaN for nobody, an unbounded error for one person."""
    found = [moments(cell) for cell in outcomes.cells]
    n = outcomes.per_cell(float(moment.n) for moment in found)
    totals = outcomes.per_cell(moment.total for moment in found)
    squares = outcomes.per_cell(moment.squares for moment in found)
    with np.errstate(invalid="ignore"):
        means = totals / n
        variances = np.maximum(squares - totals * means, 0.0) / np.maximum(n - 1, 1)
        return Means(means, np.where(n > 1, np.sqrt(variances / n), np.inf), n)


def answer_deviation(profile: Profile) -> float:
    """Return the standard deviation of all answers of a regression; 1 where they do not vary."""
    cells = profile.cells.values()
    n = sum(cell.n for cell in cells)
    if n == 0:
        return 1.0
    mean = sum(cell.value_sum for cell in cells) / n
    variance = sum(cell.value_square_sum for cell in cells) / n - mean * mean
    # What is left by cancellation is no spread.
    return float(np.sqrt(variance)) if variance > 1e-12 * mean * mean else 1.0


def calibration_errors(outcomes: Outcomes, positive: str) -> Means:
    r"""Return each group's expected calibration error above noise, from the score bins of its labelled people.

    .. math:: \mathrm{ECE} = \frac1n \sum_b |y_b - n_b m_b|, \quad
              \mathrm{E}_0 = \frac1n \sum_b \sqrt{\tfrac2\pi n_b m_b (1 - m_b)}

    with :math:`n_b` people in the bin, :math:`y_b` of them of the positive class, :math:`m_b` the bin's middle. The
    error that a perfectly calibrated group of this size would show is taken off: 300 people in 20 bins show 0.09 by
    chance alone.

    Parameters
    ----------
    positive
        The class whose probability the score is.

    Returns
    -------
    Means
        In [0, 1]; within half a bin (0.025) of what the scores themselves would give. NaN for nobody.

    References
    ----------
    Naeini, M. P. et al. (2015). Obtaining well calibrated probabilities using Bayesian binning. AAAI 29.
    """
    groups = len(outcomes.groups)
    people, hits = np.zeros((groups, SCORE_BINS)), np.zeros((groups, SCORE_BINS))
    for group, cell in zip(outcomes.cell_group, outcomes.cells, strict=True):
        for label, bins in cell.scores.items():
            if label != UNLABELLED:
                people[group] += bins
            if label == positive:
                hits[group] += bins
    n = people.sum(axis=1)
    middle = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS
    rate = (hits + 0.5) / (people + 1.0)
    plain = np.abs(hits - people * middle).sum(axis=1)
    chance = np.sqrt(2 / np.pi * people * middle * (1 - middle)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt((people * rate * (1 - rate)).sum(axis=1)) / n
        return Means(np.maximum(plain - chance, 0.0) / n, errors, n)

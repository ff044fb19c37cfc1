"""How right the answers were: each measure with its limits, and how much worse than in the reference data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from monitor.metrics.intervals import Estimate, difference, normal, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Texts = NDArray[np.str_]
    Flags = NDArray[np.bool_]

#: Equal bins of the score, for the calibration error.
_BINS = 20

#: Measures of which more is better; of the others less is.
_MORE_IS_BETTER = frozenset({"accuracy", "precision", "recall", "f1", "auc"})

#: Measures in a unit of their own: a loss is a share of the reference's value.
RELATIVE = frozenset({"log_loss", "brier", "mae", "rmse"})

#: z of the limits that the reference's measures are kept with.
REFERENCE_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Outcome:
    """Labelled predictions: what was answered, and what turned out to be true.

    Attributes
    ----------
    answer, truth
        Classes, shape (n,); for a regression numbers.
    score
        Probability of `positive`, NaN where there is none; None for a model that gives no such score.
    classes
        All that occur in the reference data, in order; empty for a regression.
    positive
        The class that precision, recall and the score are about; None for a regression, or more than two classes.
    """

    answer: Texts | Floats
    truth: Texts | Floats
    score: Floats | None
    classes: tuple[str, ...]
    positive: str | None

    def among(self, chosen: Flags) -> Outcome:
        """Return some of the predictions."""
        score = None if self.score is None else self.score[chosen]
        return Outcome(self.answer[chosen], self.truth[chosen], score, self.classes, self.positive)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure: its value with limits, and how many predictions it is about."""

    value: float
    lower: float
    upper: float
    n: int

    def limits(self, z: float) -> Estimate:
        """Return the value with limits at z, those kept being at `REFERENCE_Z`."""
        scale = z / REFERENCE_Z
        value = np.array(self.value)
        return Estimate(
            value, value - scale * (value - self.lower), value + scale * (self.upper - value)
        )


def measure_performance(outcome: Outcome, z: float) -> dict[str, Measured]:
    r"""Measure labelled predictions; what is not defined is left out.

    - ``accuracy``, ``precision``, ``recall``: shares with Wilson's limits; of more than two classes precision and
      recall of each, with ``[class]``.
    - ``f1``: :math:`2s/(1+s)` of the share :math:`s = tp/(tp+fp+fn)`, whose limits pass through it.
    - ``auc``: the area under the ROC curve, ties counted half, with DeLong's error.
    - ``log_loss``, ``brier``: means, with their standard errors.
    - ``calibration_error``: mean distance of score and truth over 20 equal bins, less what chance would show.
    - ``mae``, ``rmse``, ``bias`` (answer less truth) of a regression.

    Parameters
    ----------
    z
        Of the limits.

    Examples
    --------
    >>> found = measure_performance(
    ...     Outcome(np.array(["1", "0", "1", "0"]), np.array(["1", "0", "0", "0"]),
    ...             np.array([0.9, 0.2, 0.6, 0.4]), ("0", "1"), "1"), 1.96)
    >>> {name: round(one.value, 3) for name, one in found.items() if name != "calibration_error"}
    {'accuracy': 0.75, 'precision': 0.5, 'recall': 1.0, 'f1': 0.667, 'auc': 1.0, 'log_loss': 0.439, 'brier': 0.143}

    References
    ----------
    DeLong, E. R., DeLong, D. M. and Clarke-Pearson, D. L. (1988). Comparing the areas under two or more correlated
    receiver operating characteristic curves: a nonparametric approach. Biometrics 44.
    """
    if not len(outcome.answer):
        return {}
    if not outcome.classes:
        return _regression(outcome, z)
    right = outcome.answer == outcome.truth
    found = {"accuracy": _share(right.sum(), len(right), z)}
    if outcome.positive is None:
        for name in outcome.classes:
            for metric, one in _about(outcome, name, z).items():
                if metric != "f1":
                    found[f"{metric}[{name}]"] = one
    else:
        found |= _about(outcome, outcome.positive, z)
        found |= _scored(outcome, z)
    return {name: one for name, one in found.items() if np.isfinite(one.value)}


def loss(
    metric: str, now: Measured, then: Measured, z: float, *, unit: float | None = None
) -> Estimate:
    """Return how much worse a measure is than in the reference data, with limits of both samples' errors.

    Parameters
    ----------
    z
        Of the limits of `now`.
    unit
        What the loss is divided by; None for the reference's value of a relative measure, else 1.

    Examples
    --------
    >>> then, now = Measured(0.9, 0.89, 0.91, 10_000), Measured(0.8, 0.78, 0.82, 1_000)
    >>> worse = loss("accuracy", now, then, 1.96)
    >>> round(float(worse.value), 3), bool(worse.lower > 0.07)
    (0.1, True)
    """
    before = then.limits(z)
    after = Estimate(np.array(now.value), np.array(now.lower), np.array(now.upper))
    if metric == "bias":
        before, after = _size(before), _size(after)
    more = metric.partition("[")[0] in _MORE_IS_BETTER
    worse = difference(before, after) if more else difference(after, before)
    if unit is None:
        unit = (then.value or 1.0) if metric in RELATIVE else 1.0
    return Estimate(worse.value / unit, worse.lower / unit, worse.upper / unit)


def _about(outcome: Outcome, positive: str, z: float) -> dict[str, Measured]:
    said, true = outcome.answer == positive, outcome.truth == positive
    return {name: measure(said, true, z) for name, measure in OF_A_CLASS.items()}


def _scored(outcome: Outcome, z: float) -> dict[str, Measured]:
    if outcome.score is None:
        return {}
    known = np.isfinite(outcome.score)
    score, true = outcome.score[known], (outcome.truth == outcome.positive)[known]
    if not len(score) or score.min() < 0 or score.max() > 1:
        return {}
    return {name: measure(score, true, z) for name, measure in OF_A_PROBABILITY.items()}


def _regression(outcome: Outcome, z: float) -> dict[str, Measured]:
    error = np.asarray(outcome.answer, np.float64) - np.asarray(outcome.truth, np.float64)
    return {name: measure(error, z) for name, measure in OF_A_NUMBER.items()}


def _f1(said: Flags, true: Flags, z: float) -> Measured:
    share = _share(int((said & true).sum()), int((said | true).sum()), z)
    value, lower, upper = (2 * s / (1 + s) for s in (share.value, share.lower, share.upper))
    return Measured(value, lower, upper, share.n)


def _log_loss(score: Floats, true: Flags, z: float) -> Measured:
    tiny = np.finfo(np.float64).eps
    sure = np.clip(np.where(true, score, 1 - score), tiny, 1 - tiny)
    return _mean(-np.log(sure), z, least=0.0)


def _root_mean_square(error: Floats, z: float) -> Measured:
    square = _mean(error**2, z, least=0.0)
    value, lower, upper = np.sqrt([square.value, square.lower, square.upper]).tolist()
    return Measured(value, lower, upper, square.n)


def _share(hits: float, n: int, z: float) -> Measured:
    limits = wilson(hits, n, z)
    return Measured(float(limits.value), float(limits.lower), float(limits.upper), int(n))


def _mean(values: Floats, z: float, *, least: float = -np.inf) -> Measured:
    n = len(values)
    spread = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
    limits = normal(values.mean(), spread, z)
    return Measured(float(limits.value), max(float(limits.lower), least), float(limits.upper), n)


def _area(score: Floats, true: Flags, z: float) -> Measured:
    n = len(score)
    positives, negatives = int(true.sum()), int((~true).sum())
    if not positives or not negatives:
        return Measured(np.nan, np.nan, np.nan, n)
    ranks = rankdata(score)
    above = (ranks[true] - rankdata(score[true])) / negatives
    below = 1.0 - (ranks[~true] - rankdata(score[~true])) / positives
    area = float(above.mean())
    if min(positives, negatives) < 2:
        return Measured(area, 0.0, 1.0, n)
    error = np.sqrt(above.var(ddof=1) / positives + below.var(ddof=1) / negatives)
    limits = normal(area, error, z)
    return Measured(area, max(float(limits.lower), 0.0), min(float(limits.upper), 1.0), n)


def _calibration(score: Floats, true: Flags, z: float) -> Measured:
    n = len(score)
    places = np.minimum((score * _BINS).astype(np.intp), _BINS - 1)
    people = np.bincount(places, minlength=_BINS).astype(np.float64)
    hits = np.bincount(places, true, minlength=_BINS)
    expected = np.bincount(places, score, minlength=_BINS)
    mean = expected / np.maximum(people, 1.0)
    chance = np.sqrt(2 / np.pi * people * mean * (1 - mean)).sum()
    value = max(float(np.abs(hits - expected).sum() - chance), 0.0) / n
    rate = (hits + 0.5) / (people + 1.0)
    error = float(np.sqrt((people * rate * (1 - rate)).sum())) / n
    limits = normal(value, error, z)
    return Measured(value, max(float(limits.lower), 0.0), min(float(limits.upper), 1.0), n)


#: Of one class: who was said to be of it, and who was; then z of the limits. A new measure is a function, and a line here.
OF_A_CLASS: Mapping[str, Callable[[Flags, Flags, float], Measured]] = MappingProxyType(
    {
        "precision": lambda said, true, z: _share((said & true).sum(), said.sum(), z),
        "recall": lambda said, true, z: _share((said & true).sum(), true.sum(), z),
        "f1": _f1,
    }
)

#: Of the probability of a class, and who was of it.
OF_A_PROBABILITY: Mapping[str, Callable[[Floats, Flags, float], Measured]] = MappingProxyType(
    {
        "auc": _area,
        "log_loss": _log_loss,
        "brier": lambda score, true, z: _mean((score - true) ** 2, z, least=0.0),
        "calibration_error": _calibration,
    }
)

#: Of a regression's errors: answer less truth.
OF_A_NUMBER: Mapping[str, Callable[[Floats, float], Measured]] = MappingProxyType(
    {
        "mae": lambda error, z: _mean(np.abs(error), z, least=0.0),
        "rmse": _root_mean_square,
        "bias": _mean,
    }
)


def _size(signed: Estimate) -> Estimate:
    """Return the estimate of the absolute value."""
    crosses = (signed.lower < 0) & (signed.upper > 0)
    low = np.minimum(np.abs(signed.lower), np.abs(signed.upper))
    return Estimate(
        np.abs(signed.value),
        np.where(crosses, 0.0, low),
        np.maximum(np.abs(signed.lower), np.abs(signed.upper)),
    )

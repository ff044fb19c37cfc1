"""Accuracy before labels come, from calibrated scores alone: an estimate, and never more than that.

A calibrated score of 0.8 is right in 80 % of cases, so the mean certainty of a window's answers is its expected
accuracy. This holds while scores mean what they meant in the reference data. A fault that makes the model wrong and
sure of itself is invisible to it: so it is withheld while inputs drift, and no rule ever looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import isotonic_regression

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.sketch import NumericSketch

    Floats = NDArray[np.float64]

#: Largest calibration error, above chance, on reference data held out, with which an estimate is worth showing.
LARGEST_ERROR = 0.02

#: Fewer labelled rows of reference data than this fit no calibrator.
FEWEST = 1_000

#: Equal bins of the calibrated score, for the held-out error.
_BINS = 20


@dataclass(frozen=True, slots=True)
class Calibrator:
    """What a score is worth: the chance of the positive class, by isotonic regression on reference data.

    Attributes
    ----------
    scores, chances
        Both increasing, shape (k,); between two scores the chance is interpolated.
    threshold
        The answer is positive from this score on.
    reference
        Estimated accuracy of the reference data itself.
    error
        Calibration error above chance, on the half of the reference data that it was not fitted to.
    """

    scores: tuple[float, ...]
    chances: tuple[float, ...]
    threshold: float
    reference: float
    error: float

    def certainty(self, scores: Floats) -> Floats:
        """Return how likely each answer is right, in [0, 1], from the score it was decided by."""
        chance = np.interp(scores, self.scores, self.chances)
        return np.where(scores >= self.threshold, chance, 1.0 - chance)


def fit_calibrator(
    scores: Floats, positive: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> Calibrator | str:
    """Fit a calibrator to labelled reference data; or return the sentence why there is none.

    Parameters
    ----------
    scores
        Shape (n,), in [0, 1].
    positive, truth
        Whether the answer was the positive class, and whether that was true, shape (n,).

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> chance = random.random(20_000)
    >>> made = fit_calibrator(chance ** 2, chance ** 2 >= 0.5, random.random(20_000) < chance)
    >>> round(float(made.certainty(np.array([0.64]))[0]), 1)
    0.8
    >>> fit_calibrator(chance, random.random(20_000) < 0.5, chance > 0.5)
    'the answers do not follow the score by a threshold'
    """
    known = np.isfinite(scores)
    scores, positive, truth = scores[known], positive[known], truth[known]
    if len(scores) < FEWEST:
        return f"{len(scores):,} labelled scores are too few, {FEWEST:,} are needed"
    if scores.min() < 0 or scores.max() > 1:
        return "the scores are no probabilities"
    threshold = _threshold(scores, positive)
    if threshold is None:
        return "the answers do not follow the score by a threshold"
    # Every other row of a fixed shuffle: the file's own order may hide anything.
    order = np.random.default_rng(0).permutation(len(scores))
    fitted, held = order[::2], order[1::2]
    chances = np.interp(scores[held], *_isotonic(scores[fitted], truth[fitted]))
    error = _error(chances, truth[held])
    if error > LARGEST_ERROR:
        return f"the scores are not calibrated enough: error {error:.3f} on held-out reference data, {LARGEST_ERROR:g} is allowed"
    knots, values = _isotonic(scores, truth)
    made = Calibrator(tuple(knots.tolist()), tuple(values.tolist()), threshold, 0.0, error)
    reference = float(made.certainty(scores).mean())
    return Calibrator(made.scores, made.chances, threshold, reference, error)


def estimate_accuracy(score: NumericSketch, calibrator: Calibrator) -> float | None:
    """Return the expected accuracy of a window's answers; None without scores, or where some were no number.

    From the sketch's counts alone: each bin stands at its own mean score.
    """
    if not score.n or score.n != score.total:
        return None
    seen = score.counts > 0
    means = score.sums[seen] / score.counts[seen]
    return float(np.average(calibrator.certainty(means), weights=score.counts[seen]))


def note_of(found: Calibrator | str) -> dict[str, Any]:
    """Return a calibrator as a baseline keeps it: plain numbers; or why there is none."""
    if isinstance(found, str):
        return {"off": found}
    return {
        "scores": list(found.scores),
        "chances": list(found.chances),
        "threshold": found.threshold,
        "reference": found.reference,
        "error": found.error,
    }


def calibrator_of(note: Mapping[str, Any] | None) -> Calibrator | str | None:
    """Return what `note_of` kept; None of a baseline that says nothing of it."""
    if note is None:
        return None
    if "off" in note:
        return str(note["off"])
    return Calibrator(
        scores=tuple(note["scores"]),
        chances=tuple(note["chances"]),
        threshold=note["threshold"],
        reference=note["reference"],
        error=note["error"],
    )


def _threshold(scores: Floats, positive: NDArray[np.bool_]) -> float | None:
    if positive.all() or not positive.any():
        return None
    least, most = float(scores[positive].min()), float(scores[~positive].max())
    return (least + most) / 2 if most < least else None


def _isotonic(scores: Floats, truth: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the ends of each flat piece of the isotonic fit, and its height at both."""
    distinct, place = np.unique(scores, return_inverse=True)
    n = np.bincount(place).astype(np.float64)
    rate = np.bincount(place, truth) / n
    fit = isotonic_regression(rate, weights=n)
    first = fit.blocks[:-1]
    last = fit.blocks[1:] - 1
    ends = np.unique(np.concatenate([first, last]))
    return distinct[ends], np.clip(fit.x[ends], 0.0, 1.0)


def _error(chances: Floats, truth: NDArray[np.bool_]) -> float:
    places = np.minimum((chances * _BINS).astype(np.intp), _BINS - 1)
    n = np.bincount(places, minlength=_BINS)
    expected, hits = np.bincount(places, chances, _BINS), np.bincount(places, truth, _BINS)
    mean = expected / np.maximum(n, 1)
    chance = np.sqrt(2 / np.pi * n * mean * (1 - mean)).sum()
    return max(float(np.abs(hits - expected).sum() - chance), 0.0) / len(chances)

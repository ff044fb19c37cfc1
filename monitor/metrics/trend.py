"""A slow creep over many windows, none of which alarms by itself."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: The level of now is the median of so many windows: one odd window is no trend.
RECENT = 10

#: A z-score is cut here, so that one wild window cannot trip a detector that adds up.
_LARGEST_Z = 4.0

#: How many spreads of a single window the level of now must be off: noise moves a median of ten by half a spread.
_LEAST_Z = 2.0

#: A series that hardly moved while it was clean is held to vary by this part of its level.
_LEAST_SPREAD = 0.05


class Creep(NamedTuple):
    """A series that has left its first clean level for good.

    Attributes
    ----------
    before, now
        The level of the first clean windows and of the last ones, in the series' own unit.
    windows
        How many windows ago a detector first noticed, the newest included.
    """

    before: float
    now: float
    windows: int


class _Detector(Protocol):
    @property
    def drift_detected(self) -> bool: ...

    def update(self, x: float) -> object: ...


def find_creep(
    reference: Sequence[float], later: Sequence[float], *, level: float, both_ways: bool = True
) -> Creep | None:
    r"""Tell whether a series of windows has crept away from its own first clean windows.

    Two things are asked, an effect and its significance. The median of the last ten windows must lie at least
    `level`, and two spreads s, from the reference's. And ADWIN or Page-Hinkley must find a change in the z-scores

    .. math:: z = (x - \mathrm{median}) / s, \quad s = \max\bigl((q_{84} - q_{16}) / 2, \mathrm{sd}\bigr)

    with median, quantiles and standard deviation of the reference windows, since the detectors' own defaults sleep on a few hundred
    points. The reference stands before the later windows, so a level that has changed and stays is found however
    long ago it changed.

    Parameters
    ----------
    reference
        Values of the first clean windows; some dozens.
    later
        Values of the windows since then, oldest first.
    level
        Smallest change that matters, above 0, in the series' own unit.
    both_ways
        Whether a fall matters as much as a rise.

    Returns
    -------
    Creep or None
        None too while either side has fewer than ten windows.

    Examples
    --------
    >>> clean = [0.0, 0.1, -0.1, 0.05, -0.05] * 6
    >>> find_creep(clean, clean, level=0.2) is None
    True
    >>> creep = find_creep(clean, [i / 100 for i in range(50)], level=0.2)
    >>> round(creep.before, 3), round(creep.now, 3)
    (0.0, 0.445)

    References
    ----------
    Bifet, A., and Gavalda, R. (2007). Learning from time-changing data with adaptive windowing. Page, E. S. (1954).
    Continuous inspection schemes. Biometrika 41.
    """
    if min(len(reference), len(later)) < RECENT:
        return None
    low, before, high = (float(q) for q in np.quantile(reference, (0.16, 0.5, 0.84)))
    now = float(np.median(later[-RECENT:]))
    change = now - before
    if (abs(change) if both_ways else change) < level:
        return None
    spread = max((high - low) / 2, float(np.std(reference, ddof=1)), _LEAST_SPREAD * level)
    if abs(change) < _LEAST_Z * spread:
        return None
    scores = (np.array([*reference, *later]) - before) / spread
    noticed = _first_change(np.clip(scores, -_LARGEST_Z, _LARGEST_Z), after=len(reference))
    return None if noticed is None else Creep(before, now, len(scores) - noticed)


def _first_change(scores: Floats, *, after: int) -> int | None:
    """Return the position of the first score, from `after` on, at which a detector finds a change."""
    detectors = _detectors()
    for position, score in enumerate(scores.tolist()):
        for detector in detectors:
            detector.update(score)
        if position >= after and any(detector.drift_detected for detector in detectors):
            return position
    return None


def _detectors() -> tuple[_Detector, ...]:
    # The package takes seconds to import, and is needed only once something has moved. It is typed in part only.
    drift: Any = import_module("river.drift")
    return (
        drift.ADWIN(clock=1, grace_period=5, min_window_length=3),
        drift.PageHinkley(min_instances=10, delta=0.5, threshold=10.0, alpha=1.0),
    )

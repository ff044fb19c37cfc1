"""The largest gap between groups, how sure it is, and how much of it the reference data had already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.metrics.intervals import Estimate, critical_value, difference, share_ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from monitor.metrics.fairness.statistics import GroupStatistic

#: Of groups that expect fewer favourable answers, a ratio says little.
EXPECTED_FAVOURABLE = 10


@dataclass(frozen=True, slots=True)
class Side:
    """One sample's number per group.

    Attributes
    ----------
    groups
        Names, shape (G,).
    statistic
        Their numbers.
    """

    groups: tuple[str, ...]
    statistic: GroupStatistic


@dataclass(frozen=True, slots=True)
class Gap:
    """What is said of all pairs of groups; None where it cannot be said.

    Attributes
    ----------
    value
        Of the pair (`highest`, `lowest`), the extreme one.
    lower, upper
        Limits of the extreme true value over all pairs, all pairs at once.
    baseline
        The pair's value in the reference data, in the same direction.
    excess, excess_lower
        The largest gap over the baseline's gap of the same pair, and its lower limit over all pairs at once;
        `excess_pair` has the surest excess.
    """

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None
    excess: float | None = None
    excess_lower: float | None = None
    highest: str | None = None
    lowest: str | None = None
    excess_pair: tuple[str, str] | None = None


def judged_groups(statistic: GroupStatistic, minimum: int) -> NDArray[np.intp]:
    """Return the indices of the groups whose number is about enough people."""
    return np.flatnonzero(statistic.sizes >= max(minimum, 1))


def pair_count(groups: int) -> int:
    """How many pairs so many groups make."""
    return groups * (groups - 1) // 2


def largest_gap(now: Side, then: Side | None, judged: NDArray[np.intp], z: float) -> Gap:
    """Compare every group with every other one.

    The excess of a pair is its gap today less its gap in the reference data in the same direction, and not less
    than nothing where the reference's gap was the other way round: never more than today's gap, and 0 for a gap that
    shrank. Its limits carry the errors of both samples. Pairs of which the reference lacks a group have no excess;
    a group that is rare there brings its own wide limits.
    """
    if len(judged) < 2:
        return Gap()
    highs, lows = _ordered_pairs(len(judged))
    names = [now.groups[index] for index in judged]
    here = now.statistic.estimate(z)[judged]
    gaps = difference(here[highs], here[lows])
    widest = int(np.argmax(gaps.value))
    gap = Gap(
        value=float(gaps.value[widest]),
        lower=max(float(gaps.lower.max()), 0.0),
        upper=_bounded(gaps.upper.max()),
        highest=names[highs[widest]],
        lowest=names[lows[widest]],
    )
    if then is None:
        return gap
    there = _aligned(then, names, z)
    before = difference(there[highs], there[lows])
    excess = difference(gaps, before.clipped(0.0))
    known = np.isfinite(before.value)
    if not known.any():
        return gap
    values = np.where(known, excess.value, -np.inf)
    lowers = np.where(known, excess.lower, -np.inf)
    surest = int(np.argmax(lowers if lowers.max() > 0 else values))
    return Gap(
        value=gap.value,
        lower=gap.lower,
        upper=gap.upper,
        highest=gap.highest,
        lowest=gap.lowest,
        baseline=float(before.value[widest]) if known[widest] else None,
        excess=max(float(values.max()), 0.0),
        excess_lower=max(float(lowers.max()), 0.0),
        excess_pair=(names[highs[surest]], names[lows[surest]]),
    )


def smallest_ratio(now: Side, then: Side | None, *, minimum: int, confidence: float) -> Gap:
    """Divide the lowest of the groups' shares by the highest.

    Limits are those of the smallest true ratio among the pairs whose two groups would each expect
    `EXPECTED_FAVOURABLE` events if all shares were equal; None if there is no such pair.
    """
    judged = judged_groups(now.statistic, minimum)
    if len(judged) < 2:
        return Gap()
    z = critical_value(pair_count(len(judged)), confidence)
    shares = now.statistic.values[judged]
    # The first highest and the last lowest: two groups even where all are alike.
    high, low = int(np.argmax(shares)), len(shares) - 1 - int(np.argmin(shares[::-1]))
    if shares[high] == 0:
        return Gap()
    pair = (now.groups[judged[high]], now.groups[judged[low]])
    lower, upper = _ratio_limits(shares, now.statistic.sizes[judged], z)
    before = np.full(2, np.nan) if then is None else _found(then.statistic.values, then, pair)
    return Gap(
        value=float(shares[low] / shares[high]),
        lower=lower,
        upper=upper,
        baseline=float(before[1] / before[0]) if before[0] > 0 and before[1] >= 0 else None,
        highest=pair[0],
        lowest=pair[1],
    )


def _ratio_limits(
    shares: NDArray[np.float64], sizes: NDArray[np.float64], z: float
) -> tuple[float | None, float | None]:
    successes = shares * sizes
    expected = sizes * (successes.sum() / sizes.sum())
    enough = expected >= EXPECTED_FAVOURABLE
    if enough.sum() < 2:
        return None, None
    x, n = successes[enough], sizes[enough]
    above, below = _ordered_pairs(len(x))
    ratios = share_ratio(x[above], n[above], x[below], n[below], z)
    return float(ratios.lower.min()), min(float(ratios.upper.min()), 1.0)


def worst(gaps: Sequence[Gap]) -> Gap:
    """Return what holds of several statistics at once: the largest of each number, and the pair that it is about."""
    measured = [gap for gap in gaps if gap.value is not None]
    if not measured:
        return Gap()
    largest = max(measured, key=lambda gap: gap.value or 0.0)
    surest = max(measured, key=lambda gap: (gap.excess_lower or 0.0, gap.excess or 0.0))
    return Gap(
        value=largest.value,
        lower=_largest(gap.lower for gap in measured),
        upper=_largest(gap.upper for gap in measured),
        baseline=largest.baseline,
        excess=_largest(gap.excess for gap in measured),
        excess_lower=_largest(gap.excess_lower for gap in measured),
        highest=largest.highest,
        lowest=largest.lowest,
        excess_pair=surest.excess_pair,
    )


def _largest(numbers: Iterable[float | None]) -> float | None:
    return max((number for number in numbers if number is not None), default=None)


def _bounded(limit: np.float64) -> float | None:
    return float(limit) if np.isfinite(limit) else None


def _ordered_pairs(groups: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.divmod(np.arange(groups * groups), groups)
    apart = first != second
    return first[apart], second[apart]


def _aligned(side: Side, names: Sequence[str], z: float) -> Estimate:
    """Return a sample's numbers for these groups: NaN for a group that it does not have."""
    known = side.statistic.estimate(z)
    value, lower, upper = (
        _found(part, side, names) for part in (known.value, known.lower, known.upper)
    )
    return Estimate(value, lower, upper)


def _found(numbers: NDArray[np.float64], side: Side, names: Sequence[str]) -> NDArray[np.float64]:
    index = {name: number for number, name in enumerate(side.groups)}
    places = [index.get(name, len(index)) for name in names]
    return np.append(numbers, np.nan)[places]

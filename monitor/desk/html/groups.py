"""Groups, side by side: how they were treated then and now, and the gaps between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.metrics.fairness.measures import IMPACT, MEAN_ANSWER, PARITY, samples_of
from monitor.metrics.fairness.outcomes import favourable_classes
from monitor.metrics.intervals import critical_value
from monitor.policy.grading import gap_and_bound, gap_levels, impact_level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.desk.compare import Comparison
    from monitor.metrics.fairness.measures import Sample
    from monitor.policy.model import FairnessRules, Levels
    from monitor.profiles.profile import Profile
    from monitor.reports import FairnessMeasure


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % limits, and how many people it is about."""

    n: int
    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class GroupThenAndNow:
    """One group; None on the side that does not have it.

    Attributes
    ----------
    judged
        Whether it has enough people to be compared.
    """

    name: str
    then: Interval | None
    now: Interval | None
    judged: bool


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one favourable answer: what each group got.

    Attributes
    ----------
    answer
        The favourable one; empty for a regression, whose rates are means in the reference's standard deviations.
    """

    attributes: tuple[str, ...]
    answer: str
    groups: tuple[GroupThenAndNow, ...]

    @property
    def is_share(self) -> bool:
        """Whether the numbers are shares, in [0, 1]."""
        return bool(self.answer)


@dataclass(frozen=True, slots=True)
class GapView:
    """One difference between groups beside the levels that it is held to.

    Attributes
    ----------
    judged
        What the levels are put to: the excess over the reference's gap, with its lower limit.
    """

    measure: FairnessMeasure
    levels: Levels
    judged: float | None
    sure: float | None


@dataclass(frozen=True, slots=True)
class AttributeSet:
    """All that is said of one protected attribute, or of the combination of all.

    Attributes
    ----------
    ratios
        Each with the level that its upper limit must not be below.
    """

    attributes: tuple[str, ...]
    rates: tuple[Rates, ...]
    gaps: tuple[GapView, ...]
    ratios: tuple[tuple[FairnessMeasure, float], ...]

    @property
    def name(self) -> str:
        """The attributes, joined as a report joins them."""
        return " & ".join(self.attributes)


def attribute_sets(compared: Comparison, rules: FairnessRules) -> list[AttributeSet]:
    """Return each attribute set of the report, in its order."""
    measures = compared.report.fairness
    sets = dict.fromkeys(measure.attributes for measure in measures)
    return [_set([m for m in measures if m.attributes == one], compared, rules) for one in sets]


def _set(
    measures: list[FairnessMeasure], compared: Comparison, rules: FairnessRules
) -> AttributeSet:
    ratios = [measure for measure in measures if measure.metric.startswith(IMPACT)]
    gaps = [measure for measure in measures if not measure.metric.startswith(IMPACT)]
    return AttributeSet(
        measures[0].attributes,
        tuple(_rates(measures, compared.reference, compared.current, rules)),
        tuple(GapView(gap, gap_levels(gap, rules), *gap_and_bound(gap)) for gap in gaps),
        tuple((ratio, impact_level(ratio, rules)) for ratio in ratios),
    )


def _rates(
    measures: list[FairnessMeasure], reference: Profile, current: Profile, rules: FairnessRules
) -> Iterator[Rates]:
    then, now = samples_of(reference, current, measures[0].attributes)
    wanted = {"": ""}
    if current.layout.is_classifier:
        classes = favourable_classes(reference, current, rules.favourable)
        wanted = {suffix: answer for answer, suffix in classes}
    for measure in measures:
        metric = next((m for m in (PARITY, MEAN_ANSWER) if measure.metric.startswith(m)), None)
        if metric is None:
            continue
        answer = wanted[measure.metric.removeprefix(metric)]
        before, after = _intervals(then, metric, answer), _intervals(now, metric, answer)
        names = sorted(before.keys() | after.keys())
        yield Rates(
            measure.attributes,
            answer,
            tuple(
                GroupThenAndNow(
                    name,
                    before.get(name),
                    after.get(name),
                    name in measure.groups and measure.groups[name].judged,
                )
                for name in names
            ),
        )


def _intervals(sample: Sample | None, metric: str, answer: str) -> dict[str, Interval]:
    if sample is None:
        return {}
    found = {}
    for side in sample.sides(metric, answer):
        estimate = side.statistic.estimate(critical_value(1))
        numbers = zip(
            side.groups,
            side.statistic.sizes.tolist(),
            estimate.value.tolist(),
            estimate.lower.tolist(),
            estimate.upper.tolist(),
            strict=True,
        )
        for name, n, *limits in numbers:
            if all(map(math.isfinite, limits)):
                found[name] = Interval(int(n), *limits)
    return found

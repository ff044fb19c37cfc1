"""How a window treated each group, beside the policy's levels. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.desk.html.words import plain
from monitor.metrics.fairness.measures import IMPACT, PARITY
from monitor.policy.grading import gap_and_bound, gap_levels, impact_level
from monitor.policy.severity import is_block
from monitor.web.pages import charts

if TYPE_CHECKING:
    from monitor.policy.model import FairnessRules
    from monitor.reports import FairnessMeasure, Report


@dataclass(frozen=True, slots=True)
class Group:
    """One group's treatment; the limits are 95 %, in [0, 1]."""

    name: str
    n: int
    rate: float
    lower: float
    upper: float
    judged: bool
    is_least: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """One measure beside its level, in words."""

    measure: FairnessMeasure
    name: str
    judged: float | None
    sure: float | None
    level: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """All that is said of one protected attribute, or of the combination of all."""

    name: str
    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...]


def attribute_of(report: Report, attributes: tuple[str, ...], rules: FairnessRules) -> Attribute:
    """Return what a report says of the groups of one set of attributes, the least favoured first."""
    measures = [measure for measure in report.fairness if measure.attributes == attributes]
    first = next((m for m in measures if m.metric.startswith(PARITY)), measures[0])
    is_broken = any(is_block(measure.severity) for measure in measures)
    groups = []
    for name, rate in sorted(first.groups.items(), key=lambda item: item[1].selection_rate or 0.0):
        if rate.selection_rate is None or not 0 <= rate.selection_rate <= 1:
            continue
        lower, upper = charts.interval(rate)
        is_least = is_broken and name == first.lowest
        groups.append(Group(name, rate.n, rate.selection_rate, lower, upper, rate.judged, is_least))
    return Attribute(
        " & ".join(attributes), tuple(groups), tuple(gap_of(measure, rules) for measure in measures)
    )


def gap_of(measure: FairnessMeasure, rules: FairnessRules) -> Gap:
    """Return a measure beside its level: of a gap what exceeds the reference's, of a ratio the ratio.

    The level is the one that it was judged by, which belongs to its version; of a report without it, the policy's.
    """
    name = plain(measure.metric.replace("[", " of ").removesuffix("]"))
    if measure.metric.startswith(IMPACT):
        least = impact_level(measure, rules) if measure.block is None else measure.block
        return Gap(measure, name, measure.value, measure.upper, f"below {least:.3g}")
    gap, sure = gap_and_bound(measure)
    most = gap_levels(measure, rules).block if measure.block is None else measure.block
    return Gap(measure, name, gap, sure, f"{most:.3g}")

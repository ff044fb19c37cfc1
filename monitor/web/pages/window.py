"""What a window's page shows: the verdict first, then the features, the groups and the data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.desk.html import charts as shapes
from monitor.desk.html.features import Ranked, findings_of, rank_features, why
from monitor.desk.html.words import TITLES, headline, plain
from monitor.metrics.fairness.measures import IMPACT, PARITY
from monitor.policy.grading import gap_and_bound, gap_levels, impact_level
from monitor.policy.severity import is_block
from monitor.reports import Severity, Stage
from monitor.web.pages import charts, links
from monitor.web.pages.answers import Answers, answers_of, gravest

if TYPE_CHECKING:
    from monitor.policy.model import FairnessRules, ModelPolicy
    from monitor.reports import Decision, Distribution, FairnessMeasure, Finding, Report


@dataclass(frozen=True, slots=True)
class Column:
    """A feature or an answer: why it stands where it stands, and what it looked like then and now."""

    ranked: Ranked
    distribution: Distribution | None
    figure: str


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


@dataclass(frozen=True, slots=True)
class WindowPage:
    """The page.

    Attributes
    ----------
    before, after
        Addresses of the version's neighbouring windows; empty at either end.
    same_policy
        Whether the policy in force now is the one that graded it.
    """

    report: Report
    title: str
    answers: Answers
    features: tuple[Column, ...]
    predictions: tuple[Column, ...]
    attributes: tuple[Attribute, ...]
    findings: tuple[Finding, ...]
    figures: dict[str, shapes.Figure]
    before: str
    after: str
    same_policy: bool

    @property
    def severity(self) -> Severity:
        """The window's own."""
        return self.report.severity


def window_page(
    report: Report,
    neighbours: Sequence[Report],
    decisions: Sequence[Decision],
    policy: ModelPolicy,
    *,
    policy_sha256: str,
) -> WindowPage:
    """Return the page of one window.

    Parameters
    ----------
    neighbours
        Windows of the same version, oldest first.
    decisions
        The model's steps, oldest first; those that rest on this window are shown.
    """
    about = [step for step in decisions if _rests_on(step, report)]
    distributions = {one.feature: one for one in report.distributions}
    features = [
        Column(ranked, distributions.get(ranked.drift.feature), f"f{number}")
        for number, ranked in enumerate(rank_features(report, policy.drift))
    ]
    predictions = [
        Column(
            Ranked(column, column.severity, (why(column, policy.drift, is_answer=True),)),
            distributions.get(column.feature),
            f"a{number}",
        )
        for number, column in enumerate(report.prediction_drift)
    ]
    sets = dict.fromkeys(measure.attributes for measure in report.fairness)
    before, after = _neighbours(report, neighbours)
    return WindowPage(
        report=report,
        title=_title(report, policy),
        answers=answers_of(report, about, policy),
        features=tuple(features),
        predictions=tuple(predictions),
        attributes=tuple(_attribute(report, one, policy.fairness) for one in sets),
        findings=tuple(findings_of(report)),
        figures={
            column.figure: shapes.bars(column.distribution)
            for column in (*features, *predictions)
            if column.distribution is not None
        },
        before=before,
        after=after,
        same_policy=report.policy_sha256 in {None, policy_sha256},
    )


def _title(report: Report, policy: ModelPolicy) -> str:
    """Return what is wrong, family by family; where nothing is, that."""
    titles = [TITLES[breach.family] for breach in gravest(report.breaches)]
    if not titles:
        return headline(report, policy)
    return "; ".join([titles[0], *(title[:1].lower() + title[1:] for title in titles[1:])])


def _rests_on(step: Decision, report: Report) -> bool:
    verdict = step.verdict
    if verdict is None or step.from_version != report.version or step.stage is Stage.RECORDED:
        return False
    return report.window == verdict.window or report.window in verdict.windows


def _neighbours(report: Report, some: Sequence[Report]) -> tuple[str, str]:
    before = [one for one in some if one.window < report.window]
    after = [one for one in some if one.window > report.window]
    return links.window(before[-1]) if before else "", links.window(after[0]) if after else ""


def _attribute(report: Report, attributes: tuple[str, ...], rules: FairnessRules) -> Attribute:
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
        " & ".join(attributes), tuple(groups), tuple(_gap(measure, rules) for measure in measures)
    )


def _gap(measure: FairnessMeasure, rules: FairnessRules) -> Gap:
    name = plain(measure.metric.replace("[", " of ").removesuffix("]"))
    if measure.metric.startswith(IMPACT):
        return Gap(
            measure, name, measure.value, measure.upper, f"below {impact_level(measure, rules):.3g}"
        )
    gap, sure = gap_and_bound(measure)
    return Gap(measure, name, gap, sure, f"{gap_levels(measure, rules).block:g}")

"""What a window's page shows: the verdict first, then the features, the groups and the data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.desk.html import charts as shapes
from monitor.desk.html.features import Ranked, findings_of, rank_features, why
from monitor.desk.html.words import TITLES, headline
from monitor.reports import Severity, Stage
from monitor.web.pages import links
from monitor.web.pages.answers import Answers, answers_of, gravest
from monitor.web.pages.groups import Attribute, attribute_of
from monitor.web.pages.labels import Labels, labels_of

if TYPE_CHECKING:
    from monitor.policy.model import ModelPolicy
    from monitor.reports import Decision, Distribution, Finding, Report


@dataclass(frozen=True, slots=True)
class Column:
    """A feature or an answer: why it stands where it stands, and what it looked like then and now."""

    ranked: Ranked
    distribution: Distribution | None
    figure: str


@dataclass(frozen=True, slots=True)
class WindowPage:
    """The page.

    Attributes
    ----------
    labels
        What turned out to be true; None where nothing is known, nor expected.
    before, after
        Addresses of the version's neighbouring windows; empty at either end.
    """

    report: Report
    title: str
    answers: Answers
    features: tuple[Column, ...]
    predictions: tuple[Column, ...]
    attributes: tuple[Attribute, ...]
    findings: tuple[Finding, ...]
    labels: Labels | None
    figures: dict[str, shapes.Figure]
    before: str
    after: str

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
    labelled: Report | None = None,
) -> WindowPage:
    """Return the page of one window.

    Parameters
    ----------
    neighbours
        Windows of the same version, oldest first.
    decisions
        The model's steps, oldest first; those that rest on this window are shown.
    labelled
        The report of the same window by its labels, once there are any.
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
        attributes=tuple(attribute_of(report, one, policy.fairness) for one in sets),
        findings=tuple(findings_of(report)),
        labels=labels_of(report, labelled, policy.fairness),
        figures={
            column.figure: shapes.bars(column.distribution)
            for column in (*features, *predictions)
            if column.distribution is not None
        },
        before=before,
        after=after,
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

"""What turned out to be true of a window's predictions, as its page shows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.reports import Severity, Status
from monitor.web.pages.groups import Gap, gap_of

if TYPE_CHECKING:
    from monitor.policy.model import FairnessRules
    from monitor.reports import Estimate, PerformanceMeasure, Report


@dataclass(frozen=True, slots=True)
class Performance:
    """How right the answers were that one set of attributes tells apart.

    Attributes
    ----------
    metrics
        The columns; of each group one value or None.
    groups
        Name, people with a label, and the values.
    """

    name: str
    metrics: tuple[str, ...]
    groups: tuple[tuple[str, int, tuple[float | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known.

    Attributes
    ----------
    n
        How many predictions have a label.
    coverage
        Their share, in [0, 1].
    judged
        Whether that is enough to judge by.
    overall
        Of everybody.
    broken, within
        Gaps between groups, with their attributes; those past a level apart from the others.
    estimate
        Of the accuracy, as long as no label has come.
    """

    n: int = 0
    coverage: float = 0.0
    judged: bool = False
    overall: tuple[PerformanceMeasure, ...] = ()
    groups: tuple[Performance, ...] = ()
    broken: tuple[tuple[str, Gap], ...] = ()
    within: tuple[tuple[str, Gap], ...] = ()
    estimate: Estimate | None = None


def labels_of(report: Report, labelled: Report | None, rules: FairnessRules) -> Labels | None:
    """Return what is known of a window, else what the scores let expect; None where it is neither.

    Parameters
    ----------
    report
        Of the predictions.
    labelled
        Of the same window, by its labels.
    """
    if labelled is None:
        return None if report.estimate is None else Labels(estimate=report.estimate)
    sets = dict.fromkeys(m.attributes for m in labelled.performance if m.attributes)
    gaps = [(" & ".join(m.attributes), gap_of(m, rules)) for m in labelled.fairness]
    calm = {Severity.PASS, Severity.INSUFFICIENT}
    return Labels(
        n=labelled.labelled,
        coverage=labelled.coverage,
        judged=labelled.status is Status.OK,
        overall=tuple(m for m in labelled.performance if not m.attributes),
        groups=tuple(_performance(labelled, one) for one in sets),
        broken=tuple(one for one in gaps if one[1].measure.severity not in calm),
        within=tuple(one for one in gaps if one[1].measure.severity in calm),
    )


def _performance(labelled: Report, attributes: tuple[str, ...]) -> Performance:
    measures = [m for m in labelled.performance if m.attributes == attributes]
    metrics = tuple(dict.fromkeys(m.metric for m in measures))
    groups = dict.fromkeys(m.group for m in measures if m.group is not None)
    cells = {(m.group, m.metric): m for m in measures}
    return Performance(
        " & ".join(attributes),
        metrics,
        tuple(
            (
                group,
                max(m.n for m in measures if m.group == group),
                tuple(
                    cells[group, metric].value if (group, metric) in cells else None
                    for metric in metrics
                ),
            )
            for group in groups
        ),
    )

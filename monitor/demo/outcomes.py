"""After the story: what turned out to be true of the people comes in, and the windows are judged by it."""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from monitor.bootstrap import open_label_judge, open_labelled_log, open_publisher
from monitor.demo.census import LABEL
from monitor.demo.stack import MODEL
from monitor.demo.traffic import GAP, PERSON
from monitor.events import LabelEvent

if TYPE_CHECKING:
    import pandas as pd

    from monitor.demo.traffic import Plan
    from monitor.reports import Report
    from monitor.settings import Settings

#: Of five people four have a label by then.
_UNLABELLED = 5

#: Seconds that the archiver may need for the labels.
_WITHIN = 60.0

OPPORTUNITY = "equal_opportunity_difference"


class Labelled(Struct, frozen=True, kw_only=True):
    """What the labels say of the faulty version.

    Attributes
    ----------
    coverage
        Share of the judged windows' predictions that have a label.
    equal_opportunity_difference_before, equal_opportunity_difference_during
        Medians of the windows: gap between the two race groups in how many of those employed are answered so.
    """

    windows: int
    coverage: float
    equal_opportunity_difference_before: float | None
    equal_opportunity_difference_during: float | None

    @property
    def shows_the_fault(self) -> bool:
        """Whether opportunity was equal enough before the fault, and far from it during it."""
        before = self.equal_opportunity_difference_before
        during = self.equal_opportunity_difference_during
        return before is not None and during is not None and during > 2 * before and during > 0.15


def judge_by_labels(
    settings: Settings,
    people: pd.DataFrame,
    plan: Plan,
    before: Sequence[Report],
    during: Sequence[Report],
) -> Labelled | None:
    """Publish the labels of these windows' people, wait until they are archived, and judge; None if nothing was.

    Parameters
    ----------
    people
        Everybody, in the order in which they were asked about.
    """
    labels = list(_labels(people, plan, [*before, *during]))
    with open_publisher(settings) as publisher:
        for label in labels:
            publisher.publish_label(label)
        publisher.labels.flush(_WITHIN)
    archived, deadline = open_labelled_log(settings), time.monotonic() + _WITHIN
    while len(archived.news(MODEL, {}).arrived) < len(labels) and time.monotonic() < deadline:
        time.sleep(0.5)
    with open_label_judge(settings) as judging:
        reports = {report.window: report for report in judging.cycle().reports}
    judged = [reports[report.window] for report in (*before, *during) if report.window in reports]
    if not judged:
        return None
    return Labelled(
        windows=len(judged),
        coverage=round(sum(r.labelled for r in judged) / sum(r.n for r in judged), 4),
        equal_opportunity_difference_before=_median(reports.get(r.window) for r in before),
        equal_opportunity_difference_during=_median(reports.get(r.window) for r in during),
    )


def _labels(people: pd.DataFrame, plan: Plan, windows: Iterable[Report]) -> Iterator[LabelEvent]:
    truths = people[LABEL].tolist()
    for report in windows:
        first = max(round((report.window.start - plan.start) / GAP), 0)
        last = min(round((report.window.end - plan.start) / GAP), len(truths))
        for row in range(first, last):
            if row % _UNLABELLED:
                yield LabelEvent(
                    prediction_id=f"{PERSON}{row}",
                    model_name=MODEL,
                    label=int(truths[row]),
                    label_time=dt.datetime.fromtimestamp(plan.time_of(row) + 3600, dt.UTC),
                    source="census",
                )


def _median(reports: Iterable[Report | None]) -> float | None:
    values = [
        measure.value
        for report in reports
        if report is not None
        for measure in report.fairness
        if (measure.metric, measure.attributes) == (OPPORTUNITY, ("race",))
        and measure.value is not None
    ]
    return round(statistics.median(values), 4) if values else None

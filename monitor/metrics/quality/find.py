"""Findings about a window's data: surges, by group where a group explains them, and columns gone wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.metrics.false_discovery import discoveries
from monitor.metrics.proportions import surge_p_value
from monitor.metrics.quality.columns import constant_columns, out_of_range_columns
from monitor.metrics.quality.events import ABSENT, event_findings
from monitor.metrics.quality.groups import Margin, margins
from monitor.metrics.quality.questions import (
    CATEGORY_SURGE,
    MISSING_SURGE,
    UNSEEN,
    ZERO_SURGE,
    Question,
    ask,
)
from monitor.metrics.quality.sentences import sentence
from monitor.reports import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.layout import Layout
    from monitor.profiles.profile import Profile

    Floats = NDArray[np.float64]

#: How many standard errors below its estimate a group's true growth may well lie.
_DOUBT = 2.0

#: A larger group is the explanation if its share grew by nine tenths of what the clearest group's surely did.
_ALIKE = 0.9


class _Surge(NamedTuple):
    """A share that grew past its level, and not by chance."""

    question: Question
    margin: Margin
    n: float
    share: float
    baseline_share: float
    least: float

    @property
    def growth(self) -> float:
        return self.share - self.baseline_share


def find_quality(
    reference: Profile,
    current: Profile,
    *,
    missing_surge: float,
    zero_surge: float,
    unseen: float,
    out_of_range: float,
    type_change: float = 0.01,
    duplicates: float = 0.05,
    q: float = 0.001,
    minimum_group_size: int = 30,
) -> tuple[Finding, ...]:
    """Find what is wrong with the window's data.

    Asked of all people, of each value of each protected attribute, and of all but its commonest value: has the
    share of missing values, of 0, of a label, or of labels never seen, grown by more than its level, and by more
    than chance (an exact test of the two counts, false discoveries controlled over all that is asked)? Of a
    feature's answers to one check, one is told: the largest group that surges as much as the clearest one. So a null turned 0 for one group is named as that, and a surge among all as a surge among all.

    Parameters
    ----------
    reference, current
        The baseline's profile and the window's, of one layout.
    missing_surge, zero_surge, unseen, out_of_range
        Growth of a share from which on it is told, in [0, 1]; `zero_surge` holds for any single label too.
    type_change, duplicates
        Share of the window's events, set aside for a value's type, or come again, from which on it is told.
    q
        Rate of false discoveries allowed, in (0, 1).
    minimum_group_size
        Smaller groups, on either side, are not asked.

    Returns
    -------
    tuple of Finding
        What is wrong with the events, columns that became constant, surges, values out of range; severities left for the policy to grade.
    """
    events = event_findings(reference, current, type_change=type_change, duplicates=duplicates, q=q)
    absent = {finding.feature for finding in events if finding.check == ABSENT}
    constant = constant_columns(reference, current, q=q)
    gone = {finding.feature for finding in constant}
    levels = {
        MISSING_SURGE: missing_surge,
        ZERO_SURGE: zero_surge,
        CATEGORY_SURGE: zero_surge,
        UNSEEN: unseen,
    }
    surges = _surges(reference, current, levels, q=q, minimum=minimum_group_size)
    told = [
        _finding(surge, current.layout)
        for surge in _explain(surges)
        # A constant column's one value surges too: said once is enough.
        if (surge.question.check == MISSING_SURGE and surge.question.feature not in absent)
        or (surge.question.check != MISSING_SURGE and surge.question.feature not in gone)
    ]
    outside = [
        finding
        for finding in out_of_range_columns(reference, current, level=out_of_range, q=q)
        if finding.feature not in gone
    ]
    return (*events, *constant, *told, *outside)


def _surges(
    reference: Profile, current: Profile, levels: dict[str, float], *, q: float, minimum: int
) -> list[_Surge]:
    table = ask(reference, current)
    asked = margins(current.layout.groups, table.cells, table.reference_n)
    members = np.array([margin.members for margin in asked], np.float64)
    old_n, new_n = members @ table.reference_n, members @ table.current_n
    large = np.flatnonzero(np.minimum(old_n, new_n) >= minimum)
    if not (len(large) and table.questions):
        return []
    members, old_n, new_n = members[large], old_n[large, None], new_n[large, None]
    old, new = members @ table.reference, members @ table.current
    share, before = new / new_n, old / old_n
    level = np.array([levels[question.check] for question in table.questions])
    grown = (share - before >= level) & (new > 0)
    # What has not grown past its level is asked too, and counted, though its answer is known without a test.
    p_values = np.ones_like(share)
    wide_old, wide_new = np.broadcast_to(old_n, grown.shape), np.broadcast_to(new_n, grown.shape)
    p_values[grown] = surge_p_value(old[grown], wide_old[grown], new[grown], wide_new[grown])
    stands = discoveries(p_values.ravel(), q).reshape(grown.shape) & grown
    error = np.sqrt(share * (1 - share) / new_n + before * (1 - before) / old_n)
    return [
        _Surge(
            table.questions[column],
            asked[large[row]],
            float(new_n[row, 0]),
            float(share[row, column]),
            float(before[row, column]),
            float((share - before - _DOUBT * error)[row, column]),
        )
        for row, column in zip(*np.nonzero(stands), strict=True)
    ]


def _explain(surges: list[_Surge]) -> list[_Surge]:
    """Keep one per feature and check: the largest group that surges as the clearest one does."""
    by_question: dict[tuple[str, str], list[_Surge]] = {}
    for surge in surges:
        key = (surge.question.feature, surge.question.check)
        by_question.setdefault(key, []).append(surge)
    return [
        max(
            (s for s in rivals if s.growth >= _ALIKE * max(r.least for r in rivals)),
            key=lambda s: (s.n, s.growth),
        )
        for rivals in by_question.values()
    ]


def _finding(surge: _Surge, layout: Layout) -> Finding:
    question, group = surge.question, surge.margin.name
    label = question.label
    if question.check == ZERO_SURGE:
        kinds = {column.name: column.kind.value for column in layout.features}
        label = "false" if kinds[question.feature] == "boolean" else "0"
    return Finding(
        check=question.check,
        feature=question.feature,
        share=surge.share,
        baseline_share=surge.baseline_share,
        group=group,
        sentence=sentence(
            question.check,
            question.feature,
            group,
            share=surge.share,
            n=surge.n,
            baseline_share=surge.baseline_share,
            label=label,
        ),
    )

"""Checks of the events themselves: another type, features absent or foreign, the same event twice."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.metrics.quality.sentences import percent
from monitor.reports import Finding, Severity

if TYPE_CHECKING:
    from monitor.profiles.profile import Profile

TYPE_CHANGE = "type_change"
ABSENT = "absent"
FOREIGN = "foreign"
DUPLICATES = "duplicates"

#: What a finding is about that is about no single feature.
EVERYTHING = "(events)"


def event_findings(
    reference: Profile, current: Profile, *, type_change: float, duplicates: float, q: float
) -> list[Finding]:
    """Find what is wrong with the window's events rather than with their values.

    Parameters
    ----------
    type_change, duplicates
        Share of the window's events from which on it is told, in [0, 1].
    q
        Rate of false discoveries allowed, over the features that may be absent.

    Returns
    -------
    list of Finding
        `absent` where no event that was looked at has the feature, and the baseline's nulls make that no chance. A
        foreign feature alarms nobody: the model never sees it.
    """
    return [
        *_type_changes(current, type_change),
        *_absent(reference, current, q),
        *_foreign(current),
        *_duplicates(current, duplicates),
    ]


def _type_changes(current: Profile, level: float) -> Iterator[Finding]:
    notes = current.notes
    events = current.n + notes.refusals
    by_feature: dict[str, dict[str, int]] = defaultdict(dict)
    for (feature, reason), count in notes.refused.items():
        by_feature[feature][reason] = count
    for feature, reasons in sorted(by_feature.items()):
        count = sum(reasons.values())
        if count / events >= level:
            why = max(reasons, key=lambda reason: (reasons[reason], reason))
            yield Finding(
                check=TYPE_CHANGE,
                feature=feature,
                share=count / events,
                baseline_share=0.0,
                sentence=f"feature {feature} is of another type in {percent(count / events)} of {events:,} events, "
                f"which were set aside: {why}",
            )


def _absent(reference: Profile, current: Profile, q: float) -> Iterator[Finding]:
    notes = current.notes
    if not notes.looked_at:
        return
    for column, sketch in reference.features:
        if notes.absent.get(column.name, 0) < notes.looked_at or not (total := sketch.total):
            continue
        before = sketch.missing / total
        # Publishers leave nulls out: what was often null is no wonder.
        if notes.looked_at * math.log(max(before, 1e-300)) <= math.log(q / len(reference.features)):
            yield Finding(
                check=ABSENT,
                feature=column.name,
                share=1.0,
                baseline_share=before,
                sentence=f"feature {column.name} is absent from all of {notes.looked_at:,} events looked at "
                f"({percent(before)} missing in the baseline)",
            )


def _foreign(current: Profile) -> Iterator[Finding]:
    notes = current.notes
    for feature, count in sorted(notes.foreign.items()):
        yield Finding(
            check=FOREIGN,
            feature=feature,
            share=count / notes.looked_at,
            baseline_share=0.0,
            sentence=f"feature {feature} is foreign to the model, and in {percent(count / notes.looked_at)} of "
            f"{notes.looked_at:,} events looked at",
            severity=Severity.PASS,
        )


def _duplicates(current: Profile, level: float) -> Iterator[Finding]:
    repeated = current.notes.repeated
    came = current.n + repeated
    if repeated and repeated / came >= level:
        yield Finding(
            check=DUPLICATES,
            feature=EVERYTHING,
            share=repeated / came,
            baseline_share=0.0,
            sentence=f"{repeated:,} of {came:,} events came more than once ({percent(repeated / came)}); each is counted once",
        )

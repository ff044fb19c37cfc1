"""From a closed window's profile to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from monitor.baselines import Baseline
from monitor.events import ModelVersion
from monitor.metrics.distributions import distributions
from monitor.metrics.drift.measure import measure_drift
from monitor.metrics.fairness import measure_fairness
from monitor.metrics.false_discovery import discoveries
from monitor.metrics.frozen import columns_of
from monitor.metrics.protocol import NO_OTHERS, DriftMetric
from monitor.metrics.quality.caps import past_caps
from monitor.metrics.quality.find import find_quality
from monitor.policy.estimated import estimate_of
from monitor.policy.evidence import favourable
from monitor.policy.grading import (
    Graded,
    grade_fairness,
    grade_features,
    grade_prediction,
    grade_quality,
)
from monitor.policy.model import ModelPolicy
from monitor.policy.severity import worst
from monitor.profiles.profile import Profile
from monitor.reports import ColumnDrift, FairnessMeasure, Report, Severity, Status, Window

#: Features, prediction and quality share the rate of false discoveries; fairness has as much for all its limits.
_TESTED_FAMILIES = 3


def judge(
    subject: ModelVersion,
    window: Window,
    revision: int,
    current: Profile,
    baseline: Baseline | None,
    *,
    policy: ModelPolicy,
    policy_sha256: str,
    closed_at: float = 0.0,
    partition: int = -1,
    offset: int = -1,
    others: Mapping[str, DriftMetric] = NO_OTHERS,
) -> Report:
    """Measure a closed window against its version's own baseline, and grade it by the policy.

    A window without a baseline has only its groups measured. One with fewer events than the policy's `min_events` is
    measured in full, and neither graded nor counted: its numbers are shown for what they are.

    Parameters
    ----------
    revision
        0 at first close.
    current
        The window's profile, over the baseline's layout where there is a baseline.
    policy_sha256
        Of the policy in force.
    closed_at
        Arrival time of the record that closed the window, seconds since 1970 UTC; 0 at the desk.
    partition, offset
        Source offset up to which events are counted; -1 where there is no Kafka.
    others
        Third parties' measures of drift, by name.

    Raises
    ------
    LayoutMismatch
        If the profile is not over the baseline's layout.
    """
    report = Report(
        model=subject.model,
        version=subject.version,
        window=window,
        revision=revision,
        status=_status(current, baseline, policy),
        severity=Severity.INSUFFICIENT,
        n=current.n,
        n_reference=0,
        policy_sha256=policy_sha256,
        closed_at=closed_at,
        partition=partition,
        offset=offset,
    )
    if baseline is None:
        fairness = _fairness(current, None, policy)
        return replace(report, fairness=fairness, quality=past_caps(current))
    report = replace(report, n_reference=baseline.profile.n, baseline_sha256=baseline.sha256)
    graded = _graded(_measured(report, current, baseline, policy, others), policy)
    return replace(graded, estimate=estimate_of(graded, current, baseline))


def judge_baseline(baseline: Baseline, policy: ModelPolicy) -> Graded[FairnessMeasure]:
    """Judge the absolute gaps of the reference data: for the day that a version is registered.

    Ever after they are standing: a report shows them, and only what exceeds them is a fault of its window.
    """
    return grade_fairness(_fairness(baseline.profile, None, policy), policy.fairness)


def _status(current: Profile, baseline: Baseline | None, policy: ModelPolicy) -> Status:
    if baseline is None:
        return Status.NO_BASELINE
    # Answers that could not be counted were given all the same: when all are of another type, that must be told.
    came = current.n + current.notes.refusals
    return Status.OK if came >= policy.windows.min_events else Status.INSUFFICIENT


def _measured(
    report: Report,
    current: Profile,
    baseline: Baseline,
    policy: ModelPolicy,
    others: Mapping[str, DriftMetric],
) -> Report:
    rates, levels, columns = policy.false_discovery, policy.quality, columns_of(baseline)
    features, prediction = measure_drift(
        baseline.profile,
        current,
        q=rates.warn / _TESTED_FAMILIES,
        others=others,
        frozen=columns,
    )
    return replace(
        report,
        drift=features,
        prediction_drift=prediction,
        fairness=_fairness(current, baseline, policy),
        quality=find_quality(
            baseline.profile,
            current,
            missing_surge=levels.missing_surge.warn,
            zero_surge=levels.zero_surge.warn,
            unseen=levels.unseen.warn,
            out_of_range=levels.out_of_range.warn,
            type_change=levels.type_change.warn,
            duplicates=levels.duplicates.warn,
            # Findings carry no p-value to be asked again: one rate, the stricter, serves both levels.
            q=rates.block / _TESTED_FAMILIES,
            minimum_group_size=policy.fairness.minimum_group_size,
        )
        + past_caps(current),
        distributions=distributions(columns, current, (*prediction, *features)),
    )


def _fairness(
    current: Profile, baseline: Baseline | None, policy: ModelPolicy
) -> tuple[FairnessMeasure, ...]:
    return measure_fairness(
        None if baseline is None else baseline.profile,
        current,
        favourable=favourable(baseline, policy),
        minimum_group_size=policy.fairness.minimum_group_size,
        intersections=policy.fairness.intersections,
        # At 95 % for each measure alone, one clean window in twelve would warn.
        confidence=1 - policy.false_discovery.warn,
        jointly=True,
    )


def _graded(report: Report, policy: ModelPolicy) -> Report:
    """Put severities to the measures of a window that is large enough; leave the others as they are."""
    if report.status is not Status.OK:
        return report
    q = policy.false_discovery.block / _TESTED_FAMILIES
    features = grade_features(report.drift, policy.drift, blocking=_standing_out(report.drift, q))
    prediction = grade_prediction(
        report.prediction_drift, policy.drift, blocking=_standing_out(report.prediction_drift, q)
    )
    fairness = grade_fairness(report.fairness, policy.fairness)
    quality = grade_quality(report.quality, policy.quality)
    return replace(
        report,
        drift=features.measures,
        prediction_drift=prediction.measures,
        fairness=fairness.measures,
        quality=quality.measures,
        severity=worst(
            measure.severity
            for graded in (features, prediction, fairness, quality)
            for measure in graded.measures
        ),
        breaches=(
            *fairness.breaches,
            *prediction.breaches,
            *quality.breaches,
            *features.breaches,
        ),
        suspected=fairness.suspected,
    )


def _standing_out(columns: Sequence[ColumnDrift], q: float) -> frozenset[str]:
    """Return the names of the columns that are significant at the rate q."""
    tested = [(column.feature, column.p_value) for column in columns if column.p_value is not None]
    found = discoveries([p_value for _, p_value in tested], q)
    return frozenset(name for (name, _), stands in zip(tested, found, strict=True) if stands)

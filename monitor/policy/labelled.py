"""From a window's labelled predictions to its report: what the answers were worth, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from monitor.metrics.fairness import measure_fairness
from monitor.metrics.fairness.measures import IMPACT, MEAN_ANSWER, PARITY
from monitor.metrics.intervals import critical_value
from monitor.metrics.performance import Measured, Outcome, loss, measure_performance
from monitor.policy.evidence import favourable
from monitor.policy.grading import grade_fairness
from monitor.policy.model import Levels, ModelPolicy, PerformanceRules
from monitor.policy.severity import grade, is_block, worst
from monitor.reports import (
    Basis,
    Breach,
    FairnessMeasure,
    Family,
    PerformanceMeasure,
    Report,
    Severity,
    Status,
    Window,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.baselines import Baseline
    from monitor.profiles.profile import Profile

#: Where a baseline keeps what its answers were worth: metric to value, lower and upper limit, and n.
NOTE = "performance"

#: Judged when the window closed, without labels: they are not judged again.
_WITHOUT_LABELS = frozenset({PARITY, IMPACT, MEAN_ANSWER})

#: Measured in each group too.
_BY_GROUP = ("accuracy", "precision", "recall", "brier", "mae", "bias")

#: Judged in points, or for a bias in the reference's RMSE; all others by growth.
_IN_POINTS = frozenset(
    {"accuracy", "precision", "recall", "f1", "auc", "calibration_error", "bias"}
)


@dataclass(frozen=True, slots=True)
class LabelledWindow:
    """A window's predictions, and what is known to be true of them.

    Attributes
    ----------
    profile
        Of all predictions, those without a label counted as such.
    outcome
        Of those with a label, shape (n,).
    groups
        The group of each of those, shape (n,), for each set of protected attributes.
    """

    window: Window
    profile: Profile
    outcome: Outcome
    groups: Mapping[tuple[str, ...], NDArray[np.str_]]

    @property
    def labelled(self) -> int:
        """How many predictions have a label."""
        return len(self.outcome.answer)


def judge_labelled(
    window: LabelledWindow,
    revision: int,
    baseline: Baseline,
    *,
    policy: ModelPolicy,
    policy_sha256: str,
    closed_at: float,
) -> Report:
    """Measure a window by its labels against its version's baseline, and grade it by the policy.

    A window of which too little is known is measured, and neither graded nor counted. So is performance that the
    baseline has nothing to compare with: its reference data had no labels.

    Parameters
    ----------
    revision
        0 at first; one more each time labels changed the report.
    closed_at
        When it is judged, seconds since 1970 UTC.
    """
    rules = policy.performance
    enough = (
        window.profile.n >= policy.windows.min_events
        and window.labelled >= rules.min_labels
        and window.labelled >= rules.min_coverage * window.profile.n
    )
    report = Report(
        model=baseline.model,
        version=baseline.version,
        window=window.window,
        revision=revision,
        status=Status.OK if enough else Status.INSUFFICIENT,
        severity=Severity.INSUFFICIENT,
        n=window.profile.n,
        n_reference=baseline.profile.n,
        baseline_sha256=baseline.sha256,
        policy_sha256=policy_sha256,
        closed_at=closed_at,
        basis=Basis.LABELLED,
        labelled=window.labelled,
        fairness=_fairness(window, baseline, policy),
        performance=_performance(window, baseline, policy),
    )
    return _graded(report, baseline, policy) if enough else report


def reference_performance(baseline: Baseline) -> dict[str, Measured]:
    """Return what the reference data's answers were worth; nothing if it had no labels."""
    noted = baseline.notes.get(NOTE, {})
    return {
        name: Measured(value, lower, upper, int(n))
        for name, (value, lower, upper, n) in noted.items()
    }


def _fairness(
    window: LabelledWindow, baseline: Baseline, policy: ModelPolicy
) -> tuple[FairnessMeasure, ...]:
    measured = measure_fairness(
        baseline.profile,
        window.profile,
        favourable=favourable(baseline, policy),
        minimum_group_size=policy.fairness.minimum_group_size,
        intersections=policy.fairness.intersections,
        confidence=1 - policy.false_discovery.warn,
        jointly=True,
    )
    return tuple(m for m in measured if m.metric.partition("[")[0] not in _WITHOUT_LABELS)


def _performance(
    window: LabelledWindow, baseline: Baseline, policy: ModelPolicy
) -> tuple[PerformanceMeasure, ...]:
    rules, then = policy.performance, reference_performance(baseline)
    z = critical_value(len(rules.measures), 1 - policy.false_discovery.warn)
    rmse = then["rmse"].value if "rmse" in then else None
    found = []
    for name, now in measure_performance(window.outcome, z).items():
        measure = _measure(name, now)
        if name in then:
            unit = rmse if name == "bias" else None
            worse = loss(name, now, then[name], z, unit=unit)
            measure = replace(
                measure,
                baseline=then[name].value,
                loss=float(worse.value),
                loss_lower=float(worse.lower),
            )
        found.append(measure)
    for attributes, names in window.groups.items():
        for group in np.unique(names).tolist():
            within = measure_performance(window.outcome.among(names == group), z)
            found += [
                _measure(name, within[name], attributes, group)
                for name in _BY_GROUP
                if name in within
            ]
    return tuple(found)


def _measure(
    name: str, now: Measured, attributes: tuple[str, ...] = (), group: str | None = None
) -> PerformanceMeasure:
    return PerformanceMeasure(
        metric=name,
        n=now.n,
        value=now.value,
        lower=_finite(now.lower),
        upper=_finite(now.upper),
        attributes=attributes,
        group=group,
    )


def _graded(report: Report, baseline: Baseline, policy: ModelPolicy) -> Report:
    fairness = grade_fairness(report.fairness, policy.fairness)
    unlabelled = not any(
        label for cell in baseline.profile.cells.values() for _, label in cell.outcomes
    )
    performance, breaches = [], []
    for measure in report.performance:
        levels = _levels(measure, policy.performance)
        severity = Severity.PASS if levels is None else _severity(measure, levels)
        performance.append(replace(measure, severity=severity))
        if levels is not None and is_block(severity):
            breaches.append(_breach(measure, levels))
    return replace(
        report,
        performance=tuple(performance),
        fairness=fairness.measures,
        breaches=(*fairness.breaches, *breaches),
        # Without labels in the reference there is no gap to exceed, and chance alone is no suspicion.
        suspected=() if unlabelled else fairness.suspected,
        severity=worst([m.severity for m in fairness.measures] + [m.severity for m in performance]),
    )


def _levels(measure: PerformanceMeasure, rules: PerformanceRules) -> Levels | None:
    """Return the levels of a measure that is judged: of everybody, and with a baseline."""
    base = measure.metric.partition("[")[0]
    if measure.group is not None or measure.loss is None or base not in rules.measures:
        return None
    return rules.drop if base in _IN_POINTS else rules.growth


def _severity(measure: PerformanceMeasure, levels: Levels) -> Severity:
    """Grade a loss that its limits prove: what a window alone does not show beyond chance is none."""
    if measure.loss is None or measure.loss_lower is None or measure.loss_lower <= 0:
        return Severity.PASS
    severity = grade(measure.loss, levels)
    proven = measure.loss_lower > levels.warn
    return severity if proven or not is_block(severity) else Severity.WARN


def _breach(measure: PerformanceMeasure, levels: Levels) -> Breach:
    assert measure.loss is not None
    return Breach(
        rule=f"{measure.metric}_loss",
        family=Family.PERFORMANCE,
        severity=Severity.BLOCK,
        value=measure.loss,
        threshold=levels.block,
        sentence=(
            f"{measure.metric.replace('_', ' ')} {measure.value:.3f} of {measure.n:,} labelled, "
            f"{measure.baseline:.3f} in the reference data"
        ),
    )


def _finite(limit: float) -> float | None:
    return limit if np.isfinite(limit) else None

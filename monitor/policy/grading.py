"""A policy's levels put to what was measured: each measure gets its severity, and each broken rule its breach."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec.structs import replace

from monitor.metrics.fairness.measures import IMPACT, PARITY
from monitor.policy.model import DriftRules, FairnessRules, Levels, QualityRules
from monitor.policy.severity import grade, is_block, worst
from monitor.reports import Breach, ColumnDrift, FairnessMeasure, Family, Finding, Severity

PREDICTION_RULE = "prediction_psi"

#: A label's surge, and a column's becoming constant, are judged like a surge of the value 0; an absent one is missing.
_LEVEL_OF = {
    "absent": "missing_surge",
    "category_surge": "zero_surge",
    "constant": "zero_surge",
}

M = TypeVar("M", ColumnDrift, FairnessMeasure, Finding)


@dataclass(frozen=True, slots=True)
class Graded(Generic[M]):
    """Measures with their severities, and the rules that they break.

    Attributes
    ----------
    suspected
        Rules whose estimate is past the block level, but within chance for this one window.
    """

    measures: tuple[M, ...] = ()
    breaches: tuple[Breach, ...] = ()
    suspected: tuple[Breach, ...] = ()


def grade_features(
    columns: Sequence[ColumnDrift], rules: DriftRules, *, blocking: Collection[str]
) -> Graded[ColumnDrift]:
    """Grade each feature's PSI, KS and mean discrepancy: an effect past its level counts only where it is significant too.

    Parameters
    ----------
    columns
        With ``significant`` after false-discovery control at the warn rate.
    blocking
        Names of the columns that are significant at the block rate too.
    """
    measures, breaches = [], []
    for column in columns:
        severities = []
        for name, value, levels in (
            ("psi", column.psi, rules.psi),
            ("ks", column.ks, rules.ks),
            ("mmd", column.mmd, rules.mmd),
        ):
            severity = _significant(grade(value, levels), column, blocking)
            severities.append(severity)
            if value is not None and is_block(severity):
                breaches.append(
                    Breach(
                        rule=f"{name}[{column.feature}]",
                        family=Family.DRIFT,
                        severity=severity,
                        value=value,
                        threshold=levels.block,
                        sentence=f"feature {column.feature}: {name.upper()} {value:.3f}",
                    )
                )
        shown = rules.psi if column.mmd is None else rules.mmd
        measures.append(
            replace(column, severity=worst(severities), warn=shown.warn, block=shown.block)
        )
    return Graded(tuple(measures), tuple(breaches))


def grade_prediction(
    columns: Sequence[ColumnDrift], rules: DriftRules, *, blocking: Collection[str]
) -> Graded[ColumnDrift]:
    """Grade the answers and the scores by PSI, as one rule with the larger of the two.

    A KS distance of 0.2 implies more than the block level of PSI (Pinsker: PSI >= 4 KS^2), so it is no rule here.
    """
    levels = rules.prediction_psi
    measures = []
    for column in columns:
        severity = _significant(grade(column.psi, levels), column, blocking)
        severe = column.psi is not None and column.psi >= rules.prediction_severe
        if severe and is_block(severity):
            severity = Severity.SEVERE
        measures.append(replace(column, severity=severity, warn=levels.warn, block=levels.block))
    broken = [column for column in measures if is_block(column.severity)]
    if not broken:
        return Graded(tuple(measures))
    column = max(broken, key=lambda column: column.psi or 0.0)
    severe = column.severity is Severity.SEVERE
    breach = Breach(
        rule=PREDICTION_RULE,
        family=Family.PREDICTION,
        severity=column.severity,
        value=column.psi or 0.0,
        threshold=rules.prediction_severe if severe else levels.block,
        sentence=f"{column.feature}: PSI {column.psi:.3f}",
    )
    return Graded(tuple(measures), (breach,))


def grade_fairness(
    measured: Sequence[FairnessMeasure], rules: FairnessRules
) -> Graded[FairnessMeasure]:
    """Grade gaps by their excess over the reference's gap, and ratios by their upper limit.

    - A gap is past a level by its estimate: a window's own lower limit would find a true 0.20 in 4 % of windows.
    - It alarms by itself only where its lower limit shows an excess too; else it is suspected.
    - A gap that the reference has too is standing: shown, and no fault of today. Without a reference the absolute
      gap is judged.
    """
    measures: list[FairnessMeasure] = []
    breaches: list[Breach] = []
    suspected: list[Breach] = []
    for measure in measured:
        if _base(measure) == IMPACT:
            severity, breach = _impact(measure, rules)
            proven = True
            judged_by = {"block": impact_level(measure, rules)}
        else:
            levels = gap_levels(measure, rules)
            severity, breach = _gap(measure, levels)
            proven = is_block(severity)
            judged_by = {"warn": levels.warn, "block": levels.block}
        measures.append(replace(measure, severity=severity, **judged_by))
        if breach is not None:
            (breaches if proven else suspected).append(breach)
    return Graded(tuple(measures), tuple(breaches), tuple(suspected))


def grade_quality(findings: Sequence[Finding], rules: QualityRules) -> Graded[Finding]:
    """Grade surges of a share by how much it grew; a check without a level keeps the severity that it came with."""
    measures, breaches = [], []
    for finding in findings:
        name = _LEVEL_OF.get(finding.check, finding.check)
        levels: Levels | None = getattr(rules, name, None)
        growth = finding.share - finding.baseline_share
        severity = finding.severity if levels is None else grade(growth, levels)
        measures.append(replace(finding, severity=severity))
        if is_block(severity):
            breaches.append(
                Breach(
                    # Without the group: which one it is named for may change from window to window.
                    rule=f"{finding.check}[{finding.feature}]",
                    family=Family.QUALITY,
                    severity=severity,
                    value=growth if levels else finding.share,
                    threshold=levels.block if levels else 0.0,
                    sentence=finding.sentence,
                    groups=tuple(finding.group.values()),
                )
            )
    return Graded(tuple(measures), tuple(breaches))


def fairness_rule(measure: FairnessMeasure) -> str:
    """Return the rule's name, the same in each window.

    Examples
    --------
    >>> fairness_rule(FairnessMeasure(attributes=("sex", "race"), metric="disparate_impact"))
    'disparate_impact[sex & race]'
    """
    return f"{measure.metric}[{' & '.join(measure.attributes)}]"


def gap_levels(measure: FairnessMeasure, rules: FairnessRules) -> Levels:
    """Return the levels that hold for a difference between groups."""
    parity = _base(measure) in {PARITY, IMPACT}
    return rules.demographic_parity_difference if parity else rules.difference


def impact_level(measure: FairnessMeasure, rules: FairnessRules) -> float:
    """Return the ratio that a measure's upper limit must not be below."""
    level = rules.disparate_impact
    if measure.baseline is not None and measure.baseline < level:
        # It stands in the reference too: only what is four fifths of that again is of today.
        level *= measure.baseline
    return level


def gap_and_bound(measure: FairnessMeasure) -> tuple[float | None, float | None]:
    """Return the excess over the reference and its lower bound; the absolute ones without a reference."""
    if measure.excess is not None:
        return measure.excess, measure.excess_lower
    return measure.value, measure.lower


def _base(measure: FairnessMeasure) -> str:
    # Of more than two answers each is favourable in turn: demographic_parity_difference[approve].
    return measure.metric.partition("[")[0]


def _significant(severity: Severity, column: ColumnDrift, blocking: Collection[str]) -> Severity:
    if not column.significant:
        return Severity.PASS
    return severity if column.feature in blocking else _at_most_warn(severity)


def _at_most_warn(severity: Severity) -> Severity:
    return Severity.WARN if is_block(severity) else severity


def _gap(measure: FairnessMeasure, levels: Levels) -> tuple[Severity, Breach | None]:
    gap, bound = gap_and_bound(measure)
    if gap is None:
        return Severity.PASS, None
    estimate = grade(gap, levels)
    severity = Severity.PASS
    if bound is not None and bound > 0:
        severity = estimate if bound > levels.warn else _at_most_warn(estimate)
    if not is_block(estimate):
        return severity, None
    return severity, _breach(measure, gap, levels.block)


def _impact(measure: FairnessMeasure, rules: FairnessRules) -> tuple[Severity, Breach | None]:
    if measure.value is None or measure.upper is None:
        return Severity.PASS, None
    threshold = impact_level(measure, rules)
    if measure.upper >= threshold:
        return Severity.PASS, None
    return Severity.BLOCK, _breach(measure, measure.value, threshold)


def _breach(measure: FairnessMeasure, value: float, threshold: float) -> Breach:
    extremes = [name for name in (measure.highest, measure.lowest) if name is not None]
    return Breach(
        rule=fairness_rule(measure),
        family=Family.FAIRNESS,
        severity=Severity.BLOCK,
        value=value,
        threshold=threshold,
        sentence=_who(measure),
        groups=tuple(extremes),
    )


def _who(measure: FairnessMeasure) -> str:
    """Return who is treated worse than whom, in plain words; nothing where answers are no selection."""
    among = " & ".join(measure.attributes)
    said = []
    for name in (measure.lowest, measure.highest):
        rate = measure.groups[name].selection_rate if name in measure.groups else None
        if name is None or rate is None:
            return ""
        said.append((f"{among} {name}", rate))
    (low, low_rate), (high, high_rate) = said
    if not 0 <= low_rate <= 1 or not 0 <= high_rate <= 1:
        return f"the mean answer to people with {low} was {low_rate:.3g}, to those with {high} {high_rate:.3g}"
    return f"people with {low} were selected {low_rate:.0%} of the time, those with {high} {high_rate:.0%}"

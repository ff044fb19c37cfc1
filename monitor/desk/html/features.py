"""Features in the order in which they matter, each with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.policy.severity import rank, worst
from monitor.reports import Severity

if TYPE_CHECKING:
    from monitor.policy.model import DriftRules, Levels
    from monitor.reports import ColumnDrift, Finding, Report


@dataclass(frozen=True, slots=True)
class Ranked:
    """A column, how grave what was found of it is, and why.

    Attributes
    ----------
    severity
        The gravest of its drift and of its quality findings.
    """

    drift: ColumnDrift
    severity: Severity
    reasons: tuple[str, ...]


def rank_features(report: Report, rules: DriftRules) -> list[Ranked]:
    """Return the features, what matters most first: by severity, then by how far past its level."""
    features = [_ranked(column, report, rules) for column in report.drift]
    return sorted(features, key=lambda feature: _precedence(feature, rules), reverse=True)


def why(column: ColumnDrift, rules: DriftRules, *, is_answer: bool = False) -> str:
    """Say what a column's measures amount to."""
    if column.psi is None:
        return "no value to compare"
    past = [
        f"{name} {value:.3f}, level {levels.warn:g}"
        for name, value, levels in _levels(column, rules, is_answer=is_answer)
        if value is not None and value >= levels.warn
    ]
    if past and column.significant:
        return "; ".join(past)
    if past:
        return f"{'; '.join(past)}: within chance at this size"
    return (
        "changed beyond chance, too little to matter"
        if column.significant
        else "no change beyond chance"
    )


def _ranked(column: ColumnDrift, report: Report, rules: DriftRules) -> Ranked:
    findings = [finding for finding in report.quality if finding.feature == column.feature]
    said = why(column, rules)
    reasons = [finding.sentence for finding in findings]
    if not findings or column.significant:
        reasons.append(said)
    severity = worst([column.severity, *(finding.severity for finding in findings)])
    return Ranked(column, severity, tuple(reasons))


def _precedence(feature: Ranked, rules: DriftRules) -> tuple[float, ...]:
    column = feature.drift
    effects = [
        (value or 0.0) / levels.warn if levels.warn else value or 0.0
        for _, value, levels in _levels(column, rules, is_answer=False)
    ]
    missing = (column.missing_current or 0.0) - (column.missing_reference or 0.0)
    return (rank(feature.severity), column.significant, max(effects), missing)


def _levels(
    column: ColumnDrift, rules: DriftRules, *, is_answer: bool
) -> tuple[tuple[str, float | None, Levels], ...]:
    if is_answer:
        return (("PSI", column.psi, rules.prediction_psi),)
    return (("PSI", column.psi, rules.psi), ("KS", column.ks, rules.ks))


def findings_of(report: Report) -> list[Finding]:
    """Return the quality findings, the gravest first."""
    return sorted(report.quality, key=lambda finding: -rank(finding.severity))

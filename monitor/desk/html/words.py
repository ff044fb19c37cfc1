"""What the page says in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.policy.evidence import explaining_features
from monitor.policy.severity import is_block
from monitor.reports import Action, Family, Severity

if TYPE_CHECKING:
    from monitor.policy.model import ModelPolicy
    from monitor.reports import Report

TITLES = {
    Family.FAIRNESS: "Groups are treated differently",
    Family.PREDICTION: "The answers have changed",
    Family.PERFORMANCE: "The answers are worse",
    Family.QUALITY: "The data is damaged",
    Family.DRIFT: "People or their data have changed",
    Family.TREND: "Something creeps",
}

ADVICE = {
    Family.FAIRNESS: "Look first at damaged data and at the features at the top of the ranking: a gap that the "
    "reference data does not have has a cause that is new. Until it is found, do not serve this version to these people.",
    Family.PREDICTION: "Look whether features have changed too. If they have, other people came, or their data did; if "
    "not, the model or what runs before it has changed.",
    Family.PERFORMANCE: "Compare with an earlier version on the same labelled rows before going back.",
    Family.QUALITY: "Ask whoever owns the feed what changed, and when. Do not retrain on this data.",
    Family.DRIFT: "Find out whether it is the people or the feed. If it is people, check how the model does on them, "
    "and retrain if it does badly.",
    Family.TREND: "Look at the series; nothing is broken yet.",
}

MEANINGS = {
    "demographic_parity_difference": "how much more often one group gets the favourable answer than another",
    "disparate_impact": "the lowest group's rate of favourable answers, divided by the highest's",
    "equal_opportunity_difference": "the same, among those for whom the favourable answer is right",
    "equalized_odds_difference": "the larger of the gaps in true and in false positive rates",
    "predictive_parity_difference": "how much more often a favourable answer is right in one group",
    "false_positive_rate_difference": "gap in favourable answers among those for whom they are wrong",
    "false_negative_rate_difference": "gap in refusals among those for whom they are wrong",
    "accuracy_difference": "how much more often the answer is right in one group",
    "calibration_difference": "gap in how far scores are from what came true",
    "mean_prediction_difference": "gap in mean answers, in standard deviations of the reference's answers",
    "mean_error_difference": "how much more one group is overrated than another, in the same unit",
    "mean_absolute_error_difference": "how much further off the answers are in one group, in the same unit",
}

_HEADLINES = {
    Severity.PASS: "Nothing is past its level.",
    Severity.WARN: "Something has changed beyond chance, and deserves a look. No rule is broken.",
}

_FAMILY_IN_PRODUCTION = {
    Family.DRIFT: "In production people are told. Going back would cure nothing: an earlier version would meet the same people.",
    Family.QUALITY: "In production people are told. Going back would cure nothing: an earlier version would get the same feed.",
    Family.TREND: "In production people are told; a slow trend never acts by itself.",
}

_ACTIONS = {
    Action.ROLLBACK: "goes back to the last fair version",
    Action.NOTIFY: "tells people, and changes nothing",
    Action.RECORD: "puts it on record, and changes nothing",
}


def headline(report: Report, policy: ModelPolicy) -> str:
    """Return the verdict in one or two sentences."""
    if report.severity is Severity.INSUFFICIENT:
        return (
            f"{report.n:,} rows are too few to judge; the policy asks for {policy.windows.min_events:,}. "
            "The numbers are shown for what they are."
        )
    if is_block(report.severity):
        count = len(report.breaches)
        return "One rule is broken." if count == 1 else f"{count} rules are broken."
    return _HEADLINES[report.severity]


def in_production(family: Family, report: Report, policy: ModelPolicy) -> str:
    """Return what the monitor would do about windows like this one."""
    if family in _FAMILY_IN_PRODUCTION:
        return _FAMILY_IN_PRODUCTION[family]
    explaining = explaining_features([report], policy)
    if family is Family.PREDICTION and explaining:
        return (
            f"In production people are told; what people bring changed too ({', '.join(explaining)}), "
            "which explains it."
        )
    severe = any(
        breach.severity is Severity.SEVERE for breach in report.breaches if breach.family is family
    )
    when = "at once" if severe else f"after {policy.consecutive} such windows in a row"
    proof = ", if together they prove it," if family is Family.FAIRNESS else ""
    paper = " The policy is on dry run: it would only say so." if policy.dry_run else ""
    return f"In production, {when}{proof} the monitor {_ACTIONS[policy.action]}.{paper}"


#: Written as their letters are spoken.
_SHORT = frozenset({"auc", "f1", "ks", "mae", "psi", "rmse"})


def plain(metric: str) -> str:
    """Return a metric's name as people write it.

    Examples
    --------
    >>> plain("demographic_parity_difference"), plain("psi"), plain("prediction_psi")
    ('demographic parity difference', 'PSI', 'prediction PSI')
    """
    words = metric.replace("_", " ").split(" ")
    return " ".join(word.upper() if word in _SHORT else word for word in words)


def split_rule(rule: str) -> tuple[str, str]:
    """Return what a rule measures, and of what.

    Examples
    --------
    >>> split_rule("demographic_parity_difference[race]"), split_rule("prediction_psi")
    (('demographic parity difference', 'race'), ('prediction PSI', ''))
    """
    metric, _, rest = rule.partition("[")
    return plain(metric), rest.removesuffix("]").replace("][", ", ")

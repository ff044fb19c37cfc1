"""What the pages say in plain words, for somebody who was woken by them. Pure."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from monitor.desk.html.words import MEANINGS, TITLES, plain, split_rule
from monitor.metrics.fairness.measures import IMPACT, PARITY
from monitor.policy.grading import fairness_rule
from monitor.reports import Family

if TYPE_CHECKING:
    from monitor.reports import Breach, FairnessMeasure, Finding, GroupRate, Report


def instant(seconds: float, now: float | None = None) -> str:
    """Return a time as people read it, UTC; the day only where it is not today.

    Examples
    --------
    >>> instant(1763733300.0), instant(1763733300.0, now=1763736000.0)
    ('2025-11-21 13:55', '13:55')
    """
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    today = now is not None and dt.datetime.fromtimestamp(now, dt.UTC).date() == moment.date()
    return f"{moment:%H:%M}" if today else f"{moment:%Y-%m-%d %H:%M}"


def iso(seconds: float) -> str:
    """Return a time as machines read it.

    Examples
    --------
    >>> iso(1763733300.0)
    '2025-11-21T13:55:00Z'
    """
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(seconds: float) -> str:
    """Return a span of time in one unit.

    Examples
    --------
    >>> ago(5), ago(200), ago(7_300), ago(900_000)
    ('just now', '3 min ago', '2 h ago', '10 days ago')
    """
    if seconds < 60:
        return "just now"
    if seconds < 3_600:
        return f"{seconds / 60:.0f} min ago"
    return (
        f"{seconds / 3_600:.0f} h ago" if seconds < 172_800 else f"{seconds / 86_400:.0f} days ago"
    )


def rule_name(rule: str) -> str:
    """Return a rule as people say it.

    Examples
    --------
    >>> rule_name("demographic_parity_difference[race]"), rule_name("prediction_psi")
    ('demographic parity difference of race', 'prediction PSI')
    """
    measured, of = split_rule(rule)
    return f"{measured} of {of}" if of else measured


def people_of(attributes: tuple[str, ...], group: str) -> str:
    """Return whom a group's name means.

    Examples
    --------
    >>> people_of(("sex", "race"), "woman & white"), people_of(("race",), "not white")
    ('people with sex woman and race white', 'people with race not white')
    """
    values = group.split(" & ")
    if len(values) != len(attributes):
        return f"people of {group}"
    named = (f"{name} {value}" for name, value in zip(attributes, values, strict=True))
    return f"people with {' and '.join(named)}"


def measure_of(report: Report, rule: str) -> FairnessMeasure | None:
    """Return the measure of a report that a rule is about."""
    return next((m for m in report.fairness if fairness_rule(m) == rule), None)


def harmed(report: Report, breach: Breach) -> tuple[str, ...]:
    """Return who is harmed by what a rule found, and how: a sentence each; empty where nobody in particular is."""
    if breach.family is Family.QUALITY:
        finding = next((f for f in report.quality if f.sentence == breach.sentence), None)
        return () if finding is None or not finding.group else (_damaged(finding),)
    measure = measure_of(report, breach.rule)
    if measure is None or measure.lowest is None or measure.highest is None:
        return ()
    least, most = measure.groups.get(measure.lowest), measure.groups.get(measure.highest)
    if least is None or most is None:
        return ()
    return _treated(measure, least, most)


def _treated(measure: FairnessMeasure, least: GroupRate, most: GroupRate) -> tuple[str, ...]:
    assert measure.lowest is not None
    assert measure.highest is not None
    whom = _capital(people_of(measure.attributes, measure.lowest))
    metric, _, answer = measure.metric.partition("[")
    low, high = least.selection_rate, most.selection_rate
    if metric not in {PARITY, IMPACT} or low is None or high is None:
        meaning = MEANINGS.get(metric, plain(metric))
        return (f"{whom}, against {measure.highest}: {meaning}.",)
    wanted = f"the answer {answer.removesuffix(']')}" if answer else "the favourable answer"
    said = [f"{whom} got {wanted} {low:.0%} of the time; {measure.highest} {high:.0%}."]
    excess = measure.value if measure.excess is None else measure.excess
    if metric == PARITY and excess:
        people = round(excess * least.n)
        beyond = "" if measure.baseline is None else ", beyond the gap that the reference had too"
        said.append(f"That is about {people:,} of {least.n:,} people in this window{beyond}.")
    return tuple(said)


def _damaged(finding: Finding) -> str:
    group = " & ".join(finding.group.values())
    return f"{_capital(people_of(tuple(finding.group), group))}: their {finding.feature} arrives damaged."


def broke(breach: Breach) -> str:
    """Return what a broken rule means, in a sentence."""
    under = "not below " if breach.rule.startswith(IMPACT) else ""
    level = f"level {under}{breach.threshold:.3g}"
    return f"{TITLES[breach.family]}: {rule_name(breach.rule)} {breach.value:.3f}, {level}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

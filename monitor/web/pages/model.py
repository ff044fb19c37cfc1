"""What a model's page shows: how it stands, what happened, and its windows over time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.desk.fleet import Standing
from monitor.metrics.fairness.measures import PARITY
from monitor.policy.severity import is_block, rank, worst
from monitor.reports import Action, Severity, Stage
from monitor.web.pages import charts, links
from monitor.web.pages.answers import Answers, answers_of, gravest
from monitor.web.pages.fleet import State, shown_report
from monitor.web.pages.words import broke

if TYPE_CHECKING:
    from monitor.policy.model import Policy
    from monitor.reports import Decision, FairnessMeasure, Report

#: Windows on the page; and columns of the heat map, the newest.
WINDOWS, COLUMNS = 60, 24

#: Features in the heat map; those that changed most.
_FEATURES = 30

#: Seconds for which a rollback is what the page speaks of first.
_FRESH = 86_400.0


@dataclass(frozen=True, slots=True)
class Fairness:
    """The two charts of one protected attribute, by their keys among the page's figures."""

    name: str
    treatment: str
    excess: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Heat:
    """One feature in one window; `value` is PSI, None where it was not measured."""

    value: float | None
    severity: Severity

    @property
    def shade(self) -> int:
        """How much it changed, 0 to 4, for the colour."""
        return (
            0
            if self.value is None
            else sum(self.value >= level for level in (0.02, 0.05, 0.1, 0.2))
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One window in the table."""

    href: str
    report: Report
    said: str


@dataclass(frozen=True, slots=True)
class Event:
    """What was decided, one line for each decision: its last step."""

    href: str
    step: Decision
    said: str


@dataclass(frozen=True, slots=True)
class ModelPage:
    """The page.

    Attributes
    ----------
    versions
        Each version seen with its predictions in the windows shown, the newest window's first.
    heat
        Feature by feature, a cell for each of `heat_windows`.
    figures
        By key; the template names them.
    """

    model: str
    state: State
    standing: Standing
    title: str
    answers: Answers
    incident: Line | None
    versions: tuple[tuple[str, int], ...]
    fairness: tuple[Fairness, ...]
    heat_windows: tuple[Line, ...]
    heat: tuple[tuple[str, tuple[Heat, ...]], ...]
    lines: tuple[Line, ...]
    events: tuple[Event, ...]
    figures: dict[str, charts.Figure]


def model_page(
    reports: Sequence[Report],
    decisions: Sequence[Decision],
    standing: Standing,
    policy: Policy,
    *,
    now: float,
) -> ModelPage:
    """Return the page of one model.

    Parameters
    ----------
    reports, decisions
        Of this model, oldest first; at least one report.
    """
    rules = policy.of(standing.model)
    shown = shown_report(standing, reports)
    state = State(standing.state)
    marks = [d for d in decisions if d.stage is Stage.DONE and not d.dry_run]
    incident, steps = _incident(reports, decisions, shown, now)
    answers = answers_of(incident, steps, rules)
    figures = {"traffic": charts.traffic(reports, marks)}
    if any(report.prediction_drift for report in reports):
        figures["answers"] = charts.answers(reports, rules.drift.prediction_psi, marks)
    fairness = []
    for number, (name, windows) in enumerate(_by_attributes(reports)):
        figures[f"t{number}"] = charts.treatment(windows, marks)
        figures[f"e{number}"] = charts.excess(windows, rules.fairness, marks)
        fairness.append(Fairness(name, f"t{number}", f"e{number}", " & " not in name))
    recent = [report for report in reports if report.drift][-COLUMNS:]
    return ModelPage(
        model=standing.model,
        state=state,
        standing=standing,
        title=_title(state, standing, incident),
        answers=answers,
        incident=_line(incident) if incident is not None else None,
        versions=_versions(reports),
        fairness=tuple(fairness),
        heat_windows=tuple(map(_line, recent)),
        heat=_heat(recent),
        lines=tuple(map(_line, reversed(reports))),
        events=_events(decisions),
        figures=figures,
    )


def said_of(report: Report) -> str:
    """Return the worst of a window in one sentence."""
    breaches = gravest(report.breaches)
    if breaches:
        return broke(breaches[0])
    return {
        Severity.WARN: "Something changed beyond chance; no rule is broken.",
        Severity.INSUFFICIENT: "Too little to judge.",
    }.get(report.severity, "Nothing is past its level.")


def _incident(
    reports: Sequence[Report], decisions: Sequence[Decision], shown: Report, now: float
) -> tuple[Report | None, list[Decision]]:
    """Return the window that the page speaks of, and what was decided about its breach.

    That is the window shown where it is in breach; else the last one of a rollback that is not a day old.
    """
    acts = [d for d in decisions if now - d.at < _FRESH and d.stage is not Stage.RECORDED]
    if any(is_block(breach.severity) for breach in shown.breaches):
        about = [d for d in acts if d.from_version == shown.version]
        return shown, about
    moves = [d for d in acts if d.action is Action.ROLLBACK]
    if not moves:
        return shown, []
    last = moves[-1]
    steps = [d for d in moves if d.rollback_id == last.rollback_id]
    judged = next((d.verdict.window for d in reversed(steps) if d.verdict is not None), None)
    found = (r for r in reports if r.version == last.from_version and r.window == judged)
    return next(found, None), steps


def _title(state: State, one: Standing, incident: Report | None) -> str:
    words = {
        "person needed": f"Version {one.version} could not be rolled back: a person is needed",
        "rolling back": f"Version {one.version} is being rolled back",
        "breach": f"Version {one.version} breaches its policy",
        "warning": f"Version {one.version} changed, and breaks no rule",
        "no baseline": f"Version {one.version} has no baseline: it is never judged",
        "too few": f"Version {one.version} has too few predictions to judge",
        "silent": f"Version {one.version} has fallen silent",
        "well": f"Version {one.version} keeps its policy",
    }
    if one.rollback is not None and incident is not None and state.tone != "block":
        made = one.rollback
        return (
            f"Version {made.from_version} was rolled back; version {made.to_version} answers fairly"
        )
    return words.get(state.word, f"Version {one.version} answers")


def _by_attributes(
    reports: Sequence[Report],
) -> list[tuple[str, list[tuple[Report, FairnessMeasure]]]]:
    """Return the windows of each attribute, what went wrong first."""
    found: dict[str, list[tuple[Report, FairnessMeasure]]] = {}
    for report in reports:
        for measure in report.fairness:
            if measure.metric.partition("[")[0] == PARITY:
                answer = measure.metric.partition("[")[2].removesuffix("]")
                name = " & ".join(measure.attributes) + (f", answer {answer}" if answer else "")
                found.setdefault(name, []).append((report, measure))

    def gravity(item: tuple[str, list[tuple[Report, FairnessMeasure]]]) -> tuple[bool, int]:
        name, windows = item
        return " & " in name, -max(rank(measure.severity) for _, measure in windows)

    return sorted(found.items(), key=gravity)


def _versions(reports: Sequence[Report]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for report in reversed(reports):
        counts[report.version] = counts.get(report.version, 0) + report.n
    return tuple(counts.items())


def _heat(reports: Sequence[Report]) -> tuple[tuple[str, tuple[Heat, ...]], ...]:
    columns = [{c.feature: c for c in report.drift} for report in reports]
    surges = [
        {
            f.feature: worst(g.severity for g in report.quality if g.feature == f.feature)
            for f in report.quality
        }
        for report in reports
    ]
    rows = {}
    for name in dict.fromkeys(name for column in columns for name in column):
        cells = []
        for column, surge in zip(columns, surges, strict=True):
            drift = column.get(name)
            graded = Severity.PASS if drift is None else drift.severity
            severity = worst([graded, surge.get(name, Severity.PASS)])
            cells.append(Heat(None if drift is None else drift.psi, severity))
        rows[name] = tuple(cells)

    def changed(item: tuple[str, tuple[Heat, ...]]) -> tuple[float, ...]:
        cells = item[1]
        return (max(rank(c.severity) for c in cells), max(c.value or 0.0 for c in cells))

    return tuple(sorted(rows.items(), key=changed, reverse=True)[:_FEATURES])


def _line(report: Report) -> Line:
    return Line(links.window(report), report, said_of(report))


def _events(decisions: Sequence[Decision]) -> tuple[Event, ...]:
    last: dict[str, Decision] = {}
    for step in decisions:
        if step.stage is Stage.RECORDED and step.rollback_id in last:
            continue  # a breach that goes on says nothing new of what was done
        last.pop(step.rollback_id, None)
        last[step.rollback_id] = step
    return tuple(
        Event(links.decision(step), step, headline_of(step)) for step in reversed(last.values())
    )


def headline_of(step: Decision) -> str:
    """Return what became of a decision, in a sentence."""
    dry = "Dry run: " if step.dry_run else ""
    left, target = step.from_version, step.to_version
    said = {
        Stage.INTENT: f"Rollback from version {left} to {target} is under way",
        Stage.DONE: f"Rolled back from version {left} to {target}; not confirmed yet",
        Stage.CONFIRMED: f"Rolled back from version {left} to {target}, and confirmed",
        Stage.FAILED: f"Version {left} could not be rolled back: a person is needed",
        Stage.REFUSED: f"Version {left} was not rolled back",
        Stage.NOTIFIED: f"People were told about version {left}",
        Stage.RECORDED: f"Put on record about version {left}",
        Stage.RESOLVED: f"Over: version {left} {f'was rolled back to {target}' if target else 'breaks no rule any more'}",
    }
    return dry + said[step.stage]

"""What a decision's page shows: who was harmed, what was done, on what evidence, and where it is on record. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.reports import Stage
from monitor.web.pages import links
from monitor.web.pages.answers import Answers, answers_of
from monitor.web.pages.model import headline_of
from monitor.web.pages.words import ago, rule_name

if TYPE_CHECKING:
    from monitor.policy.model import ModelPolicy
    from monitor.reports import Decision, Report, Verdict, Window

_TONES = {
    Stage.FAILED: "block",
    Stage.REFUSED: "warn",
    Stage.INTENT: "warn",
    Stage.NOTIFIED: "warn",
    Stage.DONE: "warn",
    Stage.CONFIRMED: "pass",
    Stage.RECORDED: "insufficient",
    Stage.RESOLVED: "pass",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One window that the decision rests on; its page is empty where it is no longer kept."""

    start: float
    end: float
    value: float | None
    href: str


@dataclass(frozen=True, slots=True)
class OnRecord:
    """One line of the audit record."""

    number: int
    stage: str
    at: float
    sha256: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit record holds of a decision.

    Attributes
    ----------
    fault
        Why nothing can be said, or what is wrong with the chain; empty if it is whole.
    """

    lines: tuple[OnRecord, ...] = ()
    links: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """The page."""

    last: Decision
    steps: tuple[Decision, ...]
    title: str
    tone: str
    answers: Answers
    rule: str
    verdict: Verdict | None
    evidence: tuple[Evidence, ...]
    took: str
    audit: Audit


def decision_page(
    steps: Sequence[Decision],
    reports: Sequence[Report],
    audit: Audit,
    policy: ModelPolicy,
) -> DecisionPage:
    """Return the page of one decision.

    Parameters
    ----------
    steps
        All its steps, oldest first; at least one.
    reports
        Of the version that was left, as far as they are kept.
    """
    told = [step for step in steps if step.stage is not Stage.RECORDED] or list(steps)
    last = told[-1]
    verdict = next((step.verdict for step in reversed(told) if step.verdict is not None), None)
    kept = {report.window: report for report in reports}
    judged = kept.get(verdict.window) if verdict is not None else None
    return DecisionPage(
        last=last,
        steps=tuple(told),
        title=headline_of(last),
        tone=_TONES[last.stage],
        answers=answers_of(judged, told, policy),
        rule=rule_name(verdict.rule) if verdict is not None and verdict.rule else "",
        verdict=verdict,
        evidence=_evidence(verdict, kept) if verdict is not None else (),
        took=_took(told, verdict),
        audit=audit,
    )


def _evidence(verdict: Verdict, kept: Mapping[Window, Report]) -> tuple[Evidence, ...]:
    windows = verdict.windows or (verdict.window,)
    values = [*verdict.values, *[None] * len(windows)]
    return tuple(
        Evidence(w.start, w.end, value, links.window(kept[w]) if w in kept else "")
        for w, value in zip(windows, values, strict=False)
    )


def _took(steps: Sequence[Decision], verdict: Verdict | None) -> str:
    done = next((step for step in steps if step.stage is Stage.DONE), None)
    if done is None or verdict is None or not verdict.closed_at:
        return ""
    seconds = max(done.at - verdict.closed_at, 0.0)
    if seconds < 60:
        return f"{seconds:.1f} seconds"
    return ago(seconds).removesuffix(" ago")

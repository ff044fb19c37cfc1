"""What on-call asks first: what broke, who is harmed, what has been done, what do I do. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.metrics.fairness.measures import IMPACT
from monitor.policy.severity import rank
from monitor.reports import Action, Family, Stage
from monitor.web.pages import links
from monitor.web.pages.words import broke, harmed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.policy.model import ModelPolicy
    from monitor.reports import Breach, Decision, Report

#: Whom it harms comes first; then by how grave it is.
_FAMILIES = tuple(Family)


@dataclass(frozen=True, slots=True)
class Step:
    """Something done or to be done: a sentence; when, and where more is said; the command that does it."""

    text: str
    command: str = ""
    at: float | None = None
    href: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """The four answers, sentence by sentence."""

    broke: tuple[str, ...]
    harmed: tuple[str, ...]
    done: tuple[Step, ...]
    next: tuple[Step, ...]


def gravest(breaches: Sequence[Breach]) -> list[Breach]:
    """Return one breach of each family, the one to speak of first; groups before features."""
    ordered = sorted(
        breaches,
        # One attribute says more plainly than an intersection whom it is about, and a gap more than a ratio.
        key=lambda b: (
            _FAMILIES.index(b.family),
            b.rule.count(" & "),
            b.rule.startswith(IMPACT),
            -rank(b.severity),
            -b.value,
        ),
    )
    first: dict[Family, Breach] = {}
    for breach in ordered:
        first.setdefault(breach.family, breach)
    return list(first.values())


def answers_of(
    report: Report | None, decisions: Sequence[Decision], policy: ModelPolicy
) -> Answers:
    """Return the answers about a window, or about an incident by the last window that shows it.

    Parameters
    ----------
    report
        The window; None where it is no longer kept.
    decisions
        The model's steps that are about it, oldest first.
    """
    breaches = gravest(report.breaches) if report is not None else []
    sentences = [broke(breach) for breach in breaches]
    whom: dict[str, None] = {}
    for breach in breaches:
        if report is not None:
            whom.update(dict.fromkeys(harmed(report, breach)))
    if report is not None and breaches and not whom:
        whom[
            "Nobody in particular: no group was treated worse beyond chance than the reference had it."
        ] = None
    return Answers(
        tuple(sentences) or ("Nothing is past its block level.",),
        tuple(whom) or ("Nobody that this window shows.",),
        tuple(_said(step) for step in decisions) or (_nothing_done(report, policy),),
        tuple(_next(report, decisions, breaches)),
    )


def _said(step: Decision) -> Step:
    target = step.to_version or "no other version"
    dry = "Dry run: " if step.dry_run else ""
    who = "" if step.actor == "monitor" else f" by {step.actor}"
    said = {
        Stage.INTENT: f"decided to move {step.alias} from version {step.from_version} to {target}",
        Stage.DONE: f"{step.alias} moved from version {step.from_version} to {target}",
        Stage.CONFIRMED: f"confirmed: version {target} answers again",
        Stage.FAILED: f"version {step.from_version} could not be rolled back: {step.reason}",
        Stage.REFUSED: f"not rolled back: {step.reason}",
        Stage.NOTIFIED: f"people were told: {step.reason}",
        Stage.RECORDED: f"put on record: {step.reason}",
        Stage.RESOLVED: f"it is over: {step.reason}",
    }
    sentence = f"{dry}{said[step.stage]}{who}."
    return Step(sentence[:1].upper() + sentence[1:], at=step.at, href=links.decision(step))


def _nothing_done(report: Report | None, policy: ModelPolicy) -> Step:
    if report is None or not report.breaches:
        return Step("Nothing, and nothing had to be.")
    if policy.action is Action.RECORD:
        return Step("It is on the record; the policy allows no more.")
    return Step(f"Nothing yet: the monitor acts after {policy.consecutive} such windows in a row.")


def _next(
    report: Report | None, decisions: Sequence[Decision], breaches: Sequence[Breach]
) -> list[Step]:
    last = decisions[-1] if decisions else None
    model = shlex.quote(report.model if report else last.model if last else "MODEL")
    by_hand = f"monitor rollback --model {model} --to VERSION --reason WHY"
    steps: list[Step] = []
    stages = {step.stage for step in decisions}
    if Stage.RESOLVED in stages:
        steps.append(
            Step("It is over. Keep the version from coming back until its cause is found.")
        )
    elif Stage.FAILED in stages and Stage.DONE not in stages:
        steps.append(
            Step("A person is needed: choose a version and move the alias by hand.", by_hand)
        )
    elif Stage.CONFIRMED in stages:
        steps.append(
            Step(
                "The harm has stopped. Keep the version from coming back until its cause is found."
            )
        )
    elif Stage.DONE in stages:
        steps.append(
            Step(
                "See whether serving follows the alias; nothing of the target has arrived yet.",
                "monitor doctor",
            )
        )
    families = {breach.family for breach in breaches}
    if Family.QUALITY in families:
        steps.append(
            Step("Ask whoever owns the feed what changed, and when. Do not retrain on this data.")
        )
    elif Family.FAIRNESS in families or Family.PREDICTION in families:
        steps.append(
            Step(
                "Look at the features at the top of the ranking: the cause is new, and most likely there."
            )
        )
    elif families:
        steps.append(Step("Look whether it is the people or the feed that changed."))
    if breaches and not stages & {Stage.DONE, Stage.FAILED} and Family.FAIRNESS in families:
        steps.append(Step("If it cannot wait, go back by hand now.", by_hand))
    if breaches:
        steps.append(Step("See what was measured.", f"monitor reports --model {model}"))
    return steps or [Step("Nothing to do.")]

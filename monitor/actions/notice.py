"""What people are told: one message a decision, never one a feature."""

from __future__ import annotations

import enum
import shlex

from msgspec import Struct

from monitor.actions.links import NOWHERE, Places, links_of, since_until, span_of
from monitor.reports import Decision, Verdict


class Kind(enum.StrEnum):
    """Why people are told; a channel may take only some."""

    BREACH = "breach"
    ROLLED_BACK = "rolled_back"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    HELD_BACK = "held_back"
    FAILED = "failed"
    WAITING = "waiting"
    RESOLVED = "resolved"
    DEAD = "dead"
    ALIVE = "alive"


class Notice(Struct, frozen=True, kw_only=True):
    """One message, in plain text: each channel escapes it as it needs.

    Attributes
    ----------
    key
        The same for the same message, however often it is handed in.
    incident
        The same from the alarm to its end: ``model:version:rule``, of the rule that began it.
    facts
        Names with their values.
    steps
        What to do next: commands to be copied.
    links
        Names with addresses.
    thread
        The same for all that is said about one version, so that it can stand together.
    about
        The same in words for machines: model, version, to_version, action, rule, family.
    """

    key: str
    kind: Kind
    incident: str
    title: str
    facts: tuple[tuple[str, str], ...] = ()
    steps: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    thread: str = ""
    about: dict[str, str | None] = {}

    @property
    def text(self) -> str:
        """The whole message as lines of plain text."""
        facts = (f"{name}: {value}" for name, value in self.facts)
        links = (f"{name}: {address}" for name, address in self.links)
        return "\n".join((self.title, *facts, *(f"Next: {step}" for step in self.steps), *links))


#: Which section of docs/runbook.md helps.
_SECTIONS = {
    Kind.BREACH: "monitor-streak",
    Kind.FAILED: "monitor-rollback-failed",
    Kind.WAITING: "monitor-rollback-failed",
}


def notice_of(
    decision: Decision,
    kind: Kind,
    *,
    began: Decision | None = None,
    took: float | None = None,
    places: Places = NOWHERE,
) -> Notice:
    """Return what to tell about a decision.

    Parameters
    ----------
    began
        The first step of the same rollback, or None if this is it: whatever rule speaks for the breach later, its end
        must find the incident that its beginning opened.
    places
        Where its links lead.
    took
        Seconds from the first breach to the rollback; None if that is not known.

    Examples
    --------
    >>> from monitor.reports import Action, Stage
    >>> decision = Decision(
    ...     decision_id="d", rollback_id="r", model="credit", from_version="2", to_version="1",
    ...     action=Action.ROLLBACK, stage=Stage.DONE, reason="psi[age] past 0.2", at=0.0)
    >>> print(notice_of(decision, Kind.ROLLED_BACK, took=61).text)
    credit: champion went back from version 2 to 1
    Why: psi[age] past 0.2
    First breach to rollback: 61 s
    Next: monitor reports --model credit --version 2
    Next: monitor decisions --model credit
    Next: monitor log query --model credit --version 2 --since 1969-12-31T23:40:00Z --until 1970-01-01T00:20:00Z
    """
    verdict = decision.verdict
    facts = [] if kind is Kind.RESOLVED else [("Why", decision.reason)]
    if verdict is not None and verdict.harm and kind is not Kind.RESOLVED:
        facts.insert(0, ("Who is harmed", verdict.harm))
    if verdict is not None and kind is not Kind.RESOLVED:
        facts += _evidence(verdict)
    if took is not None:
        facts.append(("First breach to rollback", _seconds(took)))
    first = (began or decision).verdict
    rule = first.rule if first is not None and first.rule else decision.rollback_id
    return Notice(
        key=f"{decision.rollback_id}:{kind}",
        kind=kind,
        incident=f"{decision.model}:{decision.from_version}:{rule}",
        title=_title(decision, kind),
        facts=tuple(facts),
        steps=_steps(decision, kind),
        links=links_of(decision, _SECTIONS.get(kind, "monitor-rollback"), places),
        thread=f"{decision.model}:{decision.from_version}",
        about={
            "model": decision.model,
            "version": decision.from_version,
            "to_version": decision.to_version,
            "action": decision.action.value,
            "rule": verdict.rule if verdict is not None else None,
            "family": verdict.family.value if verdict is not None and verdict.family else None,
        },
    )


def _title(decision: Decision, kind: Kind) -> str:
    model, alias = decision.model, decision.alias
    left, target = decision.from_version, decision.to_version
    dry = "Dry run: " if decision.dry_run else ""
    titles = {
        Kind.BREACH: f"{model}: version {left} breaches its policy",
        Kind.ROLLED_BACK: f"{model}: {alias} went back from version {left} to {target}",
        Kind.CONFIRMED: f"{model}: version {target} answers again",
        Kind.UNCONFIRMED: f"{model}: {alias} names version {target}, and nothing of it has arrived",
        Kind.HELD_BACK: f"{model}: version {left} was not rolled back",
        Kind.FAILED: f"{model}: version {left} is not rolled back: a person is needed",
        Kind.WAITING: f"{model}: version {left} waits to be rolled back: MLflow does not answer",
        Kind.RESOLVED: f"{model}: resolved, {decision.reason}",
    }
    if decision.dry_run and kind is Kind.HELD_BACK:
        return f"{dry}{model}: {alias} would go back from version {left} to {target}"
    return f"{dry}{titles[kind]}"


def _evidence(verdict: Verdict) -> list[tuple[str, str]]:
    facts = []
    if verdict.rule:
        limit = "" if verdict.threshold is None else f", against {verdict.threshold:g}"
        facts.append(("Rule", f"{verdict.rule}{limit}"))
    if verdict.values:
        shown = verdict.values[-10:]
        values = ", ".join(f"{value:.3f}" for value in shown)
        facts.append((f"Last {len(shown)} windows" if len(shown) > 1 else "Window", values))
    if verdict.groups:
        facts.append(("Groups", ", ".join(verdict.groups)))
    facts += [("Also seen", sentence) for sentence in verdict.findings[:5]]
    return facts


def _steps(decision: Decision, kind: Kind) -> tuple[str, ...]:
    model, version = shlex.quote(decision.model), shlex.quote(decision.from_version)
    reports = f"monitor reports --model {model} --version {version}"
    by_hand = f"monitor rollback --model {model} --to VERSION --reason WHY"
    if kind is Kind.CONFIRMED:
        target = shlex.quote(decision.to_version or "")
        return (f"monitor reports --model {model} --version {target}",)
    if kind is Kind.FAILED:
        return (reports, by_hand)
    if kind in {Kind.UNCONFIRMED, Kind.WAITING}:
        return ("monitor doctor", reports)
    if kind is Kind.RESOLVED:
        return (f"monitor decisions --model {model}",)
    asked = since_until(span_of(decision))
    predictions = (
        f"monitor log query --model {model} --version {version}"
        f" --since {asked['since']} --until {asked['until']}"
    )
    return (reports, f"monitor decisions --model {model}", predictions)


def _seconds(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds} s" if minutes > 1 else f"{round(value)} s"

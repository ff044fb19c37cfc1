"""Acting on the verdicts of some models: once for a breach, and never against a person."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from monitor.actions.means import Means
from monitor.actions.notice import Kind
from monitor.actions.past import Past, began, next_step, step_id
from monitor.actions.rollback import OLDEST_VERDICT, Rollback, decision_on, is_old
from monitor.actions.target import digest, rollback_id
from monitor.events import ModelVersion
from monitor.policy.severity import rank
from monitor.reports import Action, Basis, Decision, Severity, Stage, Verdict

#: Seconds after a rollback in which events of its target are expected; then people are told.
CONFIRM_WITHIN = 900.0


@dataclass(slots=True)
class _Breach:
    """A streak as it goes on."""

    rollback_id: str
    until: float


class _Clean(NamedTuple):
    """Windows in a row that broke no rule, and the end of the last one that was looked at, in seconds."""

    windows: int = 0
    until: float = -math.inf


class Actor:
    """Acts on the verdicts of some models; it must be the only one that does.

    It may be thrown away at any time: what matters is in the log of decisions, and verdicts may come again.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._breaches: dict[ModelVersion, _Breach] = {}
        self._first_seen: dict[tuple[ModelVersion, str], float] = {}
        self._clean: dict[tuple[ModelVersion, Basis], _Clean] = {}

    def consider(self, verdict: Verdict) -> bool:
        """Do what the verdict asks for, unless that was done.

        Returns
        -------
        bool
            False if the registry does not answer: then ask again later. Else it is over, one way or the other.

        Raises
        ------
        Fenced
            If another process acts for this model now.
        KafkaError
            If a decision could not be written.
        """
        if verdict.rule is not None and verdict.streak == 1 and verdict.closed_at:
            self._first_seen[verdict.subject, verdict.rule] = verdict.closed_at
        self._confirm(verdict)
        self._resolve(verdict)
        if verdict.action is Action.NONE:
            return True
        past = self._means.past(verdict.model)
        if verdict.action is not Action.ROLLBACK:
            self._tell(verdict, past)
            return True
        first_seen = self._first_seen.get((verdict.subject, verdict.rule or ""))
        return Rollback(self._means, verdict, self._identify(verdict, past), first_seen).run()

    def doubt(self, models: Iterable[str]) -> None:
        """Tell people, once, of a rollback of these models whose target should have been seen by now.

        Also of one made before this process was started; but not of one that is history.
        """
        for model in models:
            done = self._means.past(model, fresh=False).unconfirmed
            if done is not None and CONFIRM_WITHIN < self._means.now() - done.at < OLDEST_VERDICT:
                reason = f"{done.alias} was moved, but does serving follow it?"
                self._means.announce(replace(done, reason=reason), Kind.UNCONFIRMED)

    def _confirm(self, verdict: Verdict) -> None:
        """A window of a rollback's target that closed since: its events arrive, so serving follows the alias."""
        if verdict.basis is Basis.LABELLED:
            return  # of days ago, whenever it was judged
        done = self._means.past(verdict.model, fresh=False).unconfirmed
        if done is None or verdict.version != done.to_version or verdict.closed_at <= done.at:
            return
        if done.verdict is not None and verdict.window.end <= done.verdict.window.end:
            return  # of before the breach: it only closed late
        arrive = f"events of version {done.to_version} arrive"
        confirmed = next_step(done, Stage.CONFIRMED, self._means.now(), reason=arrive)
        self._means.announce(confirmed, Kind.CONFIRMED)
        self._means.write(confirmed)

    def _resolve(self, verdict: Verdict) -> None:
        """Tell people that it is over, after as many clean windows in a row as made it begin: not at the first."""
        counted, end = (verdict.subject, verdict.basis), verdict.window.end
        before = self._clean.get(counted, _Clean())
        if verdict.rule is not None:
            self._clean[counted] = _Clean(0, max(end, before.until))
            return
        if verdict.severity is Severity.INSUFFICIENT or verdict.baseline_sha256 is None:
            return  # it says nothing either way
        mine = [
            incident
            for incident in self._means.past(verdict.model, fresh=False).open_incidents
            if watched(incident) == verdict.version and _is_since(verdict, incident)
        ]
        if not mine or end <= before.until:  # a later revision of a window is no further window
            return
        clean = before.windows + 1
        self._clean[counted] = _Clean(clean, end)
        if clean < self._means.policy.of(verdict.model).consecutive:
            return
        fair = f"{clean} windows of version {verdict.version} in a row break no rule"
        # A store keeps a decision by its time: no two of a model may have the same microsecond.
        now = self._means.now()
        resolved = [
            next_step(incident, Stage.RESOLVED, now + number * 2e-6, reason=fair)
            for number, incident in enumerate(mine)
        ]
        self._clean[counted] = _Clean(0, end)  # what begins next is counted anew
        # Who was woken is told for each; of notices the newest speaks for all.
        paged = [one for one in resolved if one.action is Action.ROLLBACK]
        news = [] if is_old(verdict, self._means.now()) else paged or resolved[-1:]
        for one in news:
            self._means.announce(one, Kind.RESOLVED)
        for one in resolved:
            self._means.write(one)

    def _identify(self, verdict: Verdict, past: Past) -> str:
        """Return the id of the rollback that this streak asks for, the same as long as the streak goes on.

        The engine forgets old windows, so that a long streak's first window moves: what overlaps is one breach.
        """
        known, recorded = self._breaches.get(verdict.subject), past.breach(verdict)
        if known is None and recorded is not None:
            known = _Breach(*recorded)
        if known is None or began(verdict) >= known.until:
            known = _Breach(rollback_id(verdict.subject, began(verdict)), verdict.window.end)
        known.until = max(known.until, verdict.window.end)
        self._breaches[verdict.subject] = known
        if recorded is not None and past.is_settled(known.rollback_id):
            self._keep(known, recorded[1], verdict)
        return known.rollback_id

    def _keep(self, breach: _Breach, recorded: float, verdict: Verdict) -> None:
        """Put on record now and then that a settled breach goes on, so that the next process knows it again."""
        if recorded < (began(verdict) + verdict.window.end) / 2:
            self._means.write(
                decision_on(
                    verdict,
                    rollback_id=breach.rollback_id,
                    decision_id=step_id(breach.rollback_id, f"goes-on:{verdict.window.end:.0f}"),
                    stage=Stage.RECORDED,
                    reason="the breach goes on; it was decided on before",
                    at=self._means.now(),
                    alias=self._means.policy.of(verdict.model).alias,
                )
            )

    def _tell(self, verdict: Verdict, past: Past) -> None:
        told = verdict.action is Action.NOTIFY
        name = digest(verdict.id)
        stage = Stage.NOTIFIED if told else Stage.RECORDED
        decision = decision_on(
            verdict,
            rollback_id=name,
            decision_id=step_id(name, stage),
            stage=stage,
            reason=verdict.reason,
            at=self._means.now(),
            alias=self._means.policy.of(verdict.model).alias,
            dry_run=verdict.dry_run,
        )
        if past.holds(decision.decision_id):
            return
        if told and _goes_on(verdict, past):
            # It flickered: people know, and are told when it is over.
            decision = replace(
                decision, decision_id=step_id(name, Stage.RECORDED), stage=Stage.RECORDED
            )
            if not past.holds(decision.decision_id):
                self._means.write(decision)
            return
        if told and not is_old(verdict, self._means.now()):
            self._means.announce(decision, Kind.BREACH)
        self._means.write(decision)


def watched(incident: Decision) -> str:
    """Return the version whose windows say that an incident is over: the one that serves since."""
    moved = incident.stage is Stage.DONE and incident.to_version is not None
    return incident.to_version or "" if moved else incident.from_version


def _is_since(verdict: Verdict, incident: Decision) -> bool:
    """Whether the window is later than what the incident is about, and rests on the same.

    Labels lag: windows that are well as far as one sees without them say nothing of what was lost by them.
    """
    about = incident.verdict
    return about is None or (verdict.basis is about.basis and verdict.window.end > about.window.end)


def _goes_on(verdict: Verdict, past: Past) -> bool:
    """Whether people were told of this rule of this version, as gravely, and not yet that it is over."""
    return any(
        told.stage is Stage.NOTIFIED
        and told.from_version == verdict.version
        and told.verdict is not None
        and told.verdict.rule == verdict.rule
        and rank(told.verdict.severity) >= rank(verdict.severity)
        for told in past.open_incidents
    )

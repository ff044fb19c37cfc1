"""One rollback. Any step may be the last before a crash; the verdict then comes again, and it is gone on with.

The order, with its reasons:

1. Choose a target; write the intent. From here on it is on record what was about to be done.
2. Read the alias again. If it no longer names the judged version, a person moved it, and the person wins.
3. Set the alias, and mark the target with the rollback's id: so that, after a crash, a person who has put the judged
   version back is told from a rollback that was not made yet.
4. Read the alias back, tag both versions, write the outcome.

MLflow has no compare-and-swap. Between reading and setting the alias lie some milliseconds in which a person's move
would be overwritten; and if the process dies between setting and marking, and a person puts the judged version back
before the restart, the move is made a second time. Neither can be closed from outside MLflow.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from monitor.actions.means import Means
from monitor.actions.notice import Kind
from monitor.actions.past import Past, step_id
from monitor.actions.ports import Registry
from monitor.actions.target import choose_target
from monitor.errors import RegistryError, RegistryUnavailable
from monitor.events import ModelVersion
from monitor.policy.model import ModelPolicy
from monitor.registry.versions import (
    BAD,
    PREVIOUS_ALIAS,
    RESTORED_AT_TAG,
    RESTORED_FROM_TAG,
    RESTORED_ID_TAG,
    ROLLED_BACK_AT_TAG,
    ROLLED_BACK_ID_TAG,
    ROLLED_BACK_WHY_TAG,
    STATE_TAG,
)
from monitor.reports import Decision, Stage, Verdict

log = structlog.get_logger(__name__)

#: A verdict that lay unread for longer, in seconds, is history, and not the state of what is served now.
OLDEST_VERDICT = 86_400.0

#: MLflow keeps tags up to 5,000 characters; a reader wants far fewer.
_TAG_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a verdict asks for.

    Attributes
    ----------
    id
        The same as long as the breach lasts.
    first_seen
        When the breach's first window closed, seconds since 1970 UTC; None if that was not seen.
    """

    means: Means
    verdict: Verdict
    id: str
    first_seen: float | None = None

    def run(self) -> bool:
        """Make it, go on with it, or say why not. Returns False if the registry does not answer: try again later."""
        past = self.means.past(self.verdict.model)
        if past.is_settled(self.id):
            return True
        intent = past.open_intent(self.id)
        try:
            intent = intent or self._decide(past)
            if intent is not None:
                self._carry_out(intent)
        except RegistryUnavailable as error:
            log.warning("the registry does not answer", model=self.verdict.model, error=str(error))
            self.means.announce(self._decision("waiting", Stage.INTENT, str(error)), Kind.WAITING)
            return False
        return True

    # -------------------------------------------------------------------------------------- deciding

    def _decide(self, past: Past) -> Decision | None:
        """Write the intent; None if there is nothing to be done, or nothing that may be done."""
        try:
            held = self._held_back(past)
            if held is None:
                held = self._intent(past)
        except RegistryUnavailable:
            raise
        except RegistryError as error:
            held = self._decision("unable", Stage.FAILED, str(error))
        if past.holds(held.decision_id):
            return None
        if held.stage is Stage.INTENT:
            self.means.write(held)
            return held
        if not self._is_old() and not self._was_left(past):
            kind = Kind.FAILED if held.stage is Stage.FAILED else Kind.HELD_BACK
            self.means.announce(held, kind)
        self.means.write(held)
        return None

    def _held_back(self, past: Past) -> Decision | None:
        version = self.verdict.version
        alias = self._rules.alias
        if self._is_old():
            return self._decision("old", Stage.RECORDED, "the verdict is too old to be acted on")
        named = self.means.registry.alias(self.verdict.model, alias)
        if named != version:
            reason = f"{alias} names {_version(named)}, not {version}: nothing to go back from"
            return self._decision("unserved", Stage.RECORDED, reason)
        last = past.last_rollback
        if last is not None and self.means.now() - last.at < self._rules.cooldown:
            reason = f"a rollback was made less than {self._rules.cooldown:g} s ago (cooldown)"
            return self._decision("cooldown", Stage.REFUSED, reason)
        return None

    def _intent(self, past: Past) -> Decision:
        model = self.verdict.model
        target = choose_target(
            self.means.registry.versions(model),
            self.verdict.version,
            previous=self.means.registry.alias(model, PREVIOUS_ALIAS),
            left=past.left,
            breaching=past.breaching,
        )
        if target is None:
            reason = f"no earlier version has a clean record, and {PREVIOUS_ALIAS} names no other"
            return self._decision("no-target", Stage.FAILED, f"{self.verdict.reason}; {reason}")
        reason = f"{self.verdict.reason}; version {target.version} is {target.why}"
        if self.verdict.dry_run or self._rules.dry_run:
            return self._decision(
                "dry-run", Stage.RECORDED, reason, to=target.version, dry_run=True
            )
        step = f"{Stage.INTENT}:{past.attempts(self.id) + 1}"
        return self._decision(step, Stage.INTENT, reason, to=target.version)

    def _is_old(self) -> bool:
        return is_old(self.verdict, self.means.now())

    def _was_left(self, past: Past) -> bool:
        """Whether the last rollback was from this very version: its last events are no news."""
        last = past.last_rollback
        return last is not None and last.from_version == self.verdict.version

    # ---------------------------------------------------------------------------------- carrying out

    def _carry_out(self, intent: Decision) -> None:
        try:
            stage, reason = self._move(intent)
        except RegistryUnavailable:
            raise
        except RegistryError as error:  # another try would be refused too
            stage, reason = Stage.FAILED, str(error)
        name = step_id(self.id, stage)
        if stage is Stage.FAILED:  # each intent may fail
            name = intent.decision_id.replace(Stage.INTENT, Stage.FAILED)
        outcome = replace(intent, decision_id=name, stage=stage, reason=reason, at=self.means.now())
        kinds = {Stage.DONE: Kind.ROLLED_BACK, Stage.FAILED: Kind.FAILED}
        took = None if self.first_seen is None else max(outcome.at - self.first_seen, 0.0)
        # Before the outcome is on record: after a crash between the two, the outbox knows the notice by its key.
        self.means.announce(outcome, kinds.get(stage, Kind.HELD_BACK), took=took)
        self.means.write(outcome)

    def _move(self, intent: Decision) -> tuple[Stage, str]:
        model, alias, left, to = intent.model, intent.alias, intent.from_version, intent.to_version
        assert to is not None  # an intent has a target
        registry = self.means.registry
        target = next((v for v in registry.versions(model) if v.version == to), None)
        named = registry.alias(model, alias)
        if named != to and target is not None and target.tags.get(RESTORED_ID_TAG) == self.id:
            return Stage.REFUSED, f"it was made, and a person moved {alias} to {_version(named)}"
        if named not in {left, to}:
            return Stage.REFUSED, f"a person moved {alias} to {_version(named)} meanwhile"
        if named == left:
            if target is None or target.is_bad:
                return Stage.FAILED, f"version {to} is {'bad' if target else 'gone'} meanwhile"
            registry.set_alias(model, alias, to)
        registry.tag(ModelVersion(model, to), RESTORED_ID_TAG, self.id)
        named = registry.alias(model, alias)
        if named != to:
            return Stage.REFUSED, f"it was made, and a person moved {alias} to {_version(named)}"
        try:
            tag_both(registry, intent, self.means.now())
        except RegistryUnavailable:
            raise
        except RegistryError as error:  # the move stands, and is not to be called a failure
            return Stage.DONE, f"{intent.reason}; not tagged: {error}"
        return Stage.DONE, intent.reason

    # ---------------------------------------------------------------------------------------- values

    @property
    def _rules(self) -> ModelPolicy:
        return self.means.policy.of(self.verdict.model)

    def _decision(
        self, step: str, stage: Stage, reason: str, *, to: str | None = None, dry_run: bool = False
    ) -> Decision:
        return decision_on(
            self.verdict,
            rollback_id=self.id,
            decision_id=step_id(self.id, step),
            stage=stage,
            reason=reason,
            at=self.means.now(),
            alias=self._rules.alias,
            to_version=to,
            dry_run=dry_run,
        )


def is_old(verdict: Verdict, now: float) -> bool:
    """Whether the verdict lay unread for so long that it is history: nobody is moved or woken by it."""
    return 0 < verdict.closed_at < now - OLDEST_VERDICT


def decision_on(
    verdict: Verdict,
    *,
    rollback_id: str,
    decision_id: str,
    stage: Stage,
    reason: str,
    at: float,
    alias: str,
    to_version: str | None = None,
    dry_run: bool = False,
) -> Decision:
    """Return one step of acting on a verdict."""
    return Decision(
        decision_id=decision_id,
        rollback_id=rollback_id,
        model=verdict.model,
        from_version=verdict.version,
        to_version=to_version,
        action=verdict.action,
        stage=stage,
        reason=reason,
        at=at,
        alias=alias,
        verdict=verdict,
        policy_sha256=verdict.policy_sha256,
        dry_run=dry_run,
    )


def tag_both(registry: Registry, done: Decision, at: float, *, bad: bool = True) -> None:
    """Write on both versions what happened to them.

    Parameters
    ----------
    bad
        Whether the version that was left is never to be gone back to.
    """
    assert done.to_version is not None  # it has been moved to
    left = ModelVersion(done.model, done.from_version)
    target = ModelVersion(done.model, done.to_version)
    when = dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds")
    if bad:
        registry.tag(left, STATE_TAG, BAD)
    registry.tag(left, ROLLED_BACK_AT_TAG, when)
    registry.tag(left, ROLLED_BACK_WHY_TAG, done.reason[:_TAG_LENGTH])
    registry.tag(left, ROLLED_BACK_ID_TAG, done.rollback_id)
    registry.tag(target, RESTORED_AT_TAG, when)
    registry.tag(target, RESTORED_FROM_TAG, done.from_version)
    registry.tag(target, RESTORED_ID_TAG, done.rollback_id)


def _version(named: str | None) -> str:
    return "no version" if named is None else f"version {named}"

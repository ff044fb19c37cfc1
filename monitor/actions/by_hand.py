"""A rollback that a person asks for."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from monitor.actions.past import next_step, step_id
from monitor.actions.ports import Clock, DecisionLog, Registry
from monitor.actions.rollback import tag_both
from monitor.actions.target import digest
from monitor.errors import ActionRefused, RegistryError, VersionNotFound
from monitor.registry.versions import STATE_TAG
from monitor.reports import Action, Decision, Stage


def rollback_by_hand(
    registry: Registry,
    log: DecisionLog,
    *,
    model: str,
    to: str,
    reason: str,
    actor: str,
    alias: str = "champion",
    dry_run: bool = False,
    now: Clock = time.time,
) -> Decision:
    """Let the alias name another version, on record like the monitor's own rollbacks.

    The version that is left is tagged bad if the target is an earlier one: then no rollback ever goes to it.

    Parameters
    ----------
    actor
        Who asks.
    dry_run
        Check all, move and write nothing.

    Returns
    -------
    Decision
        The outcome; for a dry run the intent.

    Raises
    ------
    VersionNotFound
        If there is no such model or version.
    ActionRefused
        If no reason is given, the target is bad, or the alias names it already or names nothing, or somebody moves it at the same time.
    RegistryUnavailable
        If MLflow does not answer. Then ask again: if the alias was moved, the tags that are missing are written.
    """
    where = f"{model}@{alias}"
    check_reason(reason, where)
    versions = {version.version: version for version in registry.versions(model)}
    if to not in versions:
        known = ", ".join(versions) or "none"
        raise VersionNotFound(
            f"there is no version {to}", where=model, fix=f"Choose one of these: {known}."
        )
    left = registry.alias(model, alias)
    if left is None:
        raise ActionRefused("the alias names no version", where=where, fix="Set it in MLflow.")
    if left == to:
        begun = _unfinished(log.history(model), to, alias)
        if begun is not None:
            earlier = versions[to].number < int(begun.from_version)
            if dry_run:
                return replace(begun, dry_run=True)
            return _finish(registry, log, begun, bad=earlier, now=now)
        raise ActionRefused(
            f"the alias names version {to} already", where=where, fix="Nothing is to be done."
        )
    if versions[to].is_bad:
        raise ActionRefused(
            f"version {to} was rolled back before",
            where=f"{model}/{to}",
            fix=f"If it is well now, delete its tag {STATE_TAG} in MLflow first.",
        )
    name = digest(model, left, to, str(now()))
    intent = Decision(
        decision_id=step_id(name, Stage.INTENT),
        rollback_id=name,
        model=model,
        from_version=left,
        to_version=to,
        action=Action.ROLLBACK,
        stage=Stage.INTENT,
        reason=reason,
        at=now(),
        actor=actor,
        alias=alias,
        dry_run=dry_run,
    )
    if dry_run:
        return intent
    log.append(intent)
    try:
        registry.set_alias(model, alias, to)
    except RegistryError as error:
        log.append(_failed(intent, error, now()))
        raise
    return _finish(registry, log, intent, bad=versions[to].number < int(left), now=now)


def check_reason(reason: str, where: str) -> None:
    """Refuse what a person asks for without saying why.

    Raises
    ------
    ActionRefused
        If the reason is blank.
    """
    if not reason.strip():
        raise ActionRefused(
            "no reason is given", where=where, fix="Say why: it goes on the record."
        )


def _finish(
    registry: Registry, log: DecisionLog, intent: Decision, *, bad: bool, now: Clock
) -> Decision:
    """Look whether the move stands, tag both versions, and write the outcome: done, even if the tags are missing."""
    try:
        _look_again(registry, intent)
        tag_both(registry, intent, now(), bad=bad)
    except ActionRefused as error:
        log.append(_failed(intent, error, now()))
        raise
    except RegistryError as error:
        untagged = replace(
            intent,
            decision_id=step_id(intent.rollback_id, "untagged"),
            stage=Stage.DONE,
            reason=f"{intent.reason}; the tags are missing: {error}",
            at=now(),
        )
        log.append(untagged)
        raise
    done = next_step(intent, Stage.DONE, now())
    log.append(done)
    return done


def _look_again(registry: Registry, intent: Decision) -> None:
    named = registry.alias(intent.model, intent.alias)
    if named != intent.to_version:
        raise ActionRefused(
            f"somebody else moved it to version {named} at the same time",
            where=f"{intent.model}@{intent.alias}",
            fix="Agree who decides, then ask again.",
        )


def _failed(intent: Decision, error: RegistryError, at: float) -> Decision:
    return next_step(intent, Stage.FAILED, at, reason=f"{intent.reason}; {error}")


def _unfinished(decisions: Sequence[Decision], to: str, alias: str) -> Decision | None:
    """Return the intent of the last rollback, if a person's to this version whose tags were never written."""
    moves = [d for d in decisions if d.alias == alias and d.stage in _MOVES and not d.dry_run]
    if not moves or moves[-1].actor == "monitor" or moves[-1].to_version != to:
        return None
    name = moves[-1].rollback_id
    if any(d.decision_id == step_id(name, Stage.DONE) for d in moves):
        return None
    return next((d for d in moves if d.decision_id == step_id(name, Stage.INTENT)), None)


_MOVES = frozenset({Stage.INTENT, Stage.DONE, Stage.FAILED})

"""A version put under other thresholds than it was registered with: a person's decision, on record."""

from __future__ import annotations

import time
from typing import Protocol

from msgspec.structs import replace

from monitor.actions.by_hand import check_reason
from monitor.actions.past import next_step, step_id
from monitor.actions.ports import Clock, DecisionLog
from monitor.actions.target import digest
from monitor.errors import ActionRefused, BaselineError, RegistryError
from monitor.events import ModelVersion
from monitor.policy.model import ModelPolicy
from monitor.policy.thresholds import changes, encode_thresholds, with_thresholds
from monitor.reports import Action, Decision, Stage


class ThresholdStore(Protocol):
    """Where a version's thresholds are kept: the registry."""

    def thresholds(self, version: ModelVersion) -> bytes | None:
        """Return the version's own thresholds; None if it has none."""

    def publish_thresholds(self, version: ModelVersion, data: bytes) -> str:
        """Keep thresholds with the version; return their sha256."""


def adopt_policy(
    registry: ThresholdStore,
    log: DecisionLog,
    version: ModelVersion,
    policy: ModelPolicy,
    *,
    reason: str,
    actor: str,
    now: Clock = time.time,
) -> Decision:
    """Put a version under the policy's thresholds, from when a worker next loads it.

    Parameters
    ----------
    policy
        What holds for its model in this deployment.
    actor
        Who asks.

    Returns
    -------
    Decision
        What was put on record: each threshold before and after, and the reason.

    Raises
    ------
    ActionRefused
        If no reason is given, or nothing would change.
    VersionNotFound, RegistryUnavailable, RegistryError
        If it was not done; that is on record, too.
    """
    check_reason(reason, "/".join(version))
    try:
        stored = registry.thresholds(version)
    except BaselineError as error:
        stored, what = None, f"thresholds replaced that could not be used ({error.what})"
    else:
        what = "first thresholds of its own"
    differ = changes(with_thresholds(policy, stored), policy)
    if stored is not None and not differ:
        raise ActionRefused(
            "it is under these thresholds already",
            where="/".join(version),
            fix="Nothing is to be done.",
        )
    if differ:
        what = f"thresholds changed: {', '.join(differ)}"
    name = digest(*version, "thresholds", str(now()))
    intent = Decision(
        decision_id=step_id(name, Stage.INTENT),
        rollback_id=name,
        model=version.model,
        from_version=version.version,
        to_version=None,
        action=Action.RECORD,
        stage=Stage.INTENT,
        reason=f"{what}. {reason}",
        at=now(),
        actor=actor,
    )
    log.append(intent)
    try:
        sha256 = registry.publish_thresholds(version, encode_thresholds(policy))
    except RegistryError as error:
        log.append(next_step(intent, Stage.FAILED, now(), reason=f"{intent.reason}; {error}"))
        raise
    done = replace(next_step(intent, Stage.RECORDED, now()), policy_sha256=sha256)
    log.append(done)
    return done

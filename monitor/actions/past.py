"""What was decided about a model so far, as questions that acting asks of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property

from msgspec.structs import replace

from monitor.reports import Action, Decision, Family, Stage, Verdict


class Past:
    """One model's decisions, oldest first; a decision written twice counts once."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._decisions = tuple({d.decision_id: d for d in decisions}.values())

    def holds(self, decision_id: str) -> bool:
        """Whether this was decided before."""
        return decision_id in self._ids

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(decision.decision_id for decision in self._decisions)

    def _of(self, rollback_id: str) -> list[Decision]:
        return [d for d in self._decisions if d.rollback_id == rollback_id]

    def first_step(self, rollback_id: str) -> Decision | None:
        """Return the first that was decided of a rollback; None if nothing was yet."""
        return next(iter(self._of(rollback_id)), None)

    def breach(self, verdict: Verdict) -> tuple[str, float] | None:
        """Return id and last window's end of the rollback that the verdict's streak was already decided on.

        A streak that began before that window ended is the same breach, whatever rule now speaks for it.
        """
        # Not the last one on record: a rollback's confirmation comes later, and carries its old verdict.
        known = [
            (decision.verdict.window.end, decision.rollback_id)
            for decision in self._decisions
            if decision.action is Action.ROLLBACK
            and decision.verdict is not None
            and decision.from_version == verdict.version
        ]
        end, rollback_id = max(known, default=(-math.inf, ""))
        return (rollback_id, end) if began(verdict) < end else None

    def open_intent(self, rollback_id: str) -> Decision | None:
        """Return the intent that has no outcome yet: a crash came between."""
        steps = self._of(rollback_id)
        return steps[-1] if steps and steps[-1].stage is Stage.INTENT else None

    def attempts(self, rollback_id: str) -> int:
        """Return how many intents there were."""
        return sum(d.stage is Stage.INTENT for d in self._of(rollback_id))

    def is_settled(self, rollback_id: str) -> bool:
        """Whether the rollback is over: done, or given up because a person moved the alias meanwhile.

        What was held back without an intent, and what failed, may be tried again as long as the breach lasts.
        """
        steps = self._of(rollback_id)
        if any(d.stage in {Stage.DONE, Stage.CONFIRMED} for d in steps):
            return True
        tried = False
        for decision in steps:
            if decision.stage is Stage.REFUSED and tried:
                return True
            tried = decision.stage is Stage.INTENT
        return False

    @property
    def last_rollback(self) -> Decision | None:
        """The last rollback that was made, by the monitor or by hand."""
        done = (d for d in reversed(self._decisions) if d.stage is Stage.DONE and not d.dry_run)
        return next(done, None)

    @property
    def left(self) -> frozenset[str]:
        """The versions that verdicts rolled back."""
        return frozenset(
            d.from_version
            for d in self._decisions
            if d.stage is Stage.DONE and d.verdict is not None and not d.dry_run
        )

    @property
    def breaching(self) -> frozenset[str]:
        """The versions that were left where they are although a rule that rolls back is broken, and still is."""
        return frozenset(
            told.from_version
            for told in self.open_incidents
            if told.stage is not Stage.DONE
            and told.verdict is not None
            and told.verdict.family in _OWN_FAULT
        )

    @property
    def unconfirmed(self) -> Decision | None:
        """The last rollback, if no event of its target has been seen yet."""
        last = self.last_rollback
        if last is None or self.holds(step_id(last.rollback_id, Stage.CONFIRMED)):
            return None
        return last

    @property
    def open_incidents(self) -> list[Decision]:
        """What people were told of and is not over: the last step of each rollback, or the notice of a breach."""
        found: dict[str, Decision] = {}
        for decision in self._decisions:
            if decision.stage is Stage.RESOLVED:
                found.pop(decision.rollback_id, None)
            elif decision.stage in _OPENING and not decision.dry_run and decision.verdict:
                found[decision.rollback_id] = decision
        return list(found.values())


#: What a version does to people itself; whom it meets, or what it is fed, another version would meet too.
_OWN_FAULT = frozenset({Family.FAIRNESS, Family.PREDICTION, Family.PERFORMANCE})

#: Stages that tell people of something that is to be resolved one day.
_OPENING = frozenset({Stage.NOTIFIED, Stage.DONE, Stage.REFUSED, Stage.FAILED})


def began(verdict: Verdict) -> float:
    """Return the start of the first window of the verdict's streak, seconds since 1970 UTC."""
    return (verdict.windows[0] if verdict.windows else verdict.window).start


def step_id(rollback_id: str, step: str) -> str:
    """Return the id of one step of a rollback: writing it again changes nothing.

    Examples
    --------
    >>> step_id("fe2e", Stage.DONE)
    'fe2e:done'
    """
    return f"{rollback_id}:{step}"


def next_step(before: Decision, stage: Stage, at: float, *, reason: str | None = None) -> Decision:
    """Return the step that follows on a decision's earlier one: all of it but stage, time and, if given, reason.

    Examples
    --------
    >>> from monitor.reports import Action
    >>> intent = Decision(
    ...     decision_id="fe2e:intent", rollback_id="fe2e", model="credit", from_version="2", to_version="1",
    ...     action=Action.ROLLBACK, stage=Stage.INTENT, reason="unfair", at=0.0)
    >>> done = next_step(intent, Stage.DONE, 7.0)
    >>> done.decision_id, done.at, done.reason
    ('fe2e:done', 7.0, 'unfair')
    """
    return replace(
        before,
        decision_id=step_id(before.rollback_id, stage),
        stage=stage,
        at=at,
        reason=before.reason if reason is None else reason,
    )

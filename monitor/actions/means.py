"""What acting works with."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from monitor.actions.links import NOWHERE, Places
from monitor.actions.notice import Kind, notice_of
from monitor.actions.past import Past
from monitor.actions.ports import Clock, DecisionLog, Notices, Registry
from monitor.errors import NoticeError
from monitor.policy.model import Policy
from monitor.reports import Decision

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """The outside, as one value.

    Attributes
    ----------
    policy
        Says the alias, the cooldown, and whether this is a dry run.
    notices
        Never awaited: a notifier that is away delays nothing.
    now
        The wall clock.
    places
        Where people look further: for the links in notices.
    """

    registry: Registry
    decisions: DecisionLog
    policy: Policy
    notices: Notices
    now: Clock
    places: Places = NOWHERE

    def past(self, model: str, *, fresh: bool = True) -> Past:
        """Return what was decided about a model so far."""
        return Past(self.decisions.history(model, fresh=fresh))

    def write(self, decision: Decision) -> None:
        """Put a decision on record."""
        self.decisions.append(decision)
        log.info(
            "decided",
            model=decision.model,
            version=decision.from_version,
            to=decision.to_version,
            stage=decision.stage.value,
            reason=decision.reason,
        )

    def announce(self, decision: Decision, kind: Kind, *, took: float | None = None) -> None:
        """Hand a notice in; if even that fails, whoever acts goes on."""
        try:
            began = self.past(decision.model, fresh=False).first_step(decision.rollback_id)
            self.notices.put(notice_of(decision, kind, began=began, took=took, places=self.places))
        except NoticeError as error:
            log.warning("a notice is lost", kind=kind.value, model=decision.model, error=str(error))

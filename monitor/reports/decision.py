"""What the policy made of the reports, and what was done about it."""

from __future__ import annotations

import enum

from msgspec import Struct

from monitor.events import ModelVersion
from monitor.reports.words import Action, Basis, Family, Severity, Window


class Verdict(Struct, frozen=True, kw_only=True):
    """What the policy makes of a version's last windows.

    Attributes
    ----------
    rule
        The rule that asks for the action; None if none does.
    streak
        Consecutive breaching windows of that rule, the last one included.
    windows
        Those windows, oldest first, and `values` the rule's value in each.
    harm
        For a rule on fairness: who was treated worse than whom in the newest window, in plain words.
    reason
        One sentence, also where a rule was held back: why.
    basis
        That of the reports judged: what labels began is over when labels say so.
    """

    model: str
    version: str
    window: Window
    revision: int
    severity: Severity
    action: Action
    rule: str | None = None
    family: Family | None = None
    streak: int = 0
    windows: tuple[Window, ...] = ()
    values: tuple[float, ...] = ()
    threshold: float | None = None
    groups: tuple[str, ...] = ()
    lower_bound: float | None = None
    harm: str = ""
    reason: str = ""
    findings: tuple[str, ...] = ()
    dry_run: bool = False
    policy_sha256: str | None = None
    baseline_sha256: str | None = None
    closed_at: float = 0.0
    basis: Basis = Basis.PREDICTIONS

    @property
    def subject(self) -> ModelVersion:
        """The model version judged."""
        return ModelVersion(self.model, self.version)

    @property
    def id(self) -> str:
        """The same for a rule's whole streak, however long it goes on; another once it turns severe.

        Who has acted on an id need not act on it again.
        """
        began = self.windows[0] if self.windows else self.window
        severe = ":severe" if self.severity is Severity.SEVERE else ""
        return f"{self.model}/{self.version}@{began.start:.0f}:{self.rule or 'none'}{severe}"


class Stage(enum.StrEnum):
    """How far a decision has come."""

    INTENT = "intent"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CONFIRMED = "confirmed"
    NOTIFIED = "notified"
    RECORDED = "recorded"
    RESOLVED = "resolved"


class Decision(Struct, frozen=True, kw_only=True):
    """One step of acting on a verdict, or of a person's own rollback.

    Attributes
    ----------
    rollback_id
        Hash of model, version and window: the same rollback, however often it is tried.
    at
        Seconds since 1970 UTC, wall clock.
    actor
        ``monitor`` or who typed the command.
    """

    decision_id: str
    rollback_id: str
    model: str
    from_version: str
    to_version: str | None
    action: Action
    stage: Stage
    reason: str
    at: float
    actor: str = "monitor"
    alias: str = "champion"
    verdict: Verdict | None = None
    policy_sha256: str | None = None
    dry_run: bool = False

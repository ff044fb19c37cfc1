"""What the monitor knows of a registered version, and what it writes on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.events import ModelVersion

#: ``bad`` on a version that was rolled back: no rollback ever goes to it. A person may delete the tag.
STATE_TAG = "monitor.state"
BAD = "bad"

#: On the version that was left.
ROLLED_BACK_AT_TAG = "monitor.rolled_back.at"
ROLLED_BACK_WHY_TAG = "monitor.rolled_back.why"
ROLLED_BACK_ID_TAG = "monitor.rolled_back.id"

#: On the version that was returned to.
RESTORED_AT_TAG = "monitor.restored.at"
RESTORED_FROM_TAG = "monitor.restored.from"
RESTORED_ID_TAG = "monitor.restored.id"

#: Hash of the policy in force when the baseline was made.
POLICY_TAG = "monitor.policy.sha256"

#: The alias that a person may keep on the version to go back to.
PREVIOUS_ALIAS = "previous_champion"


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version of a registered model.

    Attributes
    ----------
    number
        As the registry counts: a higher one was registered later.
    has_baseline
        Whether a baseline was approved for it.
    ready
        False while it is being registered, or if that failed.
    """

    subject: ModelVersion
    number: int
    tags: Mapping[str, str] = field(default_factory=dict)
    has_baseline: bool = False
    ready: bool = True

    @property
    def version(self) -> str:
        """Its version, as events and aliases name it."""
        return self.subject.version

    @property
    def is_bad(self) -> bool:
        """Whether it was rolled back before."""
        return self.tags.get(STATE_TAG) == BAD

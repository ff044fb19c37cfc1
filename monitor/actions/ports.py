"""What acting needs from the outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from monitor.actions.notice import Notice
from monitor.events import ModelVersion
from monitor.registry.versions import RegisteredVersion
from monitor.reports import Decision

#: Seconds since 1970 UTC.
Clock = Callable[[], float]


class Registry(Protocol):
    """Aliases and tags; each call may raise `RegistryUnavailable`: worth another try."""

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version that an alias names."""

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Let an alias name a version."""

    def versions(self, model: str) -> list[RegisteredVersion]:
        """Return the model's versions, with their tags."""

    def tag(self, version: ModelVersion, key: str, value: str) -> None:
        """Set a tag of a version."""


class DecisionLog(Protocol):
    """All decisions, in order for each model."""

    def append(self, decision: Decision) -> None:
        """Write a decision; when this returns, it is durable and was read back.

        Raises
        ------
        Fenced
            If another process decides for these models now: this one must stop.
        """

    def history(self, model: str, *, fresh: bool = True) -> Sequence[Decision]:
        """Return what was decided about a model so far, by whomever.

        Parameters
        ----------
        fresh
            Whether that must hold now, or as of a few seconds ago.
        """


class Notices(Protocol):
    """Where messages to people go; it takes them at once, and delivers them later."""

    def put(self, notice: Notice) -> None:
        """Take a notice; one with a key that was taken before is dropped."""

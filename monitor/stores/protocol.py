"""What every store does, and what its readers may count on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.reports import Basis, Decision, Report


@dataclass(frozen=True, slots=True)
class SetAside:
    """Something that the store refused for good, while the rest was written.

    Attributes
    ----------
    what
        Such as ``drift of credit/7, feature income``.
    reason
        The store's own words.
    """

    what: str
    reason: str


def in_order(reports: Iterable[Report]) -> list[Report]:
    """Return reports by the time that their windows end, oldest first."""
    return sorted(reports, key=lambda report: (report.window.end, report.model, report.version))


class ReportStore(Protocol):
    """Keeps reports and decisions; writing the same twice leaves it as writing it once."""

    def write(self, reports: Sequence[Report], decisions: Sequence[Decision]) -> list[SetAside]:
        """Keep them: of a window the report of the highest revision, of a decision each step.

        Returns
        -------
        list of SetAside
            What was refused for a fault of its own; another try would not help.

        Raises
        ------
        StoreError
            If the store does not answer, or lets nobody in: another try may help, and loses nothing.
        """

    def reports(
        self,
        model: str | None = None,
        version: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        basis: Basis = Basis.PREDICTIONS,
    ) -> list[Report]:
        """Return the newest reports, oldest first.

        Parameters
        ----------
        since, until
            Seconds since 1970 UTC that the window's end is at or after, and before.
        limit
            How many at most, at least 1.
        basis
            Those of the predictions, or those of the labels.

        Raises
        ------
        StoreError
            If the store does not answer.
        """

    def newest(self) -> list[Report]:
        """Return the newest report of every version, oldest first: also of one that is silent since long.

        Of the predictions; errors as in `reports`.
        """

    def decisions(
        self,
        model: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
    ) -> list[Decision]:
        """Return the newest steps of decisions, oldest first; parameters as for `reports`."""

    def health(self) -> None:
        """Return if the store can be read and written.

        Raises
        ------
        StoreError
            Saying what is wrong, and the fix.
        """

    def close(self) -> None:
        """Let go of files and connections."""

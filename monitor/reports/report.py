"""All that was measured of one model version in one window."""

from __future__ import annotations

from msgspec import Struct

from monitor.events import ModelVersion
from monitor.reports.distributions import Distribution
from monitor.reports.measures import (
    ColumnDrift,
    Estimate,
    FairnessMeasure,
    Finding,
    PerformanceMeasure,
)
from monitor.reports.words import Basis, Family, Severity, Status, Window


class Breach(Struct, frozen=True, kw_only=True):
    """One rule of the policy that a window breaks.

    Attributes
    ----------
    rule
        Such as ``demographic_parity_difference[race]`` or ``psi[income]``: the same in each window.
    """

    rule: str
    family: Family
    severity: Severity
    value: float
    threshold: float
    sentence: str = ""
    groups: tuple[str, ...] = ()


class Report(Struct, frozen=True, kw_only=True):
    """All that was measured of one model version in one window.

    Attributes
    ----------
    revision
        0 at first close, one more each time late events changed it.
    severity
        The gravest of what this window alone shows.
    breaches
        Rules broken at their block level, beyond chance; and slow trends, which only warn.
    suspected
        Rules whose estimate is past the block level, but within chance for this one window: they count toward a
        streak, whose merged windows decide. They are no breach, and no reason for alarm.
    distributions
        What the columns that changed most, and the answers, looked like then and now: to be shown, never judged.
    closed_at
        Arrival time of the record that closed the window, seconds since 1970 UTC: a replay closes as the first run.
        Of a labelled report when it was judged.
    offset
        Source offset up to which events are counted.
    basis
        A labelled report is another one than that of the predictions, of the same window.
    labelled
        How many of the window's predictions have a label; `performance` is about them.
    estimate
        Of the accuracy, before labels come.
    traces
        Trace ids (W3C) of its first few events that a trace was kept of: from a window to requests in it.
    """

    model: str
    version: str
    window: Window
    revision: int
    status: Status
    severity: Severity
    n: int
    n_reference: int
    drift: tuple[ColumnDrift, ...] = ()
    prediction_drift: tuple[ColumnDrift, ...] = ()
    fairness: tuple[FairnessMeasure, ...] = ()
    quality: tuple[Finding, ...] = ()
    breaches: tuple[Breach, ...] = ()
    suspected: tuple[Breach, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    baseline_sha256: str | None = None
    policy_sha256: str | None = None
    closed_at: float = 0.0
    partition: int = -1
    offset: int = -1
    basis: Basis = Basis.PREDICTIONS
    labelled: int = 0
    performance: tuple[PerformanceMeasure, ...] = ()
    estimate: Estimate | None = None
    traces: tuple[str, ...] = ()

    @property
    def coverage(self) -> float:
        """Share of the window's predictions that have a label, in [0, 1]."""
        return self.labelled / self.n if self.n else 0.0

    @property
    def subject(self) -> ModelVersion:
        """The model version reported on."""
        return ModelVersion(self.model, self.version)

    @property
    def id(self) -> str:
        """The same for each revision of the same window, on the same basis."""
        on = "#labelled" if self.basis is Basis.LABELLED else ""
        return f"{self.model}/{self.version}@{self.window.start:.0f}-{self.window.end:.0f}{on}"

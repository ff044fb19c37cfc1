"""What was measured and what was decided: the values that leave the monitor, as JSON on Kafka and in the stores."""

from __future__ import annotations

import enum
from typing import Any

import msgspec
from msgspec import Struct

from monitor.events import ModelVersion


class Severity(enum.StrEnum):
    """How far a measure, or a window, is past its policy."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    INSUFFICIENT = "insufficient"
    WARN = "warn"
    BLOCK = "block"
    SEVERE = "severe"


class Family(enum.StrEnum):
    """What kind of thing went wrong; it decides what may be done about it."""

    FAIRNESS = "fairness"
    PREDICTION = "prediction"
    PERFORMANCE = "performance"
    DRIFT = "drift"
    QUALITY = "quality"
    TREND = "trend"


class Status(enum.StrEnum):
    """Whether a window could be judged."""

    OK = "ok"
    INSUFFICIENT = "insufficient"
    NO_BASELINE = "no_baseline"


class Basis(enum.StrEnum):
    """What a report rests on: the predictions as they come, or what turned out to be true of them."""

    PREDICTIONS = "predictions"
    LABELLED = "labelled"


class Action(enum.StrEnum):
    """What a verdict asks for."""

    NONE = "none"
    RECORD = "record"
    NOTIFY = "notify"
    ROLLBACK = "rollback"


class Window(Struct, frozen=True, order=True):
    """A span of event time, in seconds since 1970 UTC: from `start` to just before `end`."""

    start: float
    end: float

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.start


class ColumnDrift(Struct, frozen=True, kw_only=True):
    """How far one column is from its baseline. A measure that does not apply is None.

    Attributes
    ----------
    psi
        Population stability index after half counts and pooling, less its expectation under no drift, nats, >= 0.
    psi_plain
        The index as other tools compute it, unsmoothed where both sides have the bin.
    ks, p_value
        Kolmogorov-Smirnov distance in [0, 1]; the p-value of the column's one test: KS for numbers, chi-squared
        for labels, the mean discrepancy for vectors.
    js
        Jensen-Shannon distance, base 2, in [0, 1].
    wasserstein
        In baseline standard deviations; numbers only.
    chi2
        Chi-squared statistic of the two samples' labels; labels only.
    hellinger, total_variation, l_infinity
        In [0, 1].
    mmd
        Maximum mean discrepancy above its expectation under no drift, in [0, sqrt(2)]; vectors only.
    missing_reference, missing_current, unseen, out_of_range
        Shares in [0, 1].
    significant
        Whether the p-value stands after false-discovery control over the window's columns.
    smallest_effect
        The smallest PSI above noise (of vectors, mean discrepancy) that a window of this size would have shown as
        significant.
    others
        Measures of third parties, by name; nothing alarms by them.
    """

    feature: str
    kind: str
    psi: float | None = None
    psi_plain: float | None = None
    ks: float | None = None
    p_value: float | None = None
    js: float | None = None
    wasserstein: float | None = None
    chi2: float | None = None
    hellinger: float | None = None
    total_variation: float | None = None
    l_infinity: float | None = None
    mmd: float | None = None
    missing_reference: float | None = None
    missing_current: float | None = None
    unseen: float | None = None
    out_of_range: float | None = None
    significant: bool = False
    smallest_effect: float | None = None
    others: dict[str, float] = {}
    severity: Severity = Severity.PASS


class GroupRate(Struct, frozen=True, kw_only=True):
    """One group's people and how the model treats them.

    Attributes
    ----------
    n
        How many predictions.
    selection_rate
        Share of favourable answers, in [0, 1]; for a regression the mean answer.
    mean_error, mean_absolute_error
        Of a regression's labelled people, answer less truth, in the answer's unit.
    judged
        False for a group under the policy's minimum size: shown, in the totals, never judged alone.
    """

    n: int
    selection_rate: float | None = None
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None
    precision: float | None = None
    accuracy: float | None = None
    calibration_error: float | None = None
    mean_error: float | None = None
    mean_absolute_error: float | None = None
    labelled: int = 0
    judged: bool = True


class FairnessMeasure(Struct, frozen=True, kw_only=True):
    """A difference or ratio between groups.

    Attributes
    ----------
    attributes
        The protected attributes; more than one for an intersection.
    metric
        Such as ``demographic_parity_difference``.
    value
        Differences and ratios in [0, 1]; None where fewer than two groups are large enough.
    lower, upper
        Simultaneous interval over the pairs of groups; in a report, over its other measures too.
    baseline
        The same measure of the reference data, for the same pair of groups.
    excess, excess_lower
        The largest gap over the baseline's gap of the same pair, and its simultaneous lower bound.
    highest, lowest
        The two groups that the value compares.
    groups
        Each group's numbers, by name; names of an intersection join values with `` & ``.
    """

    attributes: tuple[str, ...]
    metric: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None
    excess: float | None = None
    excess_lower: float | None = None
    highest: str | None = None
    lowest: str | None = None
    groups: dict[str, GroupRate] = {}
    severity: Severity = Severity.PASS


class PerformanceMeasure(Struct, frozen=True, kw_only=True):
    """How right the answers were, by the labels that are known.

    Attributes
    ----------
    metric
        Such as ``accuracy`` or ``brier``; with more than two answers, precision and recall end in ``[answer]``.
    n
        How many labelled predictions it is about.
    value, lower, upper
        With its limits, all judged measures of the window at once; None where it is not defined.
    baseline
        The same of the reference data.
    loss, loss_lower
        How much worse than the baseline, above 0 for worse, and its lower limit. Points for shares; a share of the
        baseline for log loss, Brier, and a regression's errors.
    attributes, group
        Empty for everybody.
    """

    metric: str
    n: int
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None
    loss: float | None = None
    loss_lower: float | None = None
    attributes: tuple[str, ...] = ()
    group: str | None = None
    severity: Severity = Severity.PASS


class Estimate(Struct, frozen=True, kw_only=True):
    """What the accuracy would be if scores still meant what they meant in the reference data: no measurement.

    It is blind to a fault that leaves the scores sure of themselves, and no rule looks at it.

    Attributes
    ----------
    accuracy
        Expected share of right answers; None where it is withheld.
    reference
        The same method on the reference data.
    withheld
        Why there is none.
    """

    accuracy: float | None = None
    reference: float | None = None
    withheld: str | None = None


class Finding(Struct, frozen=True, kw_only=True):
    """Something about the data's quality, in words: what, where, among whom, how much.

    Attributes
    ----------
    check
        Such as ``zero_surge``, ``missing_surge``, ``constant``, ``unseen``.
    share, baseline_share
        In [0, 1], of the group concerned.
    """

    check: str
    feature: str
    share: float
    baseline_share: float
    group: dict[str, str] = {}
    sentence: str = ""
    severity: Severity = Severity.WARN


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


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A record that could not be counted, with its reason and its bytes.

    Attributes
    ----------
    field
        What was at fault: a path such as ``features.age``, or ``$``.
    value
        The original bytes, whole (base64 in JSON).
    """

    topic: str
    partition: int
    offset: int
    field: str
    reason: str
    at: float
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


# Each type is made ready here, in the thread that imports, and not in whichever uses it first: see decision 040.
for _type in (Report, Verdict, Decision, DeadLetter):
    msgspec.json.Decoder(_type)


def encode(value: Struct) -> bytes:
    """Return the value as JSON; NaN and infinities never occur in it: a measure without a number is null."""
    return msgspec.json.encode(value)


def as_dict(value: Struct) -> dict[str, Any]:
    """Return the value as plain dicts, lists and scalars."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain

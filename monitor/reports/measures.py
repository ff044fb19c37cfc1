"""What is measured of a window: drift, fairness, performance, and the quality of its data."""

from __future__ import annotations

from msgspec import Struct

from monitor.reports.words import Severity


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
    warn, block
        The policy's levels that `psi` (of vectors, `mmd`) was judged by.
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
    warn: float | None = None
    block: float | None = None
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
    warn, block
        The policy's levels that it was judged by; of a ratio the one that it must not be below.
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
    warn: float | None = None
    block: float | None = None
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

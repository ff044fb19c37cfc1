"""All columns of a window against those of its baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.errors import EmptyWindow, LayoutMismatch
from monitor.metrics.drift import chi_squared, ks, mmd
from monitor.metrics.drift.comparison import Comparison
from monitor.metrics.drift.family import METRICS
from monitor.metrics.drift.psi import smallest_index
from monitor.metrics.drift.shares import missing_share
from monitor.metrics.false_discovery import discoveries
from monitor.metrics.protocol import NO_OTHERS
from monitor.profiles.layout import Kind
from monitor.reports import ColumnDrift

if TYPE_CHECKING:
    from monitor.metrics.protocol import DriftMetric
    from monitor.profiles.layout import Column
    from monitor.profiles.profile import Profile, Sketch

Drift = tuple[ColumnDrift, ...]
_Triple = tuple["Column", "Sketch", "Sketch"]


def measure_drift(
    reference: Profile,
    current: Profile,
    *,
    q: float,
    others: Mapping[str, DriftMetric] = NO_OTHERS,
) -> tuple[Drift, Drift]:
    """Measure every column, and say which have drifted beyond chance.

    Parameters
    ----------
    reference, current
        The baseline's profile and the window's, of one layout.
    q
        Rate of false discoveries allowed among the features, and among score and prediction, in (0, 1).
    others
        Third parties' metrics by name, measured beside the package's own.

    Returns
    -------
    features, prediction
        In the layout's order; `prediction` is the score, if there is one, and the prediction. Severities are
        left at pass: grading is the policy's. A column without a value on either side has its missing shares only.

    Raises
    ------
    LayoutMismatch
        If the profiles do not describe the same columns.
    """
    if reference.layout is not current.layout and reference.layout != current.layout:
        msg = "the window's columns are not those of the baseline"
        raise LayoutMismatch(msg, fix="Compare a window with the baseline of its own version.")
    columns = list(zip(reference.layout.columns, reference.sketches, current.sketches, strict=True))
    features = len(reference.layout.features)
    # Values near the largest double overflow in sums; a measure that is not finite is reported as None.
    with np.errstate(over="ignore", invalid="ignore"):
        return _family(columns[:features], q, others), _family(columns[features:], q, others)


def _family(columns: Sequence[_Triple], q: float, others: Mapping[str, DriftMetric]) -> Drift:
    """Measure the columns among which false discoveries are controlled together."""
    comparisons = [_compare(old, new) for _, old, new in columns]
    measures = [
        _measures(column.kind, comparison, others)
        for (column, _, _), comparison in zip(columns, comparisons, strict=True)
    ]
    p_values = [measured["p_value"] for measured in measures if measured]
    stands = iter(discoveries(p_values, q).tolist())
    alone = q / max(len(p_values), 1)
    return tuple(
        ColumnDrift(
            feature=column.name,
            kind=column.kind.value,
            missing_reference=missing_share(old, comparison.n if comparison else None),
            missing_current=missing_share(new, comparison.m if comparison else None),
            significant=comparison is not None and next(stands),
            smallest_effect=_smallest(column.kind, comparison, alone) if comparison else None,
            **measured,
        )
        for (column, old, new), comparison, measured in zip(
            columns, comparisons, measures, strict=True
        )
    )


_TESTS: Mapping[Kind, Callable[[Comparison], float]] = {
    Kind.NUMERIC: ks.p_value,
    Kind.CATEGORICAL: chi_squared.p_value,
    Kind.BOOLEAN: chi_squared.p_value,
    Kind.EMBEDDING: mmd.p_value,
}


def _smallest(kind: Kind, column: Comparison, level: float) -> float | None:
    smallest = mmd.smallest_discrepancy if kind is Kind.EMBEDDING else smallest_index
    return smallest(column, level=level)


def _compare(expected: Sketch, observed: Sketch) -> Comparison | None:
    try:
        return Comparison(expected, observed)
    except EmptyWindow:
        return None


def _measures(
    kind: Kind, column: Comparison | None, others: Mapping[str, DriftMetric]
) -> dict[str, Any]:
    """Return the column's one p-value and every measure that applies, under their fields' names."""
    if column is None:
        return {}
    test = _TESTS[kind]
    known = {name: value for name, value in _applied(others, kind, column) if value is not None}
    return {"p_value": test(column), **dict(_applied(METRICS, kind, column)), "others": known}


def _applied(
    metrics: Mapping[str, DriftMetric], kind: Kind, column: Comparison
) -> Iterator[tuple[str, float | None]]:
    for name, metric in metrics.items():
        if metric.applies(kind):
            value = metric.measure(column)
            yield name, value if value is not None and math.isfinite(value) else None

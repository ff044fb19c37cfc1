"""All columns of a window against those of its baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.errors import EmptyWindow, LayoutMismatch
from monitor.metrics.drift import chi_squared, ks, mmd
from monitor.metrics.drift.comparison import Comparison
from monitor.metrics.drift.family import METRICS
from monitor.metrics.drift.psi import smallest_index
from monitor.metrics.drift.shares import missing_share
from monitor.metrics.drift.stack import Stack, stacks
from monitor.metrics.false_discovery import discoveries
from monitor.metrics.frozen import FrozenColumn, frozen_columns
from monitor.metrics.protocol import NO_OTHERS
from monitor.profiles.layout import Kind
from monitor.reports import ColumnDrift

if TYPE_CHECKING:
    from monitor.metrics.protocol import DriftMetric, Number
    from monitor.profiles.layout import Column
    from monitor.profiles.profile import Profile, Sketch

Drift = tuple[ColumnDrift, ...]
_Triple = tuple["Column", FrozenColumn, "Sketch"]


def measure_drift(
    reference: Profile,
    current: Profile,
    *,
    q: float,
    others: Mapping[str, DriftMetric] = NO_OTHERS,
    frozen: Sequence[FrozenColumn] | None = None,
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
    frozen
        The reference's columns, if they were made for an earlier window.

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
    known = frozen or frozen_columns(reference)
    columns = list(zip(reference.layout.columns, known, current.sketches, strict=True))
    features = len(reference.layout.features)
    # Values near the largest double overflow in sums; a measure that is not finite is reported as None.
    with np.errstate(over="ignore", invalid="ignore"):
        return _family(columns[:features], q, others), _family(columns[features:], q, others)


def _family(columns: Sequence[_Triple], q: float, others: Mapping[str, DriftMetric]) -> Drift:
    """Measure the columns among which false discoveries are controlled together."""
    comparisons = [_compare(old, new) for _, old, new in columns]
    asked = {
        number: comparison
        for number, comparison in enumerate(comparisons)
        if comparison is not None
    }
    alone = q / max(len(asked), 1)
    measures: dict[int, dict[str, Any]] = {}
    for numbers, stack in stacks(asked.items()):
        measures |= zip(numbers, _measures_of_all(stack, alone), strict=True)
    for number, comparison in asked.items():
        kind = columns[number][0].kind
        if number not in measures:
            measures[number] = _measures(kind, comparison, alone)
        if others:
            measures[number]["others"] = _theirs(others, kind, comparison)
    numbers = sorted(measures)
    stands = discoveries([measures[number]["p_value"] for number in numbers], q).tolist()
    significant = dict(zip(numbers, stands, strict=True))
    return tuple(
        ColumnDrift(
            feature=column.name,
            kind=column.kind.value,
            missing_reference=missing_share(old.sketch, old.n),
            missing_current=missing_share(new, comparison.m if comparison else None),
            significant=significant.get(number, False),
            **measures.get(number, {}),
        )
        for number, ((column, old, new), comparison) in enumerate(
            zip(columns, comparisons, strict=True)
        )
    )


_TESTS: Mapping[Kind, Callable[[Comparison], Number]] = {
    Kind.NUMERIC: ks.p_value,
    Kind.CATEGORICAL: chi_squared.p_value,
    Kind.BOOLEAN: chi_squared.p_value,
    Kind.EMBEDDING: mmd.p_value,
}


def _compare(column: FrozenColumn, observed: Sketch) -> Comparison | None:
    try:
        return Comparison(column.sketch, observed, column)
    except EmptyWindow:
        return None


def _measures(kind: Kind, column: Comparison, alone: float) -> dict[str, Any]:
    """Return the column's one p-value and every measure that applies, under their fields' names."""
    smallest = mmd.smallest_discrepancy if kind is Kind.EMBEDDING else smallest_index
    return {
        "p_value": float(_TESTS[kind](column)),
        "smallest_effect": _finite(smallest(column, level=alone)),
        **{
            name: _finite(metric.measure(column))
            for name, metric in METRICS.items()
            if metric.applies(kind)
        },
    }


def _measures_of_all(stack: Stack, alone: float) -> list[dict[str, Any]]:
    """Return the same as `_measures` of each of the stack's columns."""
    numbers: dict[str, list[float]] = {
        "p_value": ks.p_value(stack).tolist(),
        "smallest_effect": smallest_index(stack, level=alone).tolist(),
        **{
            name: metric.measure_all(stack)
            for name, metric in METRICS.items()
            if metric.applies(Kind.NUMERIC)
        },
    }
    return [
        dict(zip(numbers, map(_finite, column), strict=True))
        for column in zip(*numbers.values(), strict=True)
    ]


def _theirs(others: Mapping[str, DriftMetric], kind: Kind, column: Comparison) -> dict[str, float]:
    measured = {
        name: _finite(metric.measure(column))
        for name, metric in others.items()
        if metric.applies(kind)
    }
    return {name: value for name, value in measured.items() if value is not None}


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None

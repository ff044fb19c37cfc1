"""What a measure of drift is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from monitor.profiles.layout import Kind

if TYPE_CHECKING:
    from monitor.metrics.drift.comparison import Comparison
    from monitor.metrics.drift.stack import Stack

    #: A float of one column; of a stack an array of them, shape (C,). NumPy's own types say no more of a sum.
    Number: TypeAlias = Any

NUMBERS = frozenset({Kind.NUMERIC})
LABELS = frozenset({Kind.CATEGORICAL, Kind.BOOLEAN})
VECTORS = frozenset({Kind.EMBEDDING})
ALL_KINDS = NUMBERS | LABELS


@runtime_checkable
class DriftMetric(Protocol):
    """How far one column of a window is from its baseline, as one number."""

    @property
    def name(self) -> str:
        """Its key in the family's dict and its field in the report; a third party's key in ``others``."""

    def applies(self, kind: Kind) -> bool:
        """Whether columns of this kind have it."""

    def measure(self, column: Comparison) -> float | None:
        """Return the number; None where it cannot be said.

        Raises
        ------
        EmptyWindow
            If either side holds no value.
        """


#: No third party's metrics.
NO_OTHERS: Mapping[str, DriftMetric] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric of this package: a function, and what the conformance suite may expect of it.

    Attributes
    ----------
    formula
        Of a `Comparison`. That of a measure of numbers is asked of many columns at once, too: of a `Stack`, whose arrays
        have an axis more in front, so it reduces the last one. NaN or None where it cannot be said.
    upper
        Largest value; the smallest is 0.
    symmetric
        Whether labels may swap sides. (Numbers may not, nor what is pooled: cells come from the baseline.)
    """

    name: str
    formula: Callable[..., Number]
    kinds: frozenset[Kind] = ALL_KINDS
    upper: float = 1.0
    symmetric: bool = True

    def applies(self, kind: Kind) -> bool:
        """Whether columns of this kind have it."""
        return kind in self.kinds

    def measure(self, column: Comparison) -> float | None:
        """Return the number; None where it cannot be said."""
        value = self.formula(column)
        return None if value is None or math.isnan(value) else float(value)

    def measure_all(self, columns: Stack) -> list[float]:
        """Return each column's number; NaN where it cannot be said."""
        values: list[float] = np.asarray(self.formula(columns), np.float64).tolist()
        return values

"""What a measure of drift is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from monitor.profiles.layout import Kind

if TYPE_CHECKING:
    from monitor.metrics.drift.comparison import Comparison

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
    upper
        Largest value; the smallest is 0.
    symmetric
        Whether labels may swap sides. (Numbers may not, nor what is pooled: cells come from the baseline.)
    """

    name: str
    formula: Callable[[Comparison], float | None]
    kinds: frozenset[Kind] = ALL_KINDS
    upper: float = 1.0
    symmetric: bool = True

    def applies(self, kind: Kind) -> bool:
        """Whether columns of this kind have it."""
        return kind in self.kinds

    def measure(self, column: Comparison) -> float | None:
        """Return the number; None where it cannot be said."""
        return self.formula(column)

"""Measures of drift that other packages bring, by the entry point group ``monitor.metrics``.

A package offers one by naming an object that is a `DriftMetric`::

    [project.entry-points."monitor.metrics"]
    energy = "energy_distance:METRIC"

The conformance suite (tests/property/test_metrics_drift_conformance.py) runs over every metric that is installed beside
it. A metric is measured for every column that it applies to, and stands in the report beside the others. It is no rule: nothing
alarms by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import structlog

from monitor.errors import PluginError
from monitor.metrics.drift import METRICS
from monitor.metrics.protocol import DriftMetric
from monitor.profiles.layout import Kind
from monitor.reports import ColumnDrift

if TYPE_CHECKING:
    from monitor.metrics.drift.comparison import Comparison

GROUP = "monitor.metrics"

#: A name that is a key in JSON, a field in InfluxDB and a column on a screen.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

_TAKEN = METRICS.keys() | set(ColumnDrift.__struct_fields__)

log = structlog.get_logger(__name__)

OnFault = Callable[[PluginError], None]


def refuse(fault: PluginError) -> None:
    """Stop at a measure that fails: at the desk a person is there to see it."""
    raise fault


def report_fault(fault: PluginError) -> None:
    """Go on without a measure that fails: a guest must not end the monitoring of a model."""
    log.warning("a third party's metric failed", fault=str(fault))


@dataclass(frozen=True, slots=True)
class ThirdParty:
    """A metric of another package, whose faults stay its own.

    Attributes
    ----------
    on_fault
        What to do when it raises, or gives what is no number; the measure is then None.
    """

    metric: DriftMetric
    on_fault: OnFault

    @property
    def name(self) -> str:
        """Its key among a column's other measures."""
        return self.metric.name

    def applies(self, kind: Kind) -> bool:
        """Whether columns of this kind have it."""
        return self.metric.applies(kind)

    def measure(self, column: Comparison) -> float | None:
        """Return the number; None where it cannot be said."""
        try:
            value = self.metric.measure(column)
            return None if value is None else float(value)
        except Exception as error:  # noqa: BLE001 - another's code may raise anything; it is told, never swallowed
            fault = PluginError(
                f"the metric failed: {type(error).__name__}: {error}",
                where=self.name,
                fix="Mend its package, or uninstall it.",
            )
            fault.__cause__ = error
            self.on_fault(fault)
            return None


def load_metrics(
    on_fault: OnFault = refuse, points: Iterable[EntryPoint] | None = None
) -> Mapping[str, DriftMetric]:
    """Return the measures that installed packages offer, by name.

    Parameters
    ----------
    on_fault
        What to do when one fails while it measures.
    points
        The entry points; None takes those of the packages that are installed.

    Raises
    ------
    PluginError
        If one cannot be imported, is no `DriftMetric`, or has a name that is taken.
    """
    found: dict[str, DriftMetric] = {}
    offered = entry_points(group=GROUP) if points is None else points
    for point in sorted(offered, key=lambda point: (point.name, point.value)):
        metric = _checked(point)
        if metric.name in found or metric.name in _TAKEN:
            raise PluginError(
                f"the name {metric.name} is taken",
                where=_where(point),
                fix="Give the metric another name, or uninstall one of the two packages.",
            )
        found[metric.name] = ThirdParty(metric, on_fault)
    return found


def _checked(point: EntryPoint) -> DriftMetric:
    try:
        metric = point.load()
    except Exception as error:
        raise PluginError(
            f"it cannot be imported: {type(error).__name__}: {error}",
            where=_where(point),
            fix="Install what it needs, or uninstall its package.",
        ) from error
    if isinstance(metric, type) or not isinstance(metric, DriftMetric):
        raise PluginError(
            "it is no metric: an object with `name`, `applies` and `measure` is expected",
            where=_where(point),
            fix="Let the entry point name an instance; see monitor/metrics/protocol.py.",
        )
    if not _NAME.fullmatch(str(metric.name)):
        raise PluginError(
            f"the name {metric.name!r} cannot stand in a report",
            where=_where(point),
            fix="Use small letters, digits and underscores, a letter first.",
        )
    return metric


def _where(point: EntryPoint) -> str:
    package = f" of {point.dist.name}" if point.dist else ""
    return f"entry point {point.name} = {point.value}{package}"

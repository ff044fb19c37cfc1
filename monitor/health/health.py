"""The series of one process: what each is called, and what it means."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.events import ModelVersion
from monitor.health.pulse import Pulse

# When a counter began is of no use to anybody here, and doubles the series.
disable_created_metrics()  # type: ignore[no-untyped-call]

#: Seconds from a breach to the alias: seconds at best, an hour where a registry was away.
_LATENCIES = (1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)


@dataclass(frozen=True, slots=True)
class PartitionHealth:
    """How a source partition is, as its owner saw it last.

    Attributes
    ----------
    lag
        Records published and not yet counted.
    open_windows
        Windows under way, of all versions.
    watermarks
        Of each version with a window under way, seconds of event time.
    unwritten_since
        Wall clock since when something is counted and not on Kafka; None if nothing is.
    waiting
        Whether it waits for the registry.
    """

    lag: int = 0
    open_windows: int = 0
    watermarks: Mapping[ModelVersion, float] = field(default_factory=dict)
    unwritten_since: float | None = None
    waiting: bool = False


class Health:
    """Where the parts of one process say how they are.

    Parameters
    ----------
    now
        Wall clock, seconds since 1970 UTC.

    Examples
    --------
    >>> health = Health()
    >>> health.events.labels("0", "counted").inc(3)
    >>> health.registry.get_sample_value("monitor_events_total", {"partition": "0", "outcome": "counted"})
    3.0
    >>> health.pulse("sink").ready()
    >>> health.waits_for, health.hangs
    ({}, {})
    """

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._pulses: dict[str, Pulse] = {}
        self._partitions: dict[int, Callable[[], PartitionHealth]] = {}
        self.registry = registry = CollectorRegistry()
        self.events = Counter(
            "monitor_events",
            "Records of a source partition by what became of them, once that is on Kafka.",
            ["partition", "outcome"],
            registry=registry,
        )
        self.reports = Counter(
            "monitor_reports", "Reports written, revisions too.", ["partition"], registry=registry
        )
        self.decision_latency = Histogram(
            "monitor_decision_latency_seconds",
            "From the close of the window that made the streak whole to the alias being moved.",
            buckets=_LATENCIES,
            registry=registry,
        )
        self.verdicts_held = Gauge(
            "monitor_verdicts_held", "Verdicts that wait for the registry.", registry=registry
        )
        self.notices_waiting = Gauge(
            "monitor_notices_waiting",
            "Notices that no channel has taken yet.",
            registry=registry,
        )
        self.backlog = Gauge(
            "monitor_backlog_records",
            "Records of a topic that the sink, or the archive, has not written yet.",
            ["part", "topic", "partition"],
            registry=registry,
        )
        self.written = Counter(
            "monitor_written",
            "What the sink, or the archive, has written.",
            ["part", "what"],
            registry=registry,
        )
        self.waits = Counter(
            "monitor_waits",
            "How often the sink, or the archive, had to wait for its store.",
            ["part"],
            registry=registry,
        )
        self.set_aside = Counter(
            "monitor_set_aside",
            "Points that the store refused for good, and messages that nobody can read.",
            ["part"],
            registry=registry,
        )
        registry.register(_Now(self))

    def pulse(self, part: str) -> Pulse:
        """Return the pulse of a part of this process; asked for again, the same."""
        return self._pulses.setdefault(part, Pulse(part))

    def watch(self, partition: int, look: Callable[[], PartitionHealth]) -> None:
        """Show a source partition from now on."""
        self._partitions[partition] = look

    def forget(self, partition: int) -> None:
        """Show it no more: another worker does."""
        self._partitions.pop(partition, None)

    @property
    def waits_for(self) -> dict[str, str]:
        """What each part that is not ready waits for, by part."""
        pulses = list(self._pulses.values())
        return {pulse.part: pulse.waits_for for pulse in pulses if pulse.waits_for}

    @property
    def hangs(self) -> dict[str, float]:
        """Seconds since the last beat of each part that hangs."""
        return {pulse.part: pulse.age for pulse in list(self._pulses.values()) if pulse.hangs}

    def collect(self) -> Iterator[Metric]:
        """Yield what is not counted but looked at: how partitions and parts are now."""
        seen = {str(partition): look() for partition, look in list(self._partitions.items())}
        yield _gauge(
            "monitor_lag_records",
            "Records published and not yet counted.",
            "partition",
            {partition: state.lag for partition, state in seen.items()},
        )
        yield _gauge(
            "monitor_open_windows",
            "Windows under way, of all versions.",
            "partition",
            {partition: state.open_windows for partition, state in seen.items()},
        )
        yield _gauge(
            "monitor_snapshot_age_seconds",
            "Since when something is counted and not on Kafka; 0 while nothing is.",
            "partition",
            {
                partition: max(self._now() - (state.unwritten_since or self._now()), 0.0)
                for partition, state in seen.items()
            },
        )
        yield _gauge(
            "monitor_partition_waiting",
            "1 while a partition waits for the registry.",
            "partition",
            {partition: state.waiting for partition, state in seen.items()},
        )
        delay = GaugeMetricFamily(
            "monitor_watermark_delay_seconds",
            "How far a version with a window under way is behind the clock, in event time.",
            labels=["model", "version"],
        )
        for state in seen.values():
            for (model, version), watermark in state.watermarks.items():
                delay.add_metric([model, version], self._now() - watermark)
        yield delay
        pulses = list(self._pulses.values())
        yield _gauge(
            "monitor_ready",
            "1 while a part of this process can do its work.",
            "part",
            {pulse.part: not pulse.waits_for for pulse in pulses},
        )
        yield _gauge(
            "monitor_beat_age_seconds",
            "Since a part's loop last went round.",
            "part",
            {pulse.part: pulse.age for pulse in pulses},
        )


class _Now(Collector):
    """What is looked at when it is asked for."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        return self._health.collect()

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _gauge(name: str, about: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=[label])
    for of, value in values.items():
        family.add_metric([of], float(value))
    return family

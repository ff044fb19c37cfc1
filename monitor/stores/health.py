"""The monitor's own series in InfluxDB, where Grafana's dashboard and dead-man rule read them.

::

    measurement      tags                                          fields
    monitor_health   host, and part | partition | part, topic,     lag_records, open_windows, snapshot_age_seconds,
                     partition | partition, outcome | model,       ready, backlog_records, events_total, ...: the names
                     version                                       of /metrics, less their ``monitor_``
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, Self

import structlog
from prometheus_client.core import Metric

from monitor.errors import StoreError
from monitor.health import Health
from monitor.stores.points import Point, nanoseconds, tag

log = structlog.get_logger(__name__)

MEASUREMENT = "monitor_health"

_PREFIX = "monitor_"


class PointStore(Protocol):
    """Where points go; `InfluxStore` is one."""

    def write_points(self, points: Sequence[Point]) -> None:
        """Write points."""

    def close(self) -> None:
        """Let go of connections."""


def health_points(metrics: Iterable[Metric], *, host: str, at: float) -> list[Point]:
    """Return the series as points; those with the same labels are one point.

    Of a histogram its sum and count are kept. What is not a number, now, is left out.

    Parameters
    ----------
    at
        Seconds since 1970 UTC.

    Examples
    --------
    >>> health = Health()
    >>> health.pulse("sink").ready()
    >>> points = health_points(health.registry.collect(), host="a", at=0.0)
    >>> [point["fields"]["ready"] for point in points if point["tags"].get("part") == "sink"]
    [1.0]
    """
    fields: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for metric in metrics:
        for sample in metric.samples:
            if sample.name.endswith("_bucket") or not math.isfinite(sample.value):
                continue
            labels = tuple(sorted(sample.labels.items()))
            name = sample.name.removeprefix(_PREFIX)
            fields.setdefault(labels, {})[name] = float(sample.value)
    return [
        Point(
            measurement=MEASUREMENT,
            tags={"host": tag(host)} | {name: tag(value) for name, value in labels},
            fields=dict(values),
            time=nanoseconds(at),
        )
        for labels, values in fields.items()
    ]


class HealthWriter:
    """Writes a process's series every so many seconds, in a thread of its own.

    What cannot be written is not kept: the next ones say more. Silence is for the dead-man rule to notice.

    Parameters
    ----------
    seconds
        Between two points.
    now
        Wall clock, seconds since 1970 UTC.
    """

    def __init__(
        self,
        health: Health,
        store: PointStore,
        *,
        seconds: float,
        host: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._health, self._store, self._seconds = health, store, seconds
        self._host = host or socket.gethostname()
        self._now = now
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health points", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def write(self) -> None:
        """Write the series as they are now; a store that does not answer is said once."""
        metrics = self._health.registry.collect()
        points = health_points(metrics, host=self._host, at=self._now())
        try:
            self._store.write_points(points)
        except StoreError as error:
            if not self._failing:
                log.warning("how the monitor is cannot be written", why=str(error))
            self._failing = True
        else:
            self._failing = False

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self.write()
        self._store.close()

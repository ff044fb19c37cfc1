"""A process's health with something in every series."""

from __future__ import annotations

from monitor.events import ModelVersion
from monitor.health import Health, PartitionHealth


def busy_health(now: float = 1000.0, *, model: str = "credit", backlog: int = 12) -> Health:
    """One partition that lags and waits, and a sink with a backlog."""
    made = Health(now=lambda: now)
    made.watch(
        3,
        lambda: PartitionHealth(
            lag=7,
            open_windows=2,
            watermarks={ModelVersion(model, "1"): now - 60},
            unwritten_since=now - 2,
            waiting=True,
        ),
    )
    made.events.labels("3", "counted").inc(100)
    made.events.labels("3", "dead_letters").inc(5)
    made.reports.labels("3").inc(2)
    made.decision_latency.observe(3.5)
    made.verdicts_held.set(1)
    made.notices_waiting.set(1)
    made.backlog.labels("sink", "reports", "0").set(backlog)
    made.written.labels("sink", "reports").inc(3)
    made.waits.labels("sink").inc()
    made.set_aside.labels("sink").inc()
    for part in ("stream", "sink", "actor"):
        made.pulse(part).ready()
    return made

"""Monitor itself: whether it lives and keeps up, as its own series and the windows that it wrote tell."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as board

from grafana import flux
from grafana.frame import ITSELF, new_dashboard
from grafana.panels import Column, bar_panel, line_panel, table_panel

#: What `monitor.stores.health` writes.
_HEALTH = "monitor_health"

_NAME = "${__field.labels.model}/${__field.labels.version}"
_PARTITION = "${__field.labels.partition}"


def itself() -> board.Dashboard:
    """Return the dashboard of the monitor's own health."""
    about = (
        "What the monitor says of itself every few seconds, and what the written windows tell of it. "
        "Its /metrics has the same series, for Prometheus."
    )
    made = new_dashboard(ITSELF, about)
    for panel in (
        _parts(),
        _silence(),
        _lag(),
        _watermarks(),
        _letters(),
        _backlog(),
        _snapshots(),
        _latency(),
        _delay(),
        _statuses(),
        _revisions(),
    ):
        made.with_panel(panel.span(12).height(9))
    return made


def _parts() -> Any:
    query = flux.last_rows(
        _HEALTH, ("ready", "beat_age_seconds"), ("host", "part"), by=("host", "part")
    )
    columns = {
        "part": Column("part"),
        "host": Column("on"),
        "_time": Column("last heard of", "dateTimeFromNow"),
        "ready": Column("ready"),
        "beat_age_seconds": Column("its loop went round", "s"),
    }
    about = "Each part of each process. One that is not ready waits: its /readyz says for what."
    return table_panel("Parts", query, columns, about=about)


def _lag() -> Any:
    query = flux.lines(_HEALTH, "lag_records", "partition")
    about = "Records published and not yet counted, by source partition."
    return line_panel("Lag", query, about=about, name=_PARTITION, unit="short")


def _watermarks() -> Any:
    query = flux.lines(_HEALTH, "watermark_delay_seconds", "model", "version")
    about = "How far a version with a window under way is behind the clock, in event time."
    return line_panel("Watermark delay", query, about=about, name=_NAME, unit="s")


def _letters() -> Any:
    query = flux.pipe(
        flux.read(_HEALTH, "events_total", where='r.outcome == "dead_letters"'),
        # A worker that was started again counts from nought.
        "increase()",
        'group(columns: ["partition"])',
        flux.per_point(),
        'keep(columns: ["_time", "_value", "partition"])',
    )
    about = "Records set aside with a reason since the left edge: topic dead-letters has them, bytes and all."
    return line_panel("Dead letters", query, about=about, name=_PARTITION, unit="short")


def _backlog() -> Any:
    query = flux.lines(_HEALTH, "backlog_records", "part", "topic")
    about = "Records of the topics that the sink, or the archive, has not written to its store yet."
    return line_panel(
        "Sink backlog",
        query,
        about=about,
        name="${__field.labels.part}: ${__field.labels.topic}",
        unit="short",
    )


def _snapshots() -> Any:
    query = flux.lines(_HEALTH, "snapshot_age_seconds", "partition")
    about = "Since when something is counted and not on Kafka. Growing: nothing can be written."
    return line_panel("Age of the snapshot", query, about=about, name=_PARTITION, unit="s")


def _latency() -> Any:
    query = flux.pipe(
        flux.read(_HEALTH, "decision_latency_seconds_sum"),
        'group(columns: ["host"])',
        flux.per_point(),
        'keep(columns: ["_time", "_value", "host"])',
    )
    about = (
        "From the close of the window that made a streak whole to the alias being moved, "
        "added up over the rollbacks of a process: a step is a rollback, its height the seconds."
    )
    name = "${__field.labels.host}"
    return line_panel("Decision latency", query, about=about, name=name, unit="s")


def _silence() -> Any:
    query = flux.last_rows(
        "windows", ("n", "status"), ("model", "version"), by=("model", "version")
    )
    columns = {
        "model": Column("model"),
        "version": Column("version"),
        "_time": Column("newest window ended", "dateTimeFromNow"),
        "status": Column("could be judged"),
        "n": Column("predictions", "short"),
    }
    about = "A version that serves and has no new window is not watched."
    return table_panel("How long silent", query, columns, about=about)


def _delay() -> Any:
    query = flux.pipe(
        flux.read("windows", "closed_at"),
        "map(fn: (r) => ({r with _value: r._value - float(v: int(v: r._time)) / 1000000000.0}))",
        'group(columns: ["model", "version"])',
        flux.per_point(),
        'keep(columns: ["_time", "_value", "model", "version"])',
    )
    about = "From a window's end until it was closed. Steady is the policy's grace; growing is lag."
    return line_panel("Delay of closing", query, about=about, name=_NAME, unit="s")


def _statuses() -> Any:
    query = flux.pipe(
        flux.read("windows", "status"),
        "map(fn: (r) => ({_time: r._time, status: r._value, _value: 1}))",
        'group(columns: ["status"])',
        flux.per_point("sum"),
        'keep(columns: ["_time", "_value", "status"])',
    )
    about = (
        "Windows by whether they could be judged: too few events, or no baseline, is not judged."
    )
    return bar_panel("Windows", query, about=about, name="${__field.labels.status}")


def _revisions() -> Any:
    query = flux.lines("windows", "revision", "model", "version")
    about = "How often late events changed a report after its window had closed."
    return line_panel("Revisions", query, about=about, name=_NAME)

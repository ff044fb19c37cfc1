"""Monitor itself: whether it keeps up, as far as the windows that it wrote can tell."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as board

from grafana import flux
from grafana.frame import ITSELF, new_dashboard
from grafana.panels import Column, bar_panel, line_panel, table_panel

_NAME = "${__field.labels.model}/${__field.labels.version}"


def itself() -> board.Dashboard:
    """Return the dashboard of the monitor's own health."""
    about = (
        "What the written windows tell about the monitor. What it does not write is not here: "
        "consumer lag and dead letters are seen in Kafka."
    )
    made = new_dashboard(ITSELF, about)
    for panel in (_silence(), _delay(), _statuses(), _revisions()):
        made.with_panel(panel.span(12).height(9))
    return made


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

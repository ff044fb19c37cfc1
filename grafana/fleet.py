"""Fleet: every model, which version is in trouble, and what was done about it."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as board

from grafana import flux
from grafana.frame import FLEET, cell, label, look_closer, new_dashboard, rollback_marks, to_version
from grafana.panels import (
    Column,
    bar_panel,
    line_panel,
    number_panel,
    severity_panel,
    table_panel,
)

_NAME = "${__field.labels.model}/${__field.labels.version}"
_CLOSER = to_version(cell("model"), cell("version"))
_SUBJECT = {
    "model": Column("model", link=_CLOSER),
    "version": Column("version", link=_CLOSER),
}

_COUNTED = flux.pipe("group()", "count()", 'keep(columns: ["_value"])')

#: How far past its threshold a breach is: a ratio breaks its rule downward.
_TIMES = """map(fn: (r) => ({r with times:
    if r.threshold > 0.0 and r.value > r.threshold then r.value / r.threshold
    else if r.value > 0.0 then r.threshold / r.value
    else 1.0}))"""


def fleet() -> board.Dashboard:
    """Return the dashboard that on-call opens first."""
    about = "Every model version that the monitor saw in this time. Click a row to look closer."
    made = new_dashboard(FLEET, about).annotation(rollback_marks())
    for panel in (_watched(), _in_breach(), _rolled_back(), _failed()):
        made.with_panel(panel.span(5).height(4))
    made.with_panel(_lag().span(4).height(4))
    made.with_panel(_states().span(14).height(8))
    made.with_panel(_last_rollbacks().span(10).height(8))
    for panel in (_severities(), _gaps(), _traffic(), _decisions()):
        made.with_panel(panel.span(12).height(9))
    return made.with_panel(_worst().span(24).height(9))


def _watched() -> Any:
    query = flux.pipe(_last("n"), _COUNTED)
    return _count("Versions watched", query, "Versions with a window in this time.")


def _in_breach() -> Any:
    query = flux.pipe(_last("level"), "filter(fn: (r) => r._value >= 3)", _COUNTED)
    about = "Versions whose newest window is past a block level."
    return _count("Versions in breach", query, about)


def _rolled_back() -> Any:
    about = "Rollbacks that were made, by the monitor or by hand."
    return _count("Rollbacks", _steps("done"), about)


def _failed() -> Any:
    about = "Rollbacks that could not be made: the unfair version may still serve."
    return _count("Rollbacks that failed", _steps("failed"), about)


def _lag() -> Any:
    query = flux.pipe(
        flux.read("monitor_health", "lag_records"),
        'group(columns: ["partition"])',
        'sort(columns: ["_time"])',
        "last()",
        "group()",
        "sum()",
        'keep(columns: ["_value"])',
    )
    return _count("Lag", query, "Predictions published and not counted yet, over all partitions.")


def _last_rollbacks() -> Any:
    query = flux.last_rows(
        "decisions",
        ("from_version", "to_version", "reason"),
        ("model", "stage"),
        where='r.action == "rollback"',
        by=("model",),
    )
    columns = {
        "model": Column("model"),
        "_time": Column("when", "dateTimeFromNow"),
        "from_version": Column("from"),
        "to_version": Column("to"),
        "stage": Column("came to"),
        "reason": Column("why"),
    }
    return table_panel("Last rollback of each model", query, columns, about="And how far it came.")


def _states() -> Any:
    query = flux.last_rows(
        "windows",
        ("n", "severity", "status", "breaches"),
        ("model", "version"),
        by=("model", "version"),
    )
    columns = {
        **_SUBJECT,
        "severity": Column("newest window"),
        "status": Column("could be judged"),
        "breaches": Column("rules broken"),
        "n": Column("predictions", "short"),
        "_time": Column("window ended", "dateTimeFromNow"),
    }
    about = "The newest window of each version: how grave it is, and how long ago it ended."
    return table_panel("How each version stands", query, columns, about=about)


def _severities() -> Any:
    query = flux.lines("windows", "level", "model", "version")
    panel = severity_panel(
        "Severity of each window", query, about="The gravest of what a window shows.", name=_NAME
    )
    return look_closer(panel, "Look closer", to_version(label("model"), label("version")))


def _gaps() -> Any:
    query = flux.lines("fairness", "value", "model", "version", where=flux.PARITY)
    panel = line_panel(
        "Largest gap in selection rates",
        query,
        about="Largest difference between two groups, over all protected attributes.",
        name=_NAME,
        unit="percentunit",
    )
    return look_closer(panel, "Look closer", to_version(label("model"), label("version")))


def _traffic() -> Any:
    query = flux.lines("windows", "n", "model", "version", fn="sum")
    about = "Predictions counted, by the end of their window."
    return bar_panel("Traffic", query, about=about, name=_NAME)


def _worst() -> Any:
    tags = ("model", "version", "rule")
    query = flux.pipe(
        flux.rows("breaches", ("value", "threshold", "severity", "level", "sentence"), tags),
        _TIMES,
        'group(columns: ["model", "version", "rule"])',
        'top(n: 1, columns: ["times"])',
        "group()",
        'sort(columns: ["level", "times"], desc: true)',
        'drop(columns: ["level"])',
        "limit(n: 50)",
    )
    columns = {
        **_SUBJECT,
        "severity": Column("severity"),
        "rule": Column("rule"),
        "value": Column("value", "none"),
        "threshold": Column("threshold", "none"),
        "times": Column("times past it", "none"),
        "sentence": Column("in words"),
        "_time": Column("window ended", "dateTimeAsIso"),
    }
    about = "Each rule that was broken, at its worst."
    return table_panel("Worst breaches", query, columns, about=about)


def _decisions() -> Any:
    fields = ("from_version", "to_version", "reason", "actor")
    query = flux.rows("decisions", fields, ("model", "action", "stage"))
    columns = {
        "_time": Column("at", "dateTimeAsIso"),
        "model": Column("model"),
        "action": Column("action"),
        "stage": Column("stage"),
        "from_version": Column("from"),
        "to_version": Column("to"),
        "actor": Column("who"),
        "reason": Column("why"),
    }
    about = "Each step of a rollback, and each notice; the newest first."
    return table_panel("Decisions", query, columns, about=about)


def _count(title: str, query: str, about: str) -> Any:
    return number_panel(title, query, about=about).no_value("0")


def _last(field: str) -> str:
    return flux.pipe(flux.read("windows", field), 'group(columns: ["model", "version"])', "last()")


def _steps(stage: str) -> str:
    where = f'r.action == "rollback" and r.stage == "{stage}"'
    return flux.pipe(flux.read("decisions", "rollback_id", where=where), _COUNTED)

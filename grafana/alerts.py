"""Alert rules, as Grafana's file provisioning takes them: which there are.

What is done when a rule finds nothing, or cannot ask, is chosen for each: `Alert` says why. A dollar sign would be
read as an environment variable in this file, so that templates say ``.Labels.model`` and queries need none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grafana import flux
from grafana.alert import Alert
from grafana.frame import FLEET, ITSELF
from monitor.policy.model import ModelPolicy

FOLDER = "Model monitor"

_MINUTE, _HOUR = 60, 3600

#: What `monitor.stores.health` writes, every 15 seconds by default.
_HEALTH = "monitor_health"

#: Seconds of silence after which a part is dead: a restart, and a take-over, take less.
_HEARD_WITHIN = 3 * _MINUTE

#: A sink takes 500 at once: what waits longer than a batch, for ten minutes, is a backlog. A few dead letters in a
#: quarter of an hour are somebody's test; more are a broken producer.
_MOST_WAITING, _FEW_LETTERS = 1000, 10

#: A rule is asked once a minute.
_INTERVAL = "1m"

#: In Grafana's templates; what an alert is about.
_SUBJECT = "{{ .Labels.model }}/{{ .Labels.version }}"


def alerts(policy: ModelPolicy) -> list[Alert]:
    """Return all rules; how many windows make a streak, and how long one may be, is the policy's."""
    # The longest that a version that serves may be without a window, and a quarter of an hour for it to be written.
    quiet = round(policy.windows.max_length + policy.windows.grace) + 15 * _MINUTE
    return [
        _breach(quiet),
        _streak(policy, quiet),
        _rollback(),
        _failed_rollback(),
        _silent_model(quiet),
        _silent_monitor(quiet),
        _dead_part(),
        _dead_letters(),
        _backlog(),
    ]


def rules(policy: ModelPolicy, panels: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """Return the file of all rules; `panels` as for `Alert.as_dict`."""
    group = {
        "orgId": 1,
        "name": "model-monitor",
        "folder": FOLDER,
        "interval": _INTERVAL,
        "rules": [alert.as_dict(panels) for alert in alerts(policy)],
    }
    return {"apiVersion": 1, "groups": [group]}


def _breach(quiet: int) -> Alert:
    query = flux.pipe(
        flux.read("windows", "status", "breaches"),
        'pivot(rowKey: ["_time", "model", "version"], columnKey: ["_field"], valueColumn: "_value")',
        # A window that could not be judged says nothing either way.
        'filter(fn: (r) => r.status == "ok")',
        'group(columns: ["model", "version"])',
        'sort(columns: ["_time"])',
        'last(column: "breaches")',
        'rename(columns: {breaches: "_value"})',
        'keep(columns: ["_time", "_value", "model", "version"])',
    )
    return Alert(
        uid="monitor-breach",
        title="A version breaks its policy",
        query=query,
        span=quiet,
        severity="info",
        summary=f"{_SUBJECT} broke {{{{ .Values.B.Value }}}} rule(s) of its policy in its newest window",
        description="One window may be chance. Nothing is moved before the policy's number of windows in a row.",
    )


def _streak(policy: ModelPolicy, quiet: int) -> Alert:
    needed = policy.consecutive
    # Windows of a streak lie within that many times the longest one. One that ended long ago is over.
    span = round(needed * policy.windows.max_length) + quiet
    query = f"""judged = {
        flux.pipe(
            flux.read("windows", "status", where='r._value == "ok"'),
            'group(columns: ["model", "version"])',
            'sort(columns: ["_time"], desc: true)',
            f"limit(n: {needed})",
            'keep(columns: ["_time", "model", "version"])',
        )
    }

live = from(bucket: v.defaultBucket)
  |> range(start: -{quiet}s)
  |> filter(fn: (r) => r._measurement == "windows" and r._field == "level")
  |> group(columns: ["model", "version"])
  |> last()
  |> keep(columns: ["model", "version", "_value"])

broken = {
        flux.pipe(
            flux.read("breaches", "value"),
            "group()",
            'keep(columns: ["_time", "_value", "model", "version", "rule"])',
        )
    }

join(
  tables: {{
    streak: join(tables: {{broken: broken, judged: judged}}, on: ["_time", "model", "version"]),
    live: live |> rename(columns: {{_value: "level"}}),
  }},
  on: ["model", "version"],
)
  |> group(columns: ["model", "version", "rule"])
  |> sort(columns: ["_time"])
  |> keep(columns: ["_time", "_value", "model", "version", "rule"])"""
    return Alert(
        uid="monitor-streak",
        title="A version breaks one rule in several windows in a row",
        query=query,
        span=span,
        reducer="count",
        above=needed - 1,
        severity="warning",
        summary=f"{_SUBJECT} broke {{{{ .Labels.rule }}}} in {needed} windows in a row",
        description="This is no chance. Whether it was rolled back, or why not, is in the newest decisions.",
    )


def _rollback() -> Alert:
    query = flux.pipe(
        flux.read("decisions", "dry_run", where='r.action == "rollback" and r.stage == "done"'),
        'group(columns: ["model"])',
        'sort(columns: ["_time"])',
        "last()",
        "map(fn: (r) => ({r with _value: if r._value then 0.0 else 1.0}))",
        'keep(columns: ["_time", "_value", "model"])',
    )
    return Alert(
        uid="monitor-rollback",
        title="A version was rolled back",
        query=query,
        span=_HOUR,
        severity="critical",
        summary="{{ .Labels.model }} was rolled back within the last hour",
        description="The alias names the earlier version again. Check that serving follows, then find the cause.",
        panel=(FLEET, "Decisions"),
    )


def _failed_rollback() -> Alert:
    ended = (
        'r.stage == "done" or r.stage == "failed" or r.stage == "intent" or r.stage == "refused"'
    )
    # A tag cannot be asked for by `last`, so that each stage is a number: 0 is well, 1 failed, 2 was begun.
    query = 'import "date"\n\n' + flux.pipe(
        flux.read("decisions", "rollback_id", where=f'r.action == "rollback" and ({ended})'),
        'group(columns: ["model"])',
        'sort(columns: ["_time"])',
        "last()",
        """map(fn: (r) => ({r with _value:
    if r.stage == "failed" then 1.0
    else if r.stage == "intent" and r._time < date.sub(from: now(), d: 10m) then 2.0
    else 0.0}))""",
        'keep(columns: ["_time", "_value", "model"])',
    )
    return Alert(
        uid="monitor-rollback-failed",
        title="A rollback failed",
        query=query,
        span=24 * _HOUR,
        severity="critical",
        summary="{{ .Labels.model }} should have been rolled back, and was not: the unfair version may still serve",
        description="A person has to move the alias. It stops with the next rollback of the model, by hand too.",
        panel=(FLEET, "Decisions"),
    )


def _silent_model(quiet: int) -> Alert:
    span = quiet + 2 * _HOUR
    query = _age(flux.read("windows", "n"), "model", quiet=quiet)
    return Alert(
        uid="monitor-silent-model",
        title="A model that served has no new windows",
        query=query,
        span=span,
        severity="warning",
        summary=f"{{{{ .Labels.model }}}} has had no window for more than {quiet // _MINUTE} minutes",
        description="It served before. Either nobody asks it any more, or what it answers does not arrive.",
        panel=(ITSELF, "How long silent"),
    )


def _silent_monitor(quiet: int) -> Alert:
    span = quiet + 2 * _HOUR
    query = _age(flux.read("windows", "n"), quiet=quiet)
    return Alert(
        uid="monitor-silent",
        title="The monitor writes nothing",
        query=query,
        span=span,
        severity="critical",
        summary=f"No model has had a window for more than {quiet // _MINUTE} minutes: nothing is watched",
        description="The monitor, Kafka, InfluxDB or all serving is down.",
        # Windows that are older than the span are silence too, and InfluxDB away is told here and nowhere else.
        no_data="Alerting",
        cannot_ask="Error",
        wait="5m",
        panel=(ITSELF, "How long silent"),
    )


def _dead_part() -> Alert:
    # Longer than anybody sleeps: a part that died at night is still missed in the morning.
    query = _age(flux.read(_HEALTH, "ready"), "part", quiet=_HEARD_WITHIN)
    return Alert(
        uid="monitor-dead",
        title="A part of the monitor is dead",
        query=query,
        span=24 * _HOUR,
        severity="critical",
        summary=f"The monitor's {{{{ .Labels.part }}}} has said nothing for more than {_HEARD_WITHIN // _MINUTE} minutes",
        description="No process that runs it is alive, or none reaches InfluxDB.",
        # Nothing in a day is the worst case, and no good one: nobody has ever heard of any part.
        no_data="Alerting",
        wait="1m",
        panel=(ITSELF, "Parts"),
    )


def _dead_letters() -> Alert:
    query = flux.pipe(
        flux.read(_HEALTH, "events_total", where='r.outcome == "dead_letters"'),
        "increase()",
        # Partitions move from worker to worker: what counts is what was set aside anywhere.
        "last()",
        "group()",
        "sum()",
        "map(fn: (r) => ({r with _time: now()}))",
        'keep(columns: ["_time", "_value"])',
    )
    return Alert(
        uid="monitor-dead-letters",
        title="Dead letters are rising",
        query=query,
        span=15 * _MINUTE,
        severity="warning",
        summary="{{ .Values.B.Value }} records could not be counted within 15 minutes",
        description="They are kept with field and reason in topic dead-letters, and in no report.",
        above=_FEW_LETTERS,
        panel=(ITSELF, "Dead letters"),
    )


def _backlog() -> Alert:
    query = flux.pipe(
        flux.read(_HEALTH, "backlog_records"),
        'group(columns: ["part"])',
        'sort(columns: ["_time"])',
        "aggregateWindow(every: 1m, fn: max, createEmpty: false)",
        "last()",
        'keep(columns: ["_time", "_value", "part"])',
    )
    return Alert(
        uid="monitor-backlog",
        title="A sink falls behind",
        query=query,
        span=10 * _MINUTE,
        severity="warning",
        summary="{{ .Values.B.Value }} records wait for the monitor's {{ .Labels.part }}",
        description="Its store is away, slow, or refuses. Nothing is lost: it is lag. Acting does not need it.",
        above=_MOST_WAITING,
        wait="10m",
        panel=(ITSELF, "Sink backlog"),
    )


def _age(source: str, *by: str, quiet: int) -> str:
    """Return, as seconds past `quiet`, how old the newest window is."""
    columns = "[" + ", ".join(f'"{name}"' for name in by) + "]"
    kept = "[" + ", ".join(f'"{name}"' for name in ("_time", "_value", *by)) + "]"
    return flux.pipe(
        source,
        f"group(columns: {columns})",
        'sort(columns: ["_time"])',
        "last()",
        "map(fn: (r) => ({r with _value: "
        f"float(v: int(v: now()) - int(v: r._time)) / 1000000000.0 - {quiet}.0}}))",
        f"keep(columns: {kept})",
    )

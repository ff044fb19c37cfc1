"""Flux that the panels share. Grafana fills in ``v.*`` and the dashboard's variables.

A variable stands only within a regular expression, as ``${name:regex}``: Grafana escapes it there, slashes too, so that
no name of a model, version or feature can end the expression. In a string of Flux ``${...}`` would be evaluated, and
none of Grafana's formats escapes that.

A result with ``_time`` and ``_value`` is a line to Grafana, and its other columns are labels; without ``_value`` it is
a table.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Predicates for the variables of a dashboard.
OF_MODEL = "r.model =~ /^${model:regex}$/"
OF_VERSION = f"{OF_MODEL} and r.version =~ /^${{version:regex}}$/"
OF_FEATURE = f"{OF_VERSION} and r.feature =~ /^${{feature:regex}}$/"

#: Of more than two answers each is favourable in turn: the metric's name then ends in ``[answer]``.
PARITY = "r.metric =~ /^demographic_parity_difference/"


def pipe(*steps: str) -> str:
    """Return the steps, each on a line of its own."""
    return "\n  |> ".join(steps)


def read(measurement: str, *fields: str, where: str = "") -> str:
    """Return the reading of some fields of a measurement in the dashboard's time.

    Examples
    --------
    >>> print(read("windows", "n", where=OF_MODEL))
    from(bucket: v.defaultBucket)
      |> range(start: v.timeRangeStart, stop: v.timeRangeStop)
      |> filter(fn: (r) => r._measurement == "windows" and (r._field == "n"))
      |> filter(fn: (r) => r.model =~ /^${model:regex}$/)
    """
    wanted = " or ".join(f'r._field == "{field}"' for field in fields)
    steps = [
        "from(bucket: v.defaultBucket)",
        "range(start: v.timeRangeStart, stop: v.timeRangeStop)",
        f'filter(fn: (r) => r._measurement == "{measurement}" and ({wanted}))',
    ]
    if where:
        steps.append(f"filter(fn: (r) => {where})")
    return pipe(*steps)


def per_point(fn: str = "max") -> str:
    """Return the step that leaves one value a point on the screen: the worst, never an average."""
    return f"aggregateWindow(every: v.windowPeriod, fn: {fn}, createEmpty: false)"


def lines(measurement: str, field: str, *labels: str, where: str = "", fn: str = "max") -> str:
    """Return one line for each combination of these tags; what else differs is put together by `fn`."""
    return pipe(
        read(measurement, field, where=where),
        f"group(columns: {_columns(*labels)})",
        per_point(fn),
        f"keep(columns: {_columns('_time', '_value', *labels)})",
    )


def fields_as_lines(measurement: str, *fields: str, where: str = "") -> str:
    """Return one line for each of these fields of numbers; Grafana calls it by the field."""
    return pipe(
        read(measurement, *fields, where=where),
        "toFloat()",
        'group(columns: ["_field"])',
        per_point(),
        'keep(columns: ["_time", "_value", "_field"])',
    )


def newest(measurement: str, field: str, where: str) -> str:
    """Return one number: the highest of the newest window."""
    return pipe(
        read(measurement, field, where=where),
        'group(columns: ["_time"])',
        "max()",
        "group()",
        'sort(columns: ["_time"])',
        "last()",
        'keep(columns: ["_time", "_value"])',
    )


def rows(
    measurement: str,
    fields: Sequence[str],
    tags: Sequence[str],
    *,
    where: str = "",
    limit: int = 100,
) -> str:
    """Return a table of fields and tags, the newest row first."""
    return pipe(
        read(measurement, *fields, where=where),
        f'pivot(rowKey: {_columns("_time", *tags)}, columnKey: ["_field"], valueColumn: "_value")',
        "group()",
        'sort(columns: ["_time"], desc: true)',
        f"limit(n: {limit})",
        f"keep(columns: {_columns('_time', *tags, *fields)})",
    )


def last_rows(
    measurement: str,
    fields: Sequence[str],
    tags: Sequence[str],
    *,
    where: str = "",
    by: Sequence[str],
) -> str:
    """Return a table with the newest row of each combination of the tags in `by`; `fields` is there in each row."""
    return pipe(
        read(measurement, *fields, where=where),
        f'pivot(rowKey: {_columns("_time", *tags)}, columnKey: ["_field"], valueColumn: "_value")',
        f"group(columns: {_columns(*by)})",
        'sort(columns: ["_time"])',
        f'last(column: "{fields[0]}")',
        "group()",
        'sort(columns: ["_time"], desc: true)',
        f"keep(columns: {_columns('_time', *tags, *fields)})",
    )


def newest_rows(measurement: str, fields: Sequence[str], place: str, *, where: str) -> str:
    """Return the rows of the newest point in time that has any, in the order of the tag `place`."""
    rows = pipe(
        read(measurement, *fields, where=where),
        f'pivot(rowKey: {_columns("_time", place)}, columnKey: ["_field"], valueColumn: "_value")',
        "group()",
    )
    newest = pipe(
        "rows", 'sort(columns: ["_time"], desc: true)', "limit(n: 1)", 'keep(columns: ["_time"])'
    )
    together = pipe(
        'join(tables: {rows: rows, newest: newest}, on: ["_time"])',
        f"sort(columns: {_columns(place)})",
        f"keep(columns: {_columns(*fields)})",
    )
    return f"rows = {rows}\n\nnewest = {newest}\n\n{together}"


def choices(tag: str, measurement: str, where: str = "") -> str:
    """Return a variable's choices: the values that a tag has in the dashboard's time."""
    more = f" and {where}" if where else ""
    return (
        'import "influxdata/influxdb/schema"\n\n'
        "schema.tagValues(\n"
        "  bucket: v.defaultBucket,\n"
        f'  tag: "{tag}",\n'
        f'  predicate: (r) => r._measurement == "{measurement}"{more},\n'
        "  start: v.timeRangeStart,\n"
        "  stop: v.timeRangeStop,\n"
        ")"
    )


def _columns(*names: str) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"

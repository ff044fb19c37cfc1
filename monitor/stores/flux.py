"""All Flux of this project. Values are bound by the client as typed literals, never pasted into the text."""

from __future__ import annotations

#: A report's JSON is kept in fields ``report_000``, ``report_001``, ...: one string field holds so many characters.
PART = 60_000

#: Newest reports: one row a window, one column a part.
REPORTS = """
from(bucket: _bucket)
  |> range(start: _since, stop: _until)
  |> filter(fn: (r) => r._measurement == "windows" and r._field =~ /^report_/)
  |> filter(fn: (r) => _model == "" or r.model == _model)
  |> filter(fn: (r) => _version == "" or r.version == _version)
  |> pivot(rowKey: ["_time", "model", "version"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> sort(columns: ["_time", "model", "version"], desc: true)
  |> limit(n: _limit)
"""

#: The same on the basis of labels.
LABELLED_REPORTS = REPORTS.replace('"windows"', '"labelled"')

#: The newest report of every version. Where the newest has fewer parts than one before, that one's last part is left.
NEWEST = """
from(bucket: _bucket)
  |> range(start: _since, stop: _until)
  |> filter(fn: (r) => r._measurement == "windows" and r._field =~ /^report_/)
  |> last()
  |> pivot(rowKey: ["_time", "model", "version"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> filter(fn: (r) => exists r.report_000)
"""

#: Newest steps of decisions, likewise.
DECISIONS = """
from(bucket: _bucket)
  |> range(start: _since, stop: _until)
  |> filter(fn: (r) => r._measurement == "decisions" and r._field =~ /^decision_/)
  |> filter(fn: (r) => _model == "" or r.model == _model)
  |> pivot(rowKey: ["_time", "model", "stage", "action"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> sort(columns: ["_time"], desc: true)
  |> limit(n: _limit)
"""

#: The revision that is kept of each window that ends within a span.
REVISIONS = """
from(bucket: _bucket)
  |> range(start: _since, stop: _until)
  |> filter(fn: (r) => r._measurement == "windows" and r._field == "revision")
  |> group()
"""


LABELLED_REVISIONS = REVISIONS.replace('"windows"', '"labelled"')


def of_version(measurement: str, model: str, version: str) -> str:
    r"""Return the predicate that deletes a version's points of one measurement.

    That API binds nothing, so the quotes are escaped.

    Examples
    --------
    >>> print(of_version("drift", 'a"b', "1"))
    _measurement="drift" AND model="a\"b" AND version="1"
    """
    equal = {"_measurement": measurement, "model": model, "version": version}
    return " AND ".join(f"{name}={_quoted(value)}" for name, value in equal.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

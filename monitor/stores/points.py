"""Reports and decisions as InfluxDB points, laid out for Grafana: one measurement a table, one field a measure.

::

    measurement   tags (besides model, version)    fields
    windows                                        n, n_reference, revision, status, severity, level, breaches, report_*
    drift         feature, family                  psi, ks, p_value, ..., other_*, severity, level
    fairness      attributes, metric               value, lower, upper, baseline, excess, excess_lower, severity, level
    groups        attributes, group, answer        n, selection_rate, ...
    quality       check, feature                   share, baseline_share, sentence, severity, level
    breaches      rule, family                     value, threshold, severity, level
    distributions feature, place                   cell (its name), then, now: shares of the columns that changed most
    labelled                                       n, labelled, coverage, revision, status, severity, level, report_*
    performance   metric, attributes, group        n, value, lower, upper, baseline, loss, loss_lower, severity, level
    labelled_fairness, labelled_groups, labelled_breaches: as above, by what turned out to be true
    decisions     stage, action (no version)       decision_*: the whole step; reason, from_version, to_version, ...

The time is the window's end (a decision's own time), so writing a window again overwrites it. Ids are fields: a tag
makes a series. ``level`` is the severity as a number, 0 for pass to 4 for severe. What has no number is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypedDict

import msgspec

from monitor.reports import Basis, Decision, FairnessMeasure, Report, Severity, encode
from monitor.stores.flux import PART

_LEVELS = {severity: level for level, severity in enumerate(Severity)}

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Point(TypedDict):
    """One point, as influxdb-client takes it; `time` in nanoseconds since 1970 UTC."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Any]
    time: int


def tag(value: str) -> str:
    r"""Return a name as a tag can hold it: a backslash escapes in line protocol, and a line ends a point.

    Examples
    --------
    >>> tag("C:\\temp\n"), tag("")
    ('C:⧵temp\ufffd', '(empty)')
    """
    return _CONTROL.sub("\ufffd", value.replace("\\", "\u29f5")) or "(empty)"


def nanoseconds(seconds: float) -> int:
    """Return a time as InfluxDB keeps it, to the microsecond that a float of seconds can tell."""
    return round(seconds * 1e6) * 1000


#: Which measurements a report of each basis is written to.
MEASUREMENTS: Mapping[Basis, tuple[str, ...]] = MappingProxyType(
    {
        Basis.PREDICTIONS: (
            "windows",
            "drift",
            "fairness",
            "groups",
            "quality",
            "breaches",
            "distributions",
        ),
        Basis.LABELLED: (
            "labelled",
            "performance",
            "labelled_fairness",
            "labelled_groups",
            "labelled_breaches",
        ),
    }
)


def report_points(report: Report) -> list[Point]:
    """Return all points of a window."""
    if report.basis is Basis.LABELLED:
        return [
            _labelled(report),
            *_performance(report),
            *_renamed((*_fairness(report), *_groups(report), *_breaches(report))),
        ]
    return [
        _windows(report),
        *_drift(report),
        *_fairness(report),
        *_groups(report),
        *_quality(report),
        *_breaches(report),
        *_distributions(report),
    ]


def decision_point(decision: Decision) -> Point:
    """Return the point of one step."""
    names = ("decision_id", "rollback_id", "from_version", "to_version", "reason", "actor", "alias")
    fields = {name.removeprefix("decision_"): getattr(decision, name) for name in names}
    fields |= {"dry_run": decision.dry_run, **_parts("decision", decision)}
    tags = {"stage": decision.stage.value, "action": decision.action.value}
    return _point("decisions", {"model": decision.model, **tags}, fields, decision.at)


def _windows(report: Report) -> Point:
    fields = {
        "n": report.n,
        "n_reference": report.n_reference,
        "revision": report.revision,
        "start": report.window.start,
        "closed_at": report.closed_at,
        "status": report.status.value,
        "breaches": len(report.breaches),
        "estimated_accuracy": None if report.estimate is None else report.estimate.accuracy,
        **_severity(report.severity),
        **_parts("report", report),
    }
    return _of_window(report, "windows", {}, fields)


def _labelled(report: Report) -> Point:
    fields = {
        "n": report.n,
        "labelled": report.labelled,
        "coverage": report.coverage,
        "revision": report.revision,
        "start": report.window.start,
        "judged_at": report.closed_at,
        "status": report.status.value,
        "breaches": len(report.breaches),
        **_severity(report.severity),
        **_parts("report", report),
    }
    return _of_window(report, "labelled", {}, fields)


def _performance(report: Report) -> Iterator[Point]:
    for measure in report.performance:
        tags = {"metric": measure.metric}
        if measure.group is not None:
            tags |= {"attributes": " & ".join(measure.attributes), "group": measure.group}
        fields = _plain(measure, "metric", "attributes", "group") | _severity(measure.severity)
        yield _of_window(report, "performance", tags, fields)


def _renamed(points: Iterable[Point]) -> Iterator[Point]:
    for point in points:
        yield {**point, "measurement": f"labelled_{point['measurement']}"}


def _drift(report: Report) -> Iterator[Point]:
    for family, columns in (("feature", report.drift), ("prediction", report.prediction_drift)):
        for column in columns:
            # A third party's measure may be called as one of ours will be, one day.
            others = {f"other_{name}": value for name, value in column.others.items()}
            fields = _plain(column, "feature", "others") | _severity(column.severity) | others
            tags = {"feature": column.feature, "family": family}
            yield _of_window(report, "drift", tags, fields)


def _fairness(report: Report) -> Iterator[Point]:
    for measure in report.fairness:
        fields = _plain(measure, "attributes", "metric", "groups") | _severity(measure.severity)
        tags = {"attributes": " & ".join(measure.attributes), "metric": measure.metric}
        yield _of_window(report, "fairness", tags, fields)


def _groups(report: Report) -> Iterator[Point]:
    # Each measure of the same attributes and answer carries the same groups: the first one speaks for all.
    first: dict[tuple[tuple[str, ...], str], FairnessMeasure] = {}
    for measure in report.fairness:
        answer = measure.metric.partition("[")[2].removesuffix("]")
        first.setdefault((measure.attributes, answer), measure)
    for (attributes, answer), measure in first.items():
        for name, rates in measure.groups.items():
            tags = {"attributes": " & ".join(attributes), "group": name}
            if answer:
                tags["answer"] = answer
            yield _of_window(report, "groups", tags, _plain(rates))


def _quality(report: Report) -> Iterator[Point]:
    for finding in report.quality:
        among = ", ".join(f"{name} = {value}" for name, value in finding.group.items())
        fields = _plain(finding, "check", "feature", "group") | _severity(finding.severity)
        tags = {"check": finding.check, "feature": finding.feature}
        yield _of_window(report, "quality", tags, fields | {"among": among})


def _breaches(report: Report) -> Iterator[Point]:
    for breach in report.breaches:
        fields = _plain(breach, "rule", "family", "groups") | _severity(breach.severity)
        tags = {"rule": breach.rule, "family": breach.family.value}
        yield _of_window(report, "breaches", tags, fields)


def _distributions(report: Report) -> Iterator[Point]:
    for shown in report.distributions:
        for place, cell in enumerate(shown.cells):
            # Its name is a value of the data, and a tag makes a series: the place among the cells has an end.
            tags = {"feature": shown.feature, "place": f"{place:02}"}
            fields = {"cell": cell.name, "then": cell.then, "now": cell.now}
            yield _of_window(report, "distributions", tags, fields)


def _of_window(
    report: Report, measurement: str, tags: Mapping[str, str], fields: Mapping[str, Any]
) -> Point:
    whose = {"model": report.model, "version": report.version}
    return _point(measurement, whose | dict(tags), fields, report.window.end)


def _point(
    measurement: str, tags: Mapping[str, str], fields: Mapping[str, Any], seconds: float
) -> Point:
    return Point(
        measurement=measurement,
        tags={name: tag(value) for name, value in tags.items()},
        fields={
            name: value
            for name, value in fields.items()
            if value is not None and not (isinstance(value, float) and not math.isfinite(value))
        },
        time=nanoseconds(seconds),
    )


def _plain(value: msgspec.Struct, *but: str) -> dict[str, Any]:
    """Return a measure's fields; every number as a float, since InfluxDB never changes a field's type."""
    return {
        name: float(plain) if isinstance(plain, int) and not isinstance(plain, bool) else plain
        for name, plain in msgspec.to_builtins(value).items()
        if name not in but
    }


def _severity(severity: Severity) -> dict[str, Any]:
    return {"severity": severity.value, "level": _LEVELS[severity]}


def _parts(name: str, value: Report | Decision) -> dict[str, str]:
    text = encode(value).decode()
    return {
        f"{name}_{number:03}": text[start : start + PART]
        for number, start in enumerate(range(0, len(text), PART))
    }

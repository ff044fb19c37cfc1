"""Charts of a model over its windows, as plotly figures in plain data. Colours are the page's own, by name. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from monitor.desk.html.charts import literal
from monitor.metrics.intervals import critical_value, wilson
from monitor.policy.grading import gap_and_bound, gap_levels
from monitor.policy.severity import is_block
from monitor.web.pages.words import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.policy.model import FairnessRules, Levels
    from monitor.reports import Decision, FairnessMeasure, GroupRate, Report

Figure = dict[str, Any]

#: A group is told by its mark too, not by its colour alone.
_MARKS = ("circle", "diamond", "square", "triangle-up", "cross", "star")

_HEIGHT = 270


def interval(rate: GroupRate) -> tuple[float, float]:
    """Return the 95 % limits of a group's rate of favourable answers.

    Examples
    --------
    >>> from monitor.reports import GroupRate
    >>> lower, upper = interval(GroupRate(n=214, selection_rate=0.3))
    >>> round(lower, 3), round(upper, 3)
    (0.243, 0.364)
    """
    assert rate.selection_rate is not None  # who asks has looked
    found = wilson([rate.selection_rate * rate.n], [rate.n], critical_value(1))
    return float(found.lower[0]), float(found.upper[0])


def treatment(
    windows: Sequence[tuple[Report, FairnessMeasure]], marks: Sequence[Decision]
) -> Figure:
    """Return each group's rate of favourable answers over time, with 95 % limits."""
    names = sorted({name for _, measure in windows for name in measure.groups})
    data = []
    for number, name in enumerate(names):
        seen = [
            (report, measure.groups[name])
            for report, measure in windows
            if name in measure.groups and measure.groups[name].selection_rate is not None
        ]
        # A line stands for one version: it ends where another takes over.
        for part, (version, some) in enumerate(groupby(seen, key=lambda one: one[0].version)):
            data.append(_line_of(name, number, version, list(some), is_first=part == 0))
    layout = _layout(marks, {"tickformat": ".0%", "rangemode": "tozero", "nticks": 6})
    return {"data": data, "layout": layout}


def _line_of(
    name: str,
    number: int,
    version: str,
    seen: Sequence[tuple[Report, GroupRate]],
    *,
    is_first: bool,
) -> Figure:
    colour = f"--series-{number % 6 + 1}"
    rates = [rate.selection_rate or 0.0 for _, rate in seen]
    limits = [interval(rate) for _, rate in seen]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": literal(name),
        "legendgroup": str(number),
        "showlegend": is_first,
        "x": [iso(report.window.end) for report, _ in seen],
        "y": rates,
        "text": [
            f"{literal(name)}: {value:.1%} ({low:.1%} to {high:.1%}), {rate.n:,} people, version {literal(version)}"
            for (_, rate), value, (low, high) in zip(seen, rates, limits, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 7, "symbol": _MARKS[number % 6]},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - value for value, (_, high) in zip(rates, limits, strict=True)],
            "arrayminus": [value - low for value, (low, _) in zip(rates, limits, strict=True)],
            "color": colour,
            "thickness": 1.2,
            "width": 3,
        },
    }


def excess(
    windows: Sequence[tuple[Report, FairnessMeasure]],
    rules: FairnessRules,
    marks: Sequence[Decision],
) -> Figure:
    """Return how much wider the gap is than in the reference, down to what is sure, beside its levels."""
    some = [
        (report, measure, gap, sure or 0.0)
        for report, measure in windows
        for gap, sure in [gap_and_bound(measure)]
        if gap is not None
    ]
    data = [
        _gaps(
            "within its level",
            "--accent",
            "circle",
            [s for s in some if not is_block(s[1].severity)],
        ),
        _gaps("proven past it", "--block", "square", [s for s in some if is_block(s[1].severity)]),
    ]
    levels = gap_levels(windows[0][1], rules)
    layout = _layout(marks, {"nticks": 6, "rangemode": "tozero"}, levels)
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _gaps(
    name: str,
    colour: str,
    symbol: str,
    some: Sequence[tuple[Report, FairnessMeasure, float, float]],
) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [iso(report.window.end) for report, *_ in some],
        "y": [gap for *_, gap, _ in some],
        "text": [
            f"{gap:.3f}, surely {sure:.3f}; version {literal(report.version)}"
            for report, _, gap, sure in some
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": colour, "size": 9, "symbol": symbol},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [0.0] * len(some),
            "arrayminus": [max(gap - sure, 0.0) for *_, gap, sure in some],
            "color": colour,
            "thickness": 1.5,
            "width": 4,
        },
    }


def answers(reports: Sequence[Report], levels: Levels, marks: Sequence[Decision]) -> Figure:
    """Return how far the answers are from the reference's: PSI over time, beside its levels."""
    names = list(dict.fromkeys(c.feature for report in reports for c in report.prediction_drift))
    data = []
    for number, name in enumerate(names):
        seen = [
            (report, column.psi)
            for report in reports
            for column in report.prediction_drift
            if column.feature == name and column.psi is not None
        ]
        colour = f"--series-{number % 6 + 1}"
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": literal(name),
                "x": [iso(report.window.end) for report, _ in seen],
                "y": [psi for _, psi in seen],
                "text": [f"version {literal(report.version)}" for report, _ in seen],
                "hovertemplate": "PSI %{y:.3f}, %{text}<extra></extra>",
                "line": {"color": colour, "width": 2},
                "marker": {"color": colour, "size": 7, "symbol": _MARKS[number % 6]},
            }
        )
    return {"data": data, "layout": _layout(marks, {"nticks": 5, "rangemode": "tozero"}, levels)}


def traffic(reports: Sequence[Report], marks: Sequence[Decision]) -> Figure:
    """Return how many predictions each version made in each window."""
    data = []
    for number, version in enumerate(sorted({report.version for report in reports})):
        mine = [report for report in reports if report.version == version]
        data.append(
            {
                "type": "bar",
                "name": f"version {literal(version)}",
                "x": [iso(report.window.end) for report in mine],
                "y": [report.n for report in mine],
                "width": [report.window.length * 850 for report in mine],
                "hovertemplate": "%{y:,} predictions<extra>version "
                + literal(version)
                + "</extra>",
                "marker": {
                    "color": f"--series-{number % 6 + 1}",
                    "pattern": {"shape": ("", "/", "x", ".")[number % 4], "size": 6},
                },
            }
        )
    layout = _layout(marks, {"nticks": 4, "rangemode": "tozero", "tickformat": ",d"})
    return {"data": data, "layout": {**layout, "barmode": "stack", "height": 230}}


def _layout(marks: Iterable[Decision], y: Figure, levels: Levels | None = None) -> Figure:
    shapes: list[Figure] = []
    notes: list[Figure] = []
    for mark in marks:
        # Beside the last window that it rests on: windows lie on the events' clock, decisions on ours.
        at = iso(mark.at if mark.verdict is None else mark.verdict.window.end)
        line = {"color": "--ink", "dash": "dash", "width": 1.5}
        shapes.append(
            {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line}
        )
        text = f"rollback {literal(mark.from_version)} → {literal(mark.to_version or '?')}"
        notes.append(_note(text, {"x": at, "y": 1, "yref": "paper", "yanchor": "bottom"}))
    for name, value in () if levels is None else (("warn", levels.warn), ("block", levels.block)):
        line = {"color": f"--{name}", "dash": "dot" if name == "warn" else "solid", "width": 1.5}
        shapes.append(
            {
                "type": "line",
                "x0": 0,
                "x1": 1,
                "xref": "paper",
                "y0": value,
                "y1": value,
                "line": line,
            }
        )
        place = {"x": 0, "xref": "paper", "xanchor": "left", "y": value, "yanchor": "bottom"}
        notes.append(_note(f"{name} {value:g}", place, colour=f"--{name}"))
    if levels is not None:
        y = {**y, "autorangeoptions": {"include": [0, levels.block * 1.25]}}
    return {
        "height": _HEIGHT,
        "shapes": shapes,
        "annotations": notes,
        "xaxis": {"type": "date", "nticks": 6},
        "yaxis": y,
    }


def _note(text: str, place: Figure, colour: str = "--ink") -> Figure:
    return {"text": text, "showarrow": False, "font": {"size": 11, "color": colour}, **place}

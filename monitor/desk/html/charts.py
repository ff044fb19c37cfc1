"""Charts as plotly figures in plain data. Colours are the page's own: ``--then`` is a CSS variable's name."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.desk.html.groups import GapView, Interval, Rates
    from monitor.reports import Distribution

Figure = dict[str, Any]

#: Longer names are cut on an axis; the table has them whole.
_LONGEST = 22

#: How many cells of a scale are named on its axis.
_TICKS = 5

_THEN, _NOW, _INK, _LINE = "--then", "--now", "--ink", "--line"


def literal(text: str) -> str:
    """Return a text that plotly shows as it is: it would take tags for markup."""
    return html.escape(text, quote=False)


def _short(text: str) -> str:
    return literal(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def bars(shown: Distribution) -> Figure:
    """Return the shares of a column's cells, then and now: upright on a scale, lying beside names."""
    names = [cell.name for cell in shown.cells]
    places = list(range(len(names)))
    sides = [
        ("reference", _THEN, [cell.then for cell in shown.cells]),
        ("current", _NOW, [cell.now for cell in shown.cells]),
    ]
    value, place = ("y", "x") if shown.is_scale else ("x", "y")
    data = [
        {
            "type": "bar",
            "name": name,
            "orientation": "v" if shown.is_scale else "h",
            value: shares,
            place: places,
            "text": [literal(cell) for cell in names],
            "textposition": "none",
            "hovertemplate": f"%{{text}}: %{{{value}:.1%}}<extra>{name}</extra>",
            "marker": {"color": colour},
        }
        for name, colour, shares in sides
    ]
    return {"data": data, "layout": _bar_layout(names, value, place, is_scale=shown.is_scale)}


def _bar_layout(names: Sequence[str], value: str, place: str, *, is_scale: bool) -> dict[str, Any]:
    step = max(len(names) // _TICKS, 1) if is_scale else 1
    ticks = list(range(0, len(names), step))
    axis = {"tickvals": ticks, "ticktext": [_short(names[tick]) for tick in ticks]}
    if is_scale:
        # On a scale a cell is named by where it begins.
        axis["ticktext"] = [_short(names[tick].partition(" to ")[0]) for tick in ticks]
    return {
        "height": 200 if is_scale else 90 + 30 * len(names),
        "bargap": 0.1 if is_scale else 0.25,
        "bargroupgap": 0,
        f"{value}axis": {"tickformat": ".0%", "rangemode": "tozero", "nticks": 5},
        f"{place}axis": axis if is_scale else {**axis, "autorange": "reversed"},
    }


def rates(shown: Rates) -> Figure:
    """Return each group's rate with its 95 % limits, then and now."""
    places = list(range(len(shown.groups)))
    data = [
        _points("reference", _THEN, [group.then for group in shown.groups], -0.14, "diamond"),
        _points("current", _NOW, [group.now for group in shown.groups], 0.14, "circle"),
    ]
    names = [
        _short(group.name if group.judged else f"{group.name} (few)") for group in shown.groups
    ]
    sides = [one for group in shown.groups for one in (group.then, group.now) if one is not None]
    most = max((side.upper for side in sides), default=1.0)
    # From just below 0, so that a mark at 0 is seen whole.
    percent = {"tickformat": ".0%", "range": [-0.03 * most, 1.05 * most]} if shown.is_share else {}
    layout = {
        "height": 100 + 52 * len(places),
        "xaxis": {**percent, "nticks": 6},
        "yaxis": {
            "tickvals": places,
            "ticktext": names,
            "range": [len(places) - 0.5, -0.5],
            "showgrid": False,
        },
    }
    return {"data": data, "layout": layout}


def _points(
    name: str, colour: str, intervals: Sequence[Interval | None], offset: float, symbol: str
) -> Figure:
    some = [(i + offset, interval) for i, interval in enumerate(intervals) if interval is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "y": [place for place, _ in some],
        "x": [interval.value for _, interval in some],
        "text": [
            f"{interval.value:.3f} ({interval.lower:.3f} to {interval.upper:.3f}), n = {interval.n:,}"
            for _, interval in some
        ],
        "hovertemplate": f"%{{text}}<extra>{name}</extra>",
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [interval.upper - interval.value for _, interval in some],
            "arrayminus": [interval.value - interval.lower for _, interval in some],
            "color": colour,
            "thickness": 2,
            "width": 4,
        },
        "marker": {"color": colour, "size": 9, "symbol": symbol},
    }


def gaps(shown: Sequence[GapView], names: Sequence[str]) -> Figure:
    """Return each excess gap, down to what is sure of it, beside its warn and block levels."""
    some = [i for i, gap in enumerate(shown) if gap.judged is not None]
    values = [shown[i].judged or 0.0 for i in some]
    sure = [shown[i].sure or 0.0 for i in some]
    excess = {
        "type": "scatter",
        "mode": "markers",
        "name": "excess",
        "y": some,
        "x": values,
        "text": [f"{v:.3f}, surely {s:.3f}" for v, s in zip(values, sure, strict=True)],
        "hovertemplate": "%{text}<extra></extra>",
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [0.0] * len(some),
            "arrayminus": [v - s for v, s in zip(values, sure, strict=True)],
            "color": _NOW,
            "thickness": 2,
            "width": 5,
        },
        "marker": {"color": _NOW, "size": 10},
    }
    levels = [
        _level("warn", "--warn", "dot", [gap.levels.warn for gap in shown]),
        _level("block", "--block", "solid", [gap.levels.block for gap in shown]),
    ]
    most = max([*values, *(gap.levels.block for gap in shown)], default=1.0)
    layout = {
        "height": 110 + 34 * len(shown),
        "xaxis": {"range": [-0.02 * most, 1.08 * most], "nticks": 6},
        "yaxis": {
            "tickvals": list(range(len(shown))),
            "ticktext": [_short(name) for name in names],
            "range": [len(shown) - 0.5, -0.5],
            "showgrid": False,
        },
    }
    return {"data": [excess, *levels], "layout": layout}


def _level(name: str, colour: str, dash: str, values: Sequence[float]) -> Figure:
    """Return a line that runs from row to row, stepping where a row has another level."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [value for value in values for _ in (0, 1)],
        "y": [row + side for row in range(len(values)) for side in (-0.5, 0.5)],
        "hovertemplate": f"{name} level %{{x}}<extra></extra>",
        "line": {"color": colour, "dash": dash, "width": 2},
    }

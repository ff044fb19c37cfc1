"""What the dashboards are built of: queries and panels; one look for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import (
    barchart,
    stat,
    statetimeline,
    statushistory,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.text import TextMode

from grafana import flux
from monitor.policy.model import Levels
from monitor.reports import Severity

#: The datasource of provisioning/datasources/influxdb.yml.
SOURCE = "monitor"

#: By the names of Grafana's palette; a severity's number is its place in `Severity`.
COLOURS = dict(zip(Severity, ("green", "text", "yellow", "orange", "red"), strict=True))


@dataclass(frozen=True)
class FluxQuery(Dataquery, Builder[Dataquery]):
    """A query as Grafana's InfluxDB datasource takes it; the SDK has none of its own."""

    text: str
    ref: str = "A"

    def build(self) -> FluxQuery:
        """Return itself: there is nothing left to build."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return what stands in the dashboard."""
        return {"datasource": source().to_json(), "refId": self.ref, "query": self.text}


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and the unit of its numbers."""

    heading: str
    unit: str = ""
    link: str = ""


def source() -> common.DataSourceRef:
    """Return the reference to the datasource."""
    return common.DataSourceRef(type_val="influxdb", uid=SOURCE)


# ----------------------------------------------------------------------------------------- panels


def line_panel(
    title: str,
    query: str,
    *,
    about: str,
    name: str = "",
    unit: str = "none",
    levels: Levels | None = None,
) -> timeseries.Panel:
    """Return lines over time.

    Parameters
    ----------
    name
        What a line is called: labels as ``${__field.labels.feature}``. By its field, if not said.
    levels
        Drawn as dashed lines at which a policy warns and blocks.
    """
    panel = timeseries.Panel()
    _fill(panel, title, query, about)
    if name:
        panel.display_name(name)
    panel.unit(unit).axis_soft_min(0).show_points(common.VisibilityMode.ALWAYS)
    panel.legend(
        shared.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.RIGHT)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    panel.tooltip(
        shared.VizTooltipOptions()
        .mode(common.TooltipDisplayMode.MULTI)
        .sort(common.SortOrder.DESCENDING)
    )
    if levels is not None:
        style = shared.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_steps(levels)).thresholds_style(style)
    return panel


def bar_panel(title: str, query: str, *, about: str, name: str) -> timeseries.Panel:
    """Return counts over time, one upon another."""
    panel = line_panel(title, query, about=about, name=name, unit="short")
    stacking = shared.StackingConfig().mode(common.StackingMode.NORMAL)
    return panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(60).stacking(stacking)


def shares_panel(title: str, query: str, *, about: str, name: str) -> barchart.Panel:
    """Return bars side by side, one of each number for every row; `name` is the column that says what a row is."""
    panel = barchart.Panel()
    _fill(panel, title, query, about)
    panel.x_field(name).unit("percentunit").x_tick_label_max_length(24)
    panel.show_value(common.VisibilityMode.NEVER).group_width(0.8)
    return panel.tooltip(shared.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))


def fill_between(panel: timeseries.Panel, lower: str, upper: str) -> timeseries.Panel:
    """Return the panel with the band between two of its lines filled, and their own strokes thin."""
    thin = _property("custom.lineWidth", 0)
    panel.override_by_name(lower, [thin])
    return panel.override_by_name(
        upper,
        [thin, _property("custom.fillBelowTo", lower), _property("custom.fillOpacity", 15)],
    )


def level_lines(panel: timeseries.Panel) -> timeseries.Panel:
    """Return the panel with its lines ``warn`` and ``block`` drawn as levels: those that a window was judged by."""
    for name, severity in (("warn", Severity.WARN), ("block", Severity.BLOCK)):
        look = [
            _property("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
            _property("custom.showPoints", "never"),
            _property("color", {"mode": "fixed", "fixedColor": COLOURS[severity]}),
        ]
        panel.override_by_name(name, look)
    return panel


def heat_panel(
    title: str, query: str, *, about: str, name: str, levels: Levels
) -> statushistory.Panel:
    """Return a row for each line, and in it a cell for each window, coloured by the levels."""
    panel = statushistory.Panel()
    _fill(panel, title, query, about)
    panel.display_name(name).decimals(2).thresholds(_steps(levels)).per_page(50)
    panel.color_scheme(board.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    return panel.show_value(common.VisibilityMode.NEVER)


def severity_panel(title: str, query: str, *, about: str, name: str) -> statetimeline.Panel:
    """Return how grave each window was, over time."""
    panel = statetimeline.Panel()
    _fill(panel, title, query, about)
    return panel.display_name(name).mappings(_severities()).merge_values(True)


def severity_number(title: str, query: str, *, about: str) -> stat.Panel:
    """Return the severity of one window, in large letters."""
    panel = number_panel(title, query, about=about)
    return panel.mappings(_severities()).color_mode(common.BigValueColorMode.BACKGROUND)


def number_panel(
    title: str, query: str, *, about: str, unit: str = "short", levels: Levels | None = None
) -> stat.Panel:
    """Return one number, in large letters."""
    panel = stat.Panel()
    _fill(panel, title, query, about)
    panel.unit(unit).graph_mode(common.BigValueGraphMode.NONE)
    panel.reduce_options(shared.ReduceDataOptions().calcs(["lastNotNull"]))
    if levels is not None:
        panel.thresholds(_steps(levels))
    return panel


def table_panel(title: str, query: str, columns: dict[str, Column], *, about: str) -> table.Panel:
    """Return a table with these columns, in this order; columns named ``severity`` are coloured."""
    panel = table.Panel()
    _fill(panel, title, query, about)
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "indexByName": {name: place for place, name in enumerate(columns)},
                "renameByName": {name: column.heading for name, column in columns.items()},
            },
        )
    )
    for name, column in columns.items():
        properties = [_property("unit", column.unit)] if column.unit else []
        if column.link:
            properties.append(_property("links", [{"title": "Look closer", "url": column.link}]))
        if name == "severity":
            properties += [
                _property("mappings", [_severity_words().to_json()]),
                _property("custom.cellOptions", {"type": "color-text"}),
            ]
        if properties:
            panel.override_by_name(column.heading, properties)
    return panel


def breaches_panel(measurement: str, *, about: str) -> table.Panel:
    """Return the table of a version's broken rules, as one of the measurements of breaches has them."""
    fields = ("severity", "value", "threshold", "sentence")
    query = flux.rows(measurement, fields, ("family", "rule"), where=flux.OF_VERSION)
    columns = {
        "_time": Column("window ended", "dateTimeAsIso"),
        "family": Column("family"),
        "rule": Column("rule"),
        "severity": Column("severity"),
        "value": Column("value", "none"),
        "threshold": Column("threshold", "none"),
        "sentence": Column("in words"),
    }
    return table_panel("Breaches", query, columns, about=about)


def text_panel(title: str, content: str) -> text.Panel:
    """Return a text in Markdown."""
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(content)


def _fill(panel: Any, title: str, query: str, about: str) -> None:
    panel.title(title).description(about).datasource(source()).with_target(FluxQuery(query))


def _property(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def _steps(levels: Levels) -> board.ThresholdsConfig:
    steps = [(None, "green"), (levels.warn, "yellow"), (levels.block, "red")]
    return (
        board.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _severities() -> list[dashboard.ValueMapping]:
    options = {
        str(level): dashboard.ValueMappingResult(text=severity.value, color=colour, index=level)
        for level, (severity, colour) in enumerate(COLOURS.items())
    }
    return [dashboard.ValueMap(options=options)]


def _severity_words() -> dashboard.ValueMap:
    return dashboard.ValueMap(
        options={
            severity.value: dashboard.ValueMappingResult(color=colour)
            for severity, colour in COLOURS.items()
        }
    )

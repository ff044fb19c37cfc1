"""What every dashboard has around its panels: variables, links, marks."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models import dashboard

from grafana import flux
from grafana.panels import FluxQuery, source

#: Uids never change: links, alerts and bookmarks hold on to them.
FLEET, VERSION, FEATURE, LABELS, ITSELF, RUNBOOK = (
    f"monitor-{name}" for name in ("fleet", "version", "feature", "labels", "itself", "runbook")
)

_TITLES = {
    FLEET: "Fleet",
    VERSION: "Model version",
    FEATURE: "Feature",
    LABELS: "Labels",
    ITSELF: "Monitor itself",
    RUNBOOK: "Runbook",
}

#: Carries on the time that is looked at.
_KEEP_TIME = "${__url_time_range}"


def variable(name: str, measurement: str, where: str = "", *, label: str) -> board.QueryVariable:
    """Return a variable that takes one value of the tag of its name."""
    query = flux.choices(name, measurement, where)
    return (
        board.QueryVariable(name)
        .label(label)
        .datasource(source())
        .query(query)
        .definition(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
    )


def to_version(model: str, version: str) -> str:
    """Return the address of a version's dashboard; the two are Grafana's words for its name and number."""
    return f"/d/{VERSION}?var-model={model}&var-version={version}&{_KEEP_TIME}"


def to_feature(feature: str) -> str:
    """Return the address of a feature's dashboard, from that of its version."""
    return (
        f"/d/{FEATURE}?var-model=${{model:percentencode}}&var-version=${{version:percentencode}}"
        f"&var-feature={feature}&{_KEEP_TIME}"
    )


def cell(column: str) -> str:
    """Return Grafana's word for another cell of a table's row, fit for an address."""
    return f'${{__data.fields["{column}"]:percentencode}}'


def label(name: str) -> str:
    """Return Grafana's word for a label of the line that was clicked, fit for an address."""
    return f"${{__field.labels.{name}:percentencode}}"


def look_closer(panel: Any, title: str, address: str) -> Any:
    """Return the panel with a link on each of its points."""
    return panel.data_links([board.DashboardLink(title).url(address)])


def new_dashboard(uid: str, about: str) -> board.Dashboard:
    """Return an empty dashboard with links to the others."""
    made = (
        board.Dashboard(_TITLES[uid])
        .uid(uid)
        .description(about)
        .tags(["model-monitor"])
        .readonly()
        .timezone("utc")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    )
    for target, title in _TITLES.items():
        if target != uid:
            link = board.DashboardLink(title).type(dashboard.DashboardLinkType.LINK)
            made.link(link.url(f"/d/{target}").keep_time(True).include_vars(True))
    return made


def rollback_marks(where: str = "true") -> board.AnnotationQuery:
    """Return the annotation that marks each rollback that was made, with its reason."""
    query = flux.pipe(
        flux.read(
            "decisions",
            "reason",
            "from_version",
            "to_version",
            where=f'{where} and r.action == "rollback" and r.stage == "done"',
        ),
        'pivot(rowKey: ["_time", "model"], columnKey: ["_field"], valueColumn: "_value")',
        "group()",
        'map(fn: (r) => ({time: r._time, title: r.model + ": version " + r.from_version + " -> " '
        '+ r.to_version, text: r.reason, tags: "rollback"}))',
    )
    return (
        board.AnnotationQuery()
        .name("Rollbacks")
        .datasource(source())
        .enable(True)
        .icon_color("red")
        .target(FluxQuery(query, ref="Anno"))
    )

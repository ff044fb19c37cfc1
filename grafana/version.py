"""Model version: what drifted, who is treated how, and how it compares with the version before."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as board

from grafana import flux
from grafana.flux import OF_MODEL, OF_VERSION
from grafana.frame import (
    VERSION,
    cell,
    label,
    look_closer,
    new_dashboard,
    rollback_marks,
    to_feature,
    variable,
)
from grafana.panels import (
    Column,
    bar_panel,
    breaches_panel,
    fill_between,
    heat_panel,
    level_lines,
    line_panel,
    number_panel,
    severity_number,
    table_panel,
)
from monitor.policy.model import Levels, ModelPolicy

_FEATURE = "${__field.labels.feature}"
_OF_PREDICTION = f'{OF_VERSION} and r.family == "prediction"'
_OF_FEATURES = f'{OF_VERSION} and r.family == "feature"'
_OF_ATTRIBUTES = f"{OF_VERSION} and r.attributes =~ /^${{attributes:regex}}$/"


def version(policy: ModelPolicy) -> board.Dashboard:
    """Return the dashboard of one version; the policy's levels are drawn in it."""
    about = (
        "One version: what drifted, who is treated how. Lines and colours are the levels of the "
        "policy's defaults; the tables show the level that a breach was judged by."
    )
    attributes = variable("attributes", "fairness", OF_VERSION, label="protected attributes")
    made = (
        new_dashboard(VERSION, about)
        .annotation(rollback_marks(OF_MODEL))
        .with_variable(variable("model", "windows", label="model"))
        .with_variable(variable("version", "windows", OF_MODEL, label="version"))
        .with_variable(attributes)
    )
    for panel in _now(policy):
        made.with_panel(panel.span(6).height(4))
    made.with_row(board.Row("Who is treated how: $attributes"))
    for panel in (_gap(), _rates()):
        made.with_panel(panel.span(12).height(9))
    made.with_panel(_fairness().span(24).height(8))
    made.with_row(board.Row("What changed"))
    made.with_panel(_heat(policy).span(24).height(10))
    for panel in (_prediction(policy), _missing(), _unseen(), _findings()):
        made.with_panel(panel.span(12).height(9))
    made.with_row(board.Row("Versions of $model, side by side"))
    for panel in (_traffic(), _gaps(policy), _predictions(policy)):
        made.with_panel(panel.span(8).height(9))
    return made.with_row(board.Row("On record")).with_panel(_breaches().span(24).height(9))


def _now(policy: ModelPolicy) -> list[Any]:
    return [
        severity_number(
            "Newest window",
            flux.newest("windows", "level", OF_VERSION),
            about="The gravest of what it shows.",
        ),
        number_panel(
            "Largest gap in selection rates",
            flux.newest("fairness", "value", f"{OF_VERSION} and {flux.PARITY}"),
            about="In the newest window, over all protected attributes.",
            unit="percentunit",
            levels=policy.fairness.demographic_parity_difference,
        ),
        number_panel(
            "Prediction drift",
            flux.newest("drift", "psi", _OF_PREDICTION),
            about="PSI above noise of the newest window, in nats.",
            unit="none",
            levels=policy.drift.prediction_psi,
        ),
        number_panel(
            "Predictions",
            flux.newest("windows", "n", OF_VERSION),
            about="In the newest window.",
        ),
    ]


# ---------------------------------------------------------------------------------------- fairness


def _gap() -> Any:
    fields = ("value", "lower", "upper", "baseline", "excess", "warn", "block")
    query = flux.fields_as_lines("fairness", *fields, where=f"{_OF_ATTRIBUTES} and {flux.PARITY}")
    panel = line_panel(
        "Gap in selection rates, with its interval",
        query,
        about="Largest difference between two groups; the band is its simultaneous interval. "
        "Rollback judges the excess over the baseline's gap. warn and block are the levels that each window was judged by.",
        unit="percentunit",
    )
    return level_lines(fill_between(panel, "lower", "upper"))


def _rates() -> Any:
    return line_panel(
        "Selection rate of each group",
        flux.lines("groups", "selection_rate", "group", "answer", where=_OF_ATTRIBUTES, fn="mean"),
        about="Share of favourable answers; for a regression the mean answer. With several answers, each in turn.",
        name="${__field.labels.group} ${__field.labels.answer}",
        unit="percentunit",
    )


def _fairness() -> Any:
    fields = ("severity", "value", "lower", "upper", "baseline", "excess", "highest", "lowest")
    query = flux.last_rows(
        "fairness", fields, ("attributes", "metric"), where=OF_VERSION, by=("attributes", "metric")
    )
    columns = {
        "attributes": Column("attributes"),
        "metric": Column("measure"),
        "severity": Column("severity"),
        "value": Column("value", "none"),
        "lower": Column("from", "none"),
        "upper": Column("to", "none"),
        "baseline": Column("in the baseline", "none"),
        "excess": Column("excess", "none"),
        "highest": Column("highest"),
        "lowest": Column("lowest"),
        "_time": Column("window ended", "dateTimeAsIso"),
    }
    about = "Every measure, in the newest window that has it. Measures that need labels appear with them."
    return table_panel("Fairness measures", query, columns, about=about)


# ------------------------------------------------------------------------------------------- drift


def _heat(policy: ModelPolicy) -> Any:
    panel = heat_panel(
        "Drift of each feature",
        flux.lines("drift", "psi", "feature", where=_OF_FEATURES),
        about="PSI above noise, in nats, against the version's baseline: a row a feature, a cell a window.",
        name=_FEATURE,
        levels=policy.drift.psi,
    )
    return look_closer(panel, "Look closer", to_feature(label("feature")))


def _prediction(policy: ModelPolicy) -> Any:
    return line_panel(
        "Prediction drift",
        flux.lines("drift", "psi", "feature", where=_OF_PREDICTION),
        about="PSI above noise of answers and scores, in nats.",
        name=_FEATURE,
        levels=policy.drift.prediction_psi,
    )


def _missing() -> Any:
    panel = line_panel(
        "Missing values",
        flux.lines("drift", "missing_current", "feature", where=_OF_FEATURES),
        about="Share of the window's values.",
        name=_FEATURE,
        unit="percentunit",
    )
    return look_closer(panel, "Look closer", to_feature(label("feature")))


def _unseen() -> Any:
    query = flux.pipe(
        flux.read("drift", "unseen", "out_of_range", where=_OF_FEATURES),
        'group(columns: ["feature"])',
        flux.per_point(),
        'keep(columns: ["_time", "_value", "feature"])',
    )
    panel = line_panel(
        "Values that the baseline never had",
        query,
        about="Share of labels never seen, or of numbers out of the baseline's range.",
        name=_FEATURE,
        unit="percentunit",
    )
    return look_closer(panel, "Look closer", to_feature(label("feature")))


def _findings() -> Any:
    fields = ("severity", "share", "baseline_share", "among", "sentence")
    query = flux.rows("quality", fields, ("check", "feature"), where=OF_VERSION)
    columns = {
        "_time": Column("window ended", "dateTimeAsIso"),
        "feature": Column("feature", link=to_feature(cell("feature"))),
        "check": Column("what"),
        "severity": Column("severity"),
        "share": Column("share", "percentunit"),
        "baseline_share": Column("in the baseline", "percentunit"),
        "among": Column("among"),
        "sentence": Column("in words"),
    }
    about = "What is odd about the data, and among whom."
    return table_panel("Data quality", query, columns, about=about)


# ---------------------------------------------------------------------------------------- versions


def _traffic() -> Any:
    return bar_panel(
        "Traffic",
        flux.lines("windows", "n", "version", where=OF_MODEL, fn="sum"),
        about="Predictions by version: who serves, and since when.",
        name="${__field.labels.version}",
    )


def _gaps(policy: ModelPolicy) -> Any:
    return _by_version(
        "Largest gap in selection rates",
        flux.lines("fairness", "value", "version", where=f"{OF_MODEL} and {flux.PARITY}"),
        about="Over all protected attributes.",
        unit="percentunit",
        levels=policy.fairness.demographic_parity_difference,
    )


def _predictions(policy: ModelPolicy) -> Any:
    where = f'{OF_MODEL} and r.family == "prediction"'
    return _by_version(
        "Prediction drift",
        flux.lines("drift", "psi", "version", where=where),
        about="PSI above noise, in nats, each against its own baseline.",
        unit="none",
        levels=policy.drift.prediction_psi,
    )


def _by_version(title: str, query: str, *, about: str, unit: str, levels: Levels) -> Any:
    name = "${__field.labels.version}"
    return line_panel(title, query, about=about, name=name, unit=unit, levels=levels)


def _breaches() -> Any:
    about = "Each rule that each window broke, beyond chance, with the level it was judged by."
    return breaches_panel("breaches", about=about)

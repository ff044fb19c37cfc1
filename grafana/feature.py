"""Feature: one column of one version, by every measure that is kept of it."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as board

from grafana import flux
from grafana.flux import OF_FEATURE, OF_MODEL, OF_VERSION
from grafana.frame import FEATURE, new_dashboard, rollback_marks, variable
from grafana.panels import (
    Column,
    level_lines,
    line_panel,
    number_panel,
    shares_panel,
    table_panel,
)
from monitor.policy.model import ModelPolicy

_OF_RULE = f"{OF_VERSION} and r.rule =~ /\\[${{feature:regex}}\\]$/"


def feature(policy: ModelPolicy) -> board.Dashboard:
    """Return the dashboard of one feature; the policy's levels are drawn in it."""
    about = "One feature of one version against the baseline that was frozen with it."
    made = (
        new_dashboard(FEATURE, about)
        .annotation(rollback_marks(OF_MODEL))
        .with_variable(variable("model", "windows", label="model"))
        .with_variable(variable("version", "windows", OF_MODEL, label="version"))
        .with_variable(variable("feature", "drift", OF_VERSION, label="feature"))
    )
    for panel in _now(policy):
        made.with_panel(panel.span(8).height(4))
    made.with_panel(_then_and_now().span(24).height(9))
    for panel in (_drift(), _distances(), _missing(), _unknown()):
        made.with_panel(panel.span(12).height(9))
    return made.with_panel(_findings().span(12).height(9)).with_panel(
        _breaches().span(12).height(9)
    )


def _now(policy: ModelPolicy) -> list[Any]:
    return [
        number_panel(
            "PSI",
            flux.newest("drift", "psi", OF_FEATURE),
            about="Above noise, in nats, in the newest window.",
            unit="none",
            levels=policy.drift.psi,
        ),
        number_panel(
            "p-value",
            flux.newest("drift", "p_value", OF_FEATURE),
            about="Of the column's one test, before false-discovery control: KS for numbers, chi-squared for labels.",
            unit="sci",
        ),
        number_panel(
            "Missing",
            flux.newest("drift", "missing_current", OF_FEATURE),
            about="Share of the newest window's values.",
            unit="percentunit",
        ),
    ]


def _then_and_now() -> Any:
    return shares_panel(
        "Distribution, then and now",
        flux.newest_rows("distributions", ("cell", "then", "now"), "place", where=OF_FEATURE),
        about="Share of all rows in the baseline (then) and in the newest window that shows this column (now): a "
        "window shows its answers, and the columns that changed most.",
        name="cell",
    )


def _drift() -> Any:
    fields = ("psi", "psi_plain", "mmd", "smallest_effect", "warn", "block")
    panel = line_panel(
        "PSI",
        flux.fields_as_lines("drift", *fields, where=OF_FEATURE),
        about="psi is above noise; psi_plain is what other tools compute; a vector has mmd. A window of this size would "
        "not have shown an effect below smallest_effect. warn and block are the levels that each window was judged by.",
    )
    return level_lines(panel)


def _distances() -> Any:
    fields = ("ks", "js", "wasserstein", "hellinger", "total_variation", "l_infinity")
    return line_panel(
        "Other distances",
        flux.fields_as_lines("drift", *fields, where=OF_FEATURE),
        about="Wasserstein in the baseline's standard deviations; the others in [0, 1]. "
        "A measure that does not apply to this kind of column is absent.",
    )


def _missing() -> Any:
    return line_panel(
        "Missing values, then and now",
        flux.fields_as_lines("drift", "missing_reference", "missing_current", where=OF_FEATURE),
        about="Share of the baseline's and of the window's values.",
        unit="percentunit",
    )


def _unknown() -> Any:
    return line_panel(
        "Values that the baseline never had",
        flux.fields_as_lines("drift", "unseen", "out_of_range", where=OF_FEATURE),
        about="Share of labels never seen, or of numbers out of the baseline's range.",
        unit="percentunit",
    )


def _findings() -> Any:
    fields = ("severity", "share", "baseline_share", "among", "sentence")
    query = flux.rows("quality", fields, ("check",), where=OF_FEATURE)
    columns = {
        "_time": Column("window ended", "dateTimeAsIso"),
        "check": Column("what"),
        "severity": Column("severity"),
        "share": Column("share", "percentunit"),
        "baseline_share": Column("in the baseline", "percentunit"),
        "among": Column("among"),
        "sentence": Column("in words"),
    }
    return table_panel("Data quality", query, columns, about="What is odd, and among whom.")


def _breaches() -> Any:
    query = flux.rows("breaches", ("severity", "value", "threshold"), ("rule",), where=_OF_RULE)
    columns = {
        "_time": Column("window ended", "dateTimeAsIso"),
        "rule": Column("rule"),
        "severity": Column("severity"),
        "value": Column("value", "none"),
        "threshold": Column("threshold", "none"),
    }
    return table_panel("Breaches", query, columns, about="Rules about this feature that broke.")

"""Labels: how right a version was, and for whom, once what was true has come in."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as board

from grafana import flux
from grafana.flux import OF_MODEL, OF_VERSION
from grafana.frame import LABELS, new_dashboard, rollback_marks, variable
from grafana.panels import (
    Column,
    breaches_panel,
    fill_between,
    level_lines,
    line_panel,
    number_panel,
    severity_number,
    table_panel,
    text_panel,
)
from monitor.policy.model import ModelPolicy

_OF_ATTRIBUTES = f"{OF_VERSION} and r.attributes =~ /^${{attributes:regex}}$/"

#: Of everybody; a measure of one group has its name.
_OF_ALL = f"{OF_VERSION} and not exists r.group"

#: Of more than two answers each is favourable in turn, as with `flux.PARITY`.
_OPPORTUNITY = "r.metric =~ /^equal_opportunity_difference/"
_ACCURACY = 'r.metric == "accuracy"'

_METRIC = "${__field.labels.metric}"

_FIELDS = ("severity", "value", "lower", "upper", "baseline", "loss", "loss_lower", "n")
_COLUMNS = {
    "severity": Column("severity"),
    "value": Column("value", "none"),
    "lower": Column("from", "none"),
    "upper": Column("to", "none"),
    "baseline": Column("in the baseline", "none"),
    "loss": Column("worse by", "none"),
    "loss_lower": Column("at least", "none"),
    "n": Column("labelled people", "short"),
    "_time": Column("window ended", "dateTimeAsIso"),
}


def labels(policy: ModelPolicy) -> board.Dashboard:
    """Return the dashboard of what labels say; the policy's demands on them are told in it."""
    about = "One version by its labels: how many came, how right the answers were, who was wrongly refused."
    attributes = variable(
        "attributes", "labelled_fairness", OF_VERSION, label="protected attributes"
    )
    made = (
        new_dashboard(LABELS, about)
        .annotation(rollback_marks(OF_MODEL))
        .with_variable(variable("model", "labelled", label="model"))
        .with_variable(variable("version", "labelled", OF_MODEL, label="version"))
        .with_variable(attributes)
    )
    for panel in _now():
        made.with_panel(panel.span(6).height(4))
    made.with_panel(_coverage(policy).span(12).height(9))
    made.with_panel(text_panel("Why a line may be missing", _absent(policy)).span(12).height(9))
    made.with_row(board.Row("How right"))
    for panel in (_performance(), _loss()):
        made.with_panel(panel.span(12).height(9))
    made.with_panel(_measures().span(24).height(8))
    made.with_row(board.Row("Right for whom: $attributes"))
    for panel in (_gap(), _rates()):
        made.with_panel(panel.span(12).height(9))
    made.with_panel(_by_group().span(24).height(9))
    return made.with_row(board.Row("On record")).with_panel(_breaches().span(24).height(9))


def _now() -> list[Any]:
    return [
        severity_number(
            "Newest labelled window",
            flux.newest("labelled", "level", OF_VERSION),
            about="The gravest of what its labels show.",
        ),
        number_panel(
            "Coverage",
            flux.newest("labelled", "coverage", OF_VERSION),
            about="Share of the window's predictions that have a label by now.",
            unit="percentunit",
        ),
        number_panel(
            "Accuracy",
            flux.newest("performance", "value", f"{_OF_ALL} and {_ACCURACY}"),
            about="Share of right answers. A regression has none: its errors are below.",
            unit="percentunit",
        ),
        number_panel(
            "Gap in true positive rates",
            flux.newest("labelled_fairness", "value", f"{OF_VERSION} and {_OPPORTUNITY}"),
            about="Equal opportunity: of those who deserved a favourable answer, how much more often one group got "
            "it than another; the largest over all protected attributes.",
            unit="percentunit",
        ),
    ]


def _absent(policy: ModelPolicy) -> str:
    rules = policy.performance
    return f"""\
Labels come hours or months after the answer. Until then there is nothing to draw, and that is no fault:

- **No window at all**: no label of its predictions has come. `monitor labels` publishes a file of them.
- **Coverage, and nothing else**: a window is judged from {rules.min_coverage:.0%} coverage and {rules.min_labels} labels on.
  The first labels to come are seldom like the rest.
- **One group is missing**: fewer than {policy.fairness.minimum_group_size} of its people have a label. It is counted, and never judged alone.
- **No true positive rate**: nobody in that group has turned out to deserve a favourable answer, or the model is a
  regression.
- **It ends before the others do**: labels of the newest windows have not come yet.

Accuracy is judged against the reference data that was frozen with the version.
"""


def _coverage(policy: ModelPolicy) -> Any:
    return line_panel(
        "Labels, of all predictions",
        flux.fields_as_lines("labelled", "coverage", where=OF_VERSION),
        about=f"By the end of the prediction's window. Judged from {policy.performance.min_coverage:.0%} on.",
        unit="percentunit",
    )


def _performance() -> Any:
    return line_panel(
        "Performance",
        flux.lines("performance", "value", "metric", where=_OF_ALL),
        about="Every measure over everybody with a label. Log loss, Brier, and errors: less is better.",
        name=_METRIC,
    )


def _loss() -> Any:
    return line_panel(
        "Worse than the reference",
        flux.lines("performance", "loss", "metric", where=_OF_ALL),
        about="Above 0 is worse: points for shares, a share of the reference's for log loss, Brier and errors.",
        name=_METRIC,
    )


def _measures() -> Any:
    query = flux.last_rows("performance", _FIELDS, ("metric",), where=_OF_ALL, by=("metric",))
    about = "Every measure over everybody with a label, with its interval, in the newest window that has it."
    columns = {"metric": Column("measure"), **_COLUMNS}
    return table_panel("Performance measures", query, columns, about=about)


def _by_group() -> Any:
    tags = ("metric", "attributes", "group")
    where = f"{OF_VERSION} and exists r.group"
    query = flux.last_rows("performance", _FIELDS, tags, where=where, by=tags)
    about = "The same of each group. A group with few labels has a wide interval."
    columns = {
        "attributes": Column("attributes"),
        "group": Column("group"),
        "metric": Column("measure"),
        **_COLUMNS,
    }
    return table_panel("Performance measures of each group", query, columns, about=about)


def _gap() -> Any:
    fields = ("value", "lower", "upper", "baseline", "excess", "warn", "block")
    query = flux.fields_as_lines(
        "labelled_fairness", *fields, where=f"{_OF_ATTRIBUTES} and {_OPPORTUNITY}"
    )
    panel = line_panel(
        "Equal opportunity: gap in true positive rates, with its interval",
        query,
        about="Among people who deserved a favourable answer. The band is the simultaneous interval; "
        "warn and block are the levels that each window was judged by.",
        unit="percentunit",
    )
    return level_lines(fill_between(panel, "lower", "upper"))


def _rates() -> Any:
    query = flux.lines(
        "labelled_groups",
        "true_positive_rate",
        "group",
        "answer",
        where=_OF_ATTRIBUTES,
        fn="mean",
    )
    return line_panel(
        "True positive rate of each group",
        query,
        about="Of those who deserved a favourable answer, the share that got it.",
        name="${__field.labels.group} ${__field.labels.answer}",
        unit="percentunit",
    )


def _breaches() -> Any:
    about = "Each rule that labels showed to be broken, with the level it was judged by."
    return breaches_panel("labelled_breaches", about=about)

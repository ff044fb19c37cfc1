"""`monitor explain`: the whole story of one decision on one page."""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from monitor.bootstrap import load_policy, open_prediction_log, open_registry, open_store
from monitor.cli.options import as_json, print_json, settings_option
from monitor.cli.progress import working
from monitor.reports import Basis, Decision, Estimate, Report, Severity
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.desk.explain import Explanation

_ABOUT = (
    ("event_time", "answered at"),
    ("model", "model"),
    ("version", "version"),
    ("run_id", "run"),
    ("deployment", "deployment"),
    ("prediction", "answer"),
    ("score", "score"),
    ("subject", "subject (pseudonym)"),
    ("session_id", "session"),
    ("transaction_id", "transaction"),
    ("groups", "protected attributes"),
    ("seal", "their seal"),
)


@click.command()
@click.argument("prediction_id")
@click.option("--model", metavar="M", help="Where several models have this id.")
@click.option("--protected", is_flag=True, help="Open protected attributes; needs the master key.")
@settings_option
@as_json
def explain(
    prediction_id: str,
    model: str | None,
    settings: Settings,
    *,
    protected: bool,
    as_json: bool,
) -> None:
    """Tell what was answered, by which version, on what data, and how fair it was then."""
    with working("looking it up"):
        from monitor.desk.explain import explain as gather

        found = gather(
            prediction_id,
            open_prediction_log(settings, getpass.getuser()),
            open_store(settings),
            open_registry(settings),
            load_policy(settings),
            model=model,
            protected=protected,
        )
    if as_json:
        print_json(found)
        return
    for line in page(found):
        click.echo(line)


def page(found: Explanation) -> Iterator[str]:
    """Yield the page's lines."""
    row = found.prediction
    yield f"Prediction {row['prediction_id']}"
    yield from _pairs((label, row.get(name)) for name, label in _ABOUT)
    place = (row["kafka_topic"], row["kafka_partition"], row["kafka_offset"], row["kafka_index"])
    yield from _pairs([("Kafka", "{} partition {} offset {} place {}".format(*place))])
    yield "\nIt was given"
    yield from _pairs(row["features"].items())
    yield "\nA person decided otherwise" if row["override_at"] else "\nNo person decided otherwise."
    if row["override_at"]:
        names = ("decision", "reviewer", "reason", "at")
        yield from _pairs((name, row[f"override_{name}"]) for name in names)
    yield from _labels(found.labels)
    if not found.reports:
        yield "\nNo report of its window is in the store."
    for report in found.reports:
        yield from _window(report)
    if found.decisions:
        yield "\nDecided on its window"
    for decision in found.decisions:
        yield f"  {_decided(decision)}"
    yield "\nIn the registry today"
    yield from _pairs(_flat(found.registry))


def _labels(labels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not labels:
        yield "\nWhat turned out to be true is not known."
        return
    yield "\nWhat turned out to be true"
    for number, one in enumerate(labels, start=1):
        holds = "holds" if number == len(labels) else "no longer holds"
        source = f", by {one['source']}" if one["source"] else ""
        known = _time(one["known_at"].timestamp())
        yield f"  {one['label']}, known {known}, revision {one['revision']}{source}: {holds}"


def _window(report: Report) -> Iterator[str]:
    times = f"{_time(report.window.start)} to {_time(report.window.end)}"
    by_labels = report.basis is Basis.LABELLED
    yield f"\nThe same window by its labels, {times}" if by_labels else f"\nIts window, {times}"
    worst = max(report.drift, key=lambda column: column.psi or 0.0, default=None)
    yield from _pairs(
        [
            ("predictions", report.n),
            ("of them labelled", report.labelled if by_labels else None),
            ("judged", report.severity.value),
            ("revision", report.revision),
            ("baseline sha256", report.baseline_sha256),
            ("policy sha256", report.policy_sha256),
            ("most drifted", worst and f"{worst.feature}, PSI {worst.psi or 0.0:.3f}"),
        ]
    )
    for measure in report.fairness:
        if measure.value is not None and measure.severity is not Severity.INSUFFICIENT:
            rates = ", ".join(
                f"{name} {group.selection_rate:.3f}"
                for name, group in measure.groups.items()
                if group.selection_rate is not None
            )
            yield f"  {measure.metric}[{' & '.join(measure.attributes)}] {measure.value:.3f}  {rates}"
    for one in report.performance:
        if one.group is None and one.value is not None:
            then = "" if one.baseline is None else f", {one.baseline:.3f} in the reference data"
            yield f"  {one.metric} {one.value:.3f}{then}"
    if report.estimate is not None:
        yield f"  {_estimated(report.estimate)}"
    for breach in report.breaches:
        yield f"  BREACH {breach.rule}: {breach.sentence or f'{breach.value:.3f}'}"


def _estimated(estimate: Estimate) -> str:
    if estimate.accuracy is None:
        return f"no estimate of accuracy: {estimate.withheld}"
    return f"accuracy ESTIMATED from the scores, not measured: {estimate.accuracy:.3f}"


def _decided(decision: Decision) -> str:
    to = f" to {decision.to_version}" if decision.to_version else ""
    return (
        f"{_time(decision.at)}  {decision.action.value} {decision.stage.value}, "
        f"{decision.from_version}{to}, by {decision.actor}: {decision.reason}"
    )


def _pairs(pairs: Any) -> Iterator[str]:
    for label, value in pairs:
        if value not in (None, "", {}):
            yield f"  {label:<22}  {value}"


def _flat(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if isinstance(value, dict):
            yield from value.items()
        else:
            yield name, value


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")

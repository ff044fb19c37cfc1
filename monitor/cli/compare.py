"""`monitor compare`: two files, one verdict."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.cli.main import BREACH, OK
from monitor.cli.options import (
    PATH,
    as_json,
    column_options,
    policy_file,
    policy_for,
    print_json,
    read_policy,
    roles_of,
)
from monitor.cli.progress import working
from monitor.cli.screen import plain_table
from monitor.errors import InputError
from monitor.reports import Report, Severity

#: Shown whether past a level or not.
_ALWAYS = frozenset({"demographic_parity_difference", "disparate_impact"})

_COLOURS = {
    Severity.PASS: "green",
    Severity.INSUFFICIENT: "dim",
    Severity.WARN: "yellow",
    Severity.BLOCK: "red",
    Severity.SEVERE: "bold red",
}


@click.command()
@click.argument("reference", type=PATH)
@click.argument("current", type=PATH)
@column_options
@policy_file
@click.option("--model", metavar="M", help="Whose policy holds, if the file names several.")
@click.option("--html", "page", type=PATH, metavar="FILE", help="Write a page for people, too.")
@as_json
@click.pass_context
def compare(
    context: click.Context,
    reference: Path,
    current: Path,
    prediction: str | None,
    score: str | None,
    label: str | None,
    groups: str,
    policy_path: Path | None,
    model: str | None,
    page: Path | None,
    *,
    as_json: bool,
) -> None:
    """Measure CURRENT against REFERENCE (parquet or CSV): drift, fairness, quality, verdict.

    Exit code 0: pass, warn, or too few rows to tell. 1: a rule is breached. 2: the input is wrong.
    """
    with working(f"measuring {current.name} against {reference.name}"):
        from monitor.desk.compare import compare_files, comparison, verdict_of  # pandas and SciPy
        from monitor.desk.html import render_page
        from monitor.plugins import load_metrics

        roles = roles_of(prediction, score, label, groups)
        policy = policy_for(read_policy(policy_path), model, policy_path)
        compared = compare_files(reference, current, roles, policy, others=load_metrics())
        report = compared.report
        if page is not None:
            names = {"reference": reference.name, "current": current.name}
            _write(page, render_page(compared, policy, **names))
    for column in report.drift:
        if column.missing_reference == 1:
            click.echo(
                f"monitor: {reference}: feature {column.feature} has no value: its drift is not measured",
                err=True,
            )
    if as_json:
        print_json(comparison(report))
    else:
        show_report(report, Console())
    context.exit(BREACH if verdict_of(report) == Severity.BLOCK else OK)


def _write(page: Path, text: str) -> None:
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the page cannot be written: {error.strerror}",
            where=str(page),
            fix="Name a file in a folder that is there.",
        ) from error


def show_report(report: Report, console: Console) -> None:
    """Print a report for people: the verdict first, then what matters most."""
    from monitor.desk.compare import verdict_of

    colour = _COLOURS[report.severity]
    console.print(
        f"[{colour}]{verdict_of(report).upper()}[/]  {report.n:,} rows against {report.n_reference:,}"
    )
    for breach in report.breaches:
        console.print(
            f"  [red]{escape(breach.rule)}[/] {breach.value:.3f}, level {breach.threshold:g}. "
            f"{escape(breach.sentence)}",
            highlight=False,
        )
    told = {breach.sentence for breach in report.breaches}
    for finding in report.quality:
        if finding.sentence in told:
            continue
        console.print(f"  [yellow]{escape(finding.sentence)}[/]", highlight=False)
    console.print(_drift_table(report))
    if report.fairness:
        console.print(_fairness_table(report))


def _drift_table(report: Report) -> Table:
    by_size = sorted(report.drift, key=lambda c: -max(c.psi or 0.0, c.mmd or 0.0))
    columns = (*report.prediction_drift, *by_size)
    vectors = ["MMD"] if any(column.mmd is not None for column in columns) else []
    others = sorted({name for column in columns for name in column.others})
    table = plain_table(
        "column", "PSI", "KS", "JS", "Wasserstein", "missing", "unseen", *vectors, *others
    )
    table.title = "Drift"
    for column in columns:
        table.add_row(
            f"[{_COLOURS[column.severity]}]{escape(column.feature)}[/]",
            *map(_number, (column.psi, column.ks, column.js, column.wasserstein)),
            *map(_share, (column.missing_current, column.unseen)),
            *(_number(column.mmd) for _ in vectors),
            *(_number(column.others.get(name)) for name in others),
        )
    return table


def _fairness_table(report: Report) -> Table:
    """Return the gaps, those past a level first; the rest is in the JSON."""
    names = ("measure", "among", "value", "baseline", "excess", "lowest", "highest")
    table = plain_table(*names, whole=("value", "baseline", "excess"))
    table.title = "Fairness"
    shown = [m for m in report.fairness if m.severity is not Severity.PASS or m.metric in _ALWAYS]
    for measure in sorted(shown, key=lambda m: m.severity is Severity.PASS):
        table.add_row(
            f"[{_COLOURS[measure.severity]}]{escape(measure.metric.replace('_', ' '))}[/]",
            escape(" & ".join(measure.attributes)),
            *map(_number, (measure.value, measure.baseline, measure.excess)),
            escape(measure.lowest or "-"),
            escape(measure.highest or "-"),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"

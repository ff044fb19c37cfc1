"""`monitor replay`: back-test a policy on a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from monitor.cli.main import BREACH, OK
from monitor.cli.options import (
    PATH,
    as_json,
    column_options,
    policy_file,
    print_json,
    read_policy,
    roles_of,
    settings_option,
)
from monitor.cli.progress import working
from monitor.cli.screen import instant, plain_table, spoken
from monitor.errors import MissingColumn
from monitor.events import ModelVersion
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.desk.replay import Replay


@click.command()
@click.argument("file", type=PATH)
@click.option("--time-column", required=True, metavar="T", help="Column with the event time.")
@click.option("--model", required=True, metavar="M")
@click.option("--version", required=True, metavar="V")
@click.option("--reference", type=PATH, help="Make the baseline from this file, ask no registry.")
@column_options
@policy_file
@settings_option
@as_json
@click.pass_context
def replay(
    context: click.Context,
    file: Path,
    time_column: str,
    model: str,
    version: str,
    reference: Path | None,
    prediction: str | None,
    score: str | None,
    label: str | None,
    groups: str,
    policy_path: Path | None,
    settings: Settings,
    *,
    as_json: bool,
) -> None:
    """Run the engine over FILE in event time, and say what the policy would have done.

    Exit code 0: nothing. 1: it would have rolled back. 2: the input is wrong.
    """
    with working(f"replaying {file.name}"):
        from monitor.bootstrap import load_policy, open_registry
        from monitor.desk.baseline import check_favourable, make_baseline  # pandas and SciPy
        from monitor.desk.replay import replay_frame
        from monitor.desk.tables import check_one_value, feature_names, read_table
        from monitor.plugins import load_metrics

        subject = ModelVersion(model, version)
        policy = read_policy(policy_path) if policy_path else load_policy(settings)
        roles = roles_of(prediction or "prediction", score, label, groups, time_column)
        try:
            frame = read_table(file, roles)
        except MissingColumn as error:
            if prediction is not None or error.what != "there is no column prediction":
                raise
            raise MissingColumn(
                error.what, where=error.where, fix="Name that of the answers: --prediction COL."
            ) from error
        if reference is not None:
            known = roles_of(roles.prediction, score, label, groups)
            table = read_table(reference, known).drop(columns=time_column, errors="ignore")
            check_one_value(table, feature_names(table, known), str(reference))
            made = make_baseline(table, known, subject, policy.of(model), created_at="")
        baseline = made if reference is not None else open_registry(settings).baseline(subject)
        if policy_path and baseline is not None:
            check_favourable(baseline.profile, policy.of(model))
            # What this policy would have done is asked, not what the version is under.
            baseline = replace(baseline, thresholds=None)
        result = replay_frame(
            frame,
            roles,
            time_column=time_column,
            subject=subject,
            baseline=baseline,
            policy=policy,
            others=load_metrics(),
        )
    if policy.models and model not in policy.models:
        named = ", ".join(sorted(policy.models))
        click.echo(
            f"monitor: the policy names no model {model} (it names {named}): its defaults hold",
            err=True,
        )
    if as_json:
        print_json({"model": model, "version": version, "events": len(frame), **result.as_dict()})
    else:
        _show(result, Console())
    context.exit(BREACH if result.rollback else OK)


def _show(result: Replay, console: Console) -> None:
    table = plain_table(
        "window ends (UTC)", "events", "severity", "breaches", whole=("window ends (UTC)",)
    )
    for report in result.reports:
        rules = ", ".join(spoken(breach.rule) for breach in report.breaches)
        table.add_row(
            instant(report.window.end), f"{report.n:,}", report.severity.value, escape(rules)
        )
    console.print(table)
    for verdict in result.verdicts:
        if verdict.action.value not in {"none", "record"}:
            console.print(
                f"{verdict.action.value}: {verdict.reason}", highlight=False, markup=False
            )
    if result.dead_letters:
        first = result.dead_letters[0]
        console.print(
            f"{len(result.dead_letters)} rows were set aside; the first: {first.field}: {first.reason}",
            markup=False,
        )

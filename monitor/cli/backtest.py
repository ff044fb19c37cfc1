"""`monitor backtest`: the prediction log under another policy."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from monitor.bootstrap import open_labelled_log, open_registry, read_logged
from monitor.cli.log import Instant
from monitor.cli.main import BREACH, OK
from monitor.cli.options import PATH, as_json, print_json, read_policy, settings_option
from monitor.cli.progress import working
from monitor.cli.screen import instant, plain_table, spoken
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.desk.backtest import Backtest


@click.command()
@click.option("--model", required=True, metavar="M")
@click.option("--policy", "policy_path", required=True, type=PATH, help="The policy to try.")
@click.option("--since", required=True, type=Instant(), help="From this event time on.")
@click.option("--until", type=Instant(), help="Before this event time; now if not said.")
@settings_option
@as_json
@click.pass_context
def backtest(
    context: click.Context,
    model: str,
    policy_path: Path,
    since: dt.datetime,
    until: dt.datetime | None,
    settings: Settings,
    *,
    as_json: bool,
) -> None:
    """Run the engine over the prediction log under another policy, and say what breaches.

    Labels that are known today are judged too. It needs the master key, and goes on the record.

    Exit code 0: nothing. 1: it would have rolled back. 2: the input is wrong.
    """
    from monitor.desk.backtest import backtest as replay_log  # scipy: the help lives without it
    from monitor.plugins import load_metrics

    policy = read_policy(policy_path)
    with working(f"replaying {model}"):
        done = replay_log(
            read_logged(settings, model, since, until),
            open_registry(settings),
            policy,
            model,
            labelled=open_labelled_log(settings),
            others=load_metrics(),
        )
    if as_json:
        said = {"model": model, "policy_sha256": policy.sha256, **done.as_dict()}
        print_json(said)
    else:
        _show(done, Console())
    context.exit(BREACH if done.rollbacks else OK)


def _show(done: Backtest, console: Console) -> None:
    table = plain_table("window ends (UTC)", "version", "by", "events", "breaches")
    for report in done.breaching:
        table.add_row(
            instant(report.window.end),
            escape(report.version),
            report.basis.value,
            f"{report.n:,}",
            escape(", ".join(spoken(breach.rule) for breach in report.breaches)),
        )
    if done.breaching:
        console.print(table)
    console.print(
        f"{done.counted:,} events, {len(done.reports):,} windows, {len(done.breaching):,} breach."
    )
    for verdict in done.rollbacks:
        console.print(
            f"Version {verdict.version} would have been rolled back at "
            f"{instant(verdict.window.end)}: {verdict.reason}",
            highlight=False,
            markup=False,
        )
    if not done.rollbacks:
        console.print("It would have rolled nothing back.")

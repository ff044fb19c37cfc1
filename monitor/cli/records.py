"""`monitor reports` and `monitor decisions`: what was measured, and what was decided."""

from __future__ import annotations

import click
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from monitor.bootstrap import open_store
from monitor.cli.options import as_json, print_json, settings_option
from monitor.cli.progress import working
from monitor.cli.screen import instant, plain_table, spoken
from monitor.reports import Report
from monitor.settings import Settings


@click.command()
@click.option("--model", metavar="M")
@click.option("--version", metavar="V")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@settings_option
@as_json
def reports(
    model: str | None, version: str | None, limit: int, settings: Settings, *, as_json: bool
) -> None:
    """Show the newest windows' reports, oldest first."""
    with working("asking the store"):
        found = open_store(settings).reports(model, version, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No window has closed yet. `monitor doctor` says whether all parts are there.")
        return
    table = plain_table(
        *("window ends (UTC)", "model", "events", "severity", "largest gap", "breaches"),
        whole=("window ends (UTC)", "severity"),
    )
    for report in found:
        table.add_row(
            instant(report.window.end),
            escape(f"{report.model}/{report.version}"),
            f"{report.n:,}",
            report.severity.value,
            _largest_gap(report),
            escape(_breaches(report)),
        )
    Console().print(table)


@click.command()
@click.option("--model", metavar="M")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@settings_option
@as_json
def decisions(model: str | None, limit: int, settings: Settings, *, as_json: bool) -> None:
    """Show the newest decisions, oldest first."""
    with working("asking the store"):
        found = open_store(settings).decisions(model, limit=limit)
    if as_json:
        print_json(found)
        return
    console = Console(highlight=False)
    if not found:
        console.print("Nothing has been decided yet.")
    for decision in found:
        to = f" to {decision.to_version}" if decision.to_version else ""
        dry = " (dry run)" if decision.dry_run else ""
        head = Text(f"{instant(decision.at)}  {decision.model} {decision.from_version}{to}  ")
        head.append(f"{decision.action.value} {decision.stage.value}{dry}", style="bold")
        head.append(f"  by {decision.actor}", style="dim")
        console.print(head)
        console.print(Padding(Text(decision.reason), (0, 0, 0, 4)))


def _breaches(report: Report) -> str:
    """Return the first, whom it harms before all else, and how many there are beside it."""
    if not report.breaches:
        return "-"
    first, more = spoken(report.breaches[0].rule), len(report.breaches) - 1
    return f"{first} and {more} more" if more else first


def _largest_gap(report: Report) -> str:
    gaps = [m for m in report.fairness if m.metric == "demographic_parity_difference" and m.value]
    if not gaps:
        return "-"
    worst = max(gaps, key=lambda measure: measure.value or 0.0)
    return escape(f"{worst.value:.3f} {' & '.join(worst.attributes)}")

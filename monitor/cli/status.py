"""`monitor status`: how each model stands."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from monitor.bootstrap import load_policy, open_registry, open_store
from monitor.cli.options import as_json, print_json, settings_option
from monitor.cli.progress import working
from monitor.cli.screen import ago, plain_table
from monitor.errors import RegistryError
from monitor.reports import Decision, Report, Stage
from monitor.settings import Settings

#: Decisions looked at, to find each model's latest.
_LOOK_BACK = 1_000


@click.command()
@settings_option
@as_json
def status(settings: Settings, *, as_json: bool) -> None:
    """Show each version: its last window, who serves, and the last decision."""
    with working("asking the store and the registry"):
        store = open_store(settings)
        latest = store.newest()
        decisions: dict[str, Decision] = {}
        for decision in store.decisions(limit=_LOOK_BACK):
            decisions[decision.model] = decision
        champions = {
            model: _champion(settings, model) for model in {report.model for report in latest}
        }
        lines = [
            _line(report, champions[report.model], decisions.get(report.model)) for report in latest
        ]
    if as_json:
        print_json(lines)
        return
    table = plain_table(
        "model", "version", "serves", "last window", "events", "severity", "last decision"
    )
    for line in lines:
        table.add_row(
            escape(line["model"]),
            escape(line["version"]),
            line["serves"],
            ago(line["age_seconds"]),
            f"{line['n']:,}",
            line["severity"],
            escape(line["decision"] or "-"),
        )
    if lines:
        Console().print(table)
    else:
        click.echo("No window has closed yet. `monitor doctor` says whether all parts are there.")


def _champion(settings: Settings, model: str) -> str | None:
    try:
        return open_registry(settings).alias(model, load_policy(settings).of(model).alias)
    except RegistryError:
        return None


def _line(report: Report, champion: str | None, decision: Decision | None) -> dict[str, Any]:
    said = None
    if decision is not None:
        to = f" to {decision.to_version}" if decision.to_version else ""
        said = f"{decision.action.value} {decision.stage.value}: {decision.from_version}{to}"
    return {
        "model": report.model,
        "version": report.version,
        "serves": "unknown" if champion is None else "yes" if champion == report.version else "no",
        "window_end": report.window.end,
        "age_seconds": round(max(time.time() - report.closed_at, 0.0), 1),
        "n": report.n,
        "status": report.status.value,
        "severity": report.severity.value,
        "breaches": [breach.rule for breach in report.breaches],
        "decision": said,
        "needs_a_person": decision is not None and decision.stage is Stage.FAILED,
    }

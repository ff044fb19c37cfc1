"""`monitor doctor`: what is reachable, what is misconfigured, and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from monitor.cli.main import BREACH, OK
from monitor.cli.options import as_json, print_json, settings_option
from monitor.cli.progress import working
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.desk.checks import Check

_MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}


@click.command()
@settings_option
@as_json
@click.pass_context
def doctor(context: click.Context, settings: Settings, *, as_json: bool) -> None:
    """Look at Kafka, its topics, the registry, the store, the policy, and the notices.

    Exit code 0: all is well, or worth a warning at most. 1: something fails.
    """
    with working("looking at every part"):
        from monitor.desk.checks import examine

        checks = examine(settings)
    if as_json:
        print_json({"ok": not _failed(checks), "checks": checks})
    else:
        console = Console(soft_wrap=True, highlight=False)
        for check in checks:
            console.print(_MARKS[check.result], escape(f"{check.name}: {check.sentence}"))
            if check.fix:
                console.print("     ", escape(check.fix), style="dim")
    context.exit(BREACH if _failed(checks) else OK)


def _failed(checks: list[Check]) -> bool:
    return any(check.result == "fail" for check in checks)

"""`monitor audit`: proves that the record of decisions is as it was written."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.actions.audit import verify as verify_chain
from monitor.cli.main import BREACH
from monitor.cli.options import PATH, as_json, print_json, settings_option
from monitor.cli.progress import working
from monitor.errors import AuditChainBroken
from monitor.settings import Settings


@click.group()
def audit() -> None:
    """Look at the record of decisions."""


@audit.command()
@click.option("--path", type=PATH, help="The record's file; else the settings' audit.path.")
@settings_option
@as_json
@click.pass_context
def verify(context: click.Context, path: Path | None, settings: Settings, *, as_json: bool) -> None:
    """Prove the hash chain, or name the first bad link (exit code 1)."""
    file = path or settings.audit.path
    try:
        with working(f"checking {file.name}"):
            chain = verify_chain(file)
    except AuditChainBroken as error:
        if as_json:
            print_json({"ok": False, "path": str(file), "reason": str(error)})
        else:
            click.echo(f"BROKEN  {error}", err=True)
        context.exit(BREACH)
        return
    if as_json:
        print_json({"ok": True, "path": str(file), "links": chain.links, "head": chain.head})
    else:
        click.echo(f"ok  {file}: {chain.links} links, head {chain.head}")

"""`monitor rollback`: a person moves the alias, on record."""

from __future__ import annotations

import getpass

import click

from monitor.actions.by_hand import rollback_by_hand
from monitor.bootstrap import load_policy, open_decision_log, open_registry
from monitor.cli.options import as_json, print_json, settings_option
from monitor.cli.progress import working
from monitor.settings import Settings


@click.command()
@click.option("--model", required=True, metavar="M")
@click.option("--to", required=True, metavar="V", help="The version to go to.")
@click.option("--reason", required=True, help="Goes on the record.")
@click.option("--dry-run", is_flag=True, help="Check everything, move nothing.")
@settings_option
@as_json
def rollback(
    model: str, to: str, reason: str, settings: Settings, *, dry_run: bool, as_json: bool
) -> None:
    """Let the alias name another version, with the monitor's own safeguards."""
    with working(f"{model}: going to version {to}"):
        registry = open_registry(settings)
        with open_decision_log(settings) as log:
            decision = rollback_by_hand(
                registry,
                log,
                model=model,
                to=to,
                reason=reason,
                actor=getpass.getuser(),
                alias=load_policy(settings).of(model).alias,
                dry_run=dry_run,
            )
    if as_json:
        print_json(decision)
        return
    would = "would move" if dry_run else "moved"
    click.echo(f"{model}: {would} {decision.alias} from {decision.from_version} to {to}.")

"""`monitor policy`: look at a policy file."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.options import PATH, read_policy


@click.group()
def policy() -> None:
    """Check policy files."""


@policy.command()
@click.argument("file", type=PATH)
def validate(file: Path) -> None:
    """Check FILE; say which key is wrong, and the nearest valid one."""
    valid = read_policy(file)
    models = ", ".join(sorted(valid.models)) or "none by name"
    click.echo(f"{file}: valid. Models: {models}. sha256 {valid.sha256}")

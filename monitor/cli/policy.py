"""`monitor policy`: look at a policy file."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.options import PATH, as_json, print_json, read_policy


@click.group()
def policy() -> None:
    """Check policy files."""


@policy.command()
@click.argument("file", type=PATH)
@as_json
def validate(file: Path, *, as_json: bool) -> None:
    """Check FILE; say which key is wrong, and the nearest valid one."""
    valid = read_policy(file)
    models = ", ".join(sorted(valid.models)) or "none by name"
    if as_json:
        print_json({"ok": True, "models": sorted(valid.models), "sha256": valid.sha256})
        return
    click.echo(f"{file}: valid. Models: {models}. sha256 {valid.sha256}")

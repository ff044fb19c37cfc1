"""`monitor policy`: look at a policy file, and at the thresholds that a version is judged by."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from monitor.cli.options import (
    PATH,
    as_json,
    policy_file,
    print_json,
    read_policy,
    settings_option,
)
from monitor.cli.progress import working
from monitor.events import ModelVersion
from monitor.settings import Settings


@click.group()
def policy() -> None:
    """Check policy files, and the thresholds that belong to a version."""


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


@policy.command()
@click.option("--model", required=True, metavar="M")
@click.option("--version", required=True, metavar="V")
@policy_file
@settings_option
@as_json
def show(
    model: str, version: str, policy_path: Path | None, settings: Settings, *, as_json: bool
) -> None:
    """Show the thresholds that a version is judged by, and where the policy file says otherwise."""
    from monitor.baselines import hash_of
    from monitor.bootstrap import load_policy, open_registry
    from monitor.policy.thresholds import SECTIONS, changes, with_thresholds

    given = (read_policy(policy_path) if policy_path else load_policy(settings)).of(model)
    with working(f"asking for {model}/{version}"):
        stored = open_registry(settings).thresholds(ModelVersion(model, version))
    held = with_thresholds(given, stored)
    differ = changes(held, given)
    if as_json:
        print_json(
            {
                "model": model,
                "version": version,
                "own": stored is not None,
                "sha256": None if stored is None else hash_of(stored),
                "thresholds": held.model_dump(mode="json", include=set(SECTIONS)),
                "policy_says_otherwise": differ,
            }
        )
        return
    whose = "its own thresholds" if stored is not None else "the policy's, having none of its own"
    click.echo(f"{model}/{version} is judged by {whose}:")
    for section, levels in held.model_dump(mode="json", include=set(SECTIONS)).items():
        click.echo(f"  {section}: {levels}")
    for change in differ:
        click.echo(f"The policy says otherwise: {change}. See `monitor policy adopt`.")


@policy.command()
@click.option("--model", required=True, metavar="M")
@click.option("--version", required=True, metavar="V")
@click.option("--reason", required=True, help="Goes on the record.")
@policy_file
@settings_option
@as_json
def adopt(
    model: str,
    version: str,
    reason: str,
    policy_path: Path | None,
    settings: Settings,
    *,
    as_json: bool,
) -> None:
    """Put a registered version under the policy's thresholds, on record.

    Workers judge by them from when they next load the version: restart them.
    """
    with working(f"{model}/{version}: changing its thresholds"):
        from monitor.actions.adopt import adopt_policy
        from monitor.bootstrap import load_policy, open_decision_log, open_registry

        given = read_policy(policy_path) if policy_path else load_policy(settings)
        with open_decision_log(settings) as log:
            decision = adopt_policy(
                open_registry(settings),
                log,
                ModelVersion(model, version),
                given.of(model),
                reason=reason,
                actor=getpass.getuser(),
            )
    if as_json:
        print_json(decision)
        return
    click.echo(f"{model}/{version}: {decision.reason}")
    click.echo("Workers judge by them from when they next load the version: restart them.")

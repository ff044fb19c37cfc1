"""`monitor baseline`: freeze what a model version looked like when it was approved."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

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
from monitor.errors import ActionRefused
from monitor.events import ModelVersion
from monitor.settings import Settings


@click.group()
def baseline() -> None:
    """Make and show baselines."""


@baseline.command()
@click.option("--model", required=True, metavar="M")
@click.option("--version", required=True, metavar="V")
@click.option("--data", required=True, type=PATH, help="Reference data, parquet or CSV.")
@column_options
@policy_file
@settings_option
@click.option("--replace", is_flag=True, help="Though the version has a baseline; thresholds stay.")
@as_json
def create(
    model: str,
    version: str,
    data: Path,
    prediction: str | None,
    score: str | None,
    label: str | None,
    groups: str,
    policy_path: Path | None,
    settings: Settings,
    *,
    replace: bool,
    as_json: bool,
) -> None:
    """Freeze DATA as the baseline of a version: an MLflow artifact, named by its sha256 in a tag."""
    with working(f"freezing {data.name} as the baseline of {model}/{version}"):
        from monitor.baselines import encode_baseline  # pandas and SciPy
        from monitor.bootstrap import load_policy, open_registry
        from monitor.desk.baseline import make_baseline
        from monitor.desk.tables import check_one_value, read_table
        from monitor.policy.judge import judge_baseline
        from monitor.policy.thresholds import encode_thresholds

        subject = ModelVersion(model, version)
        roles = roles_of(prediction, score, label, groups)
        policy = read_policy(policy_path) if policy_path else load_policy(settings)
        registry = open_registry(settings)
        known = next((v for v in registry.versions(model) if v.version == version), None)
        again = known is not None and known.has_baseline
        if again and not replace:
            raise ActionRefused(
                "the version has a baseline, and may be judged by it now",
                where=f"{model}/{version}",
                fix="Register a new version; or say --replace, if that one was made of wrong data.",
            )
        table = read_table(data, roles)
        made = make_baseline(
            table,
            roles,
            subject,
            policy.of(model),
            created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            signature=registry.signature(subject),
        )
        check_one_value(table, [column.name for column in made.layout.features], str(data))
        sha256 = registry.publish_baseline(
            subject,
            encode_baseline(made),
            # Thresholds that it has are changed by `monitor policy adopt` alone, which puts the change on record.
            policy_sha256=None if again else policy.sha256,
            thresholds=None if again else encode_thresholds(policy.of(model)),
        )
        proxies = made.notes["associations"]
        standing = judge_baseline(made, policy.of(model)).breaches
    if as_json:
        print_json(
            {
                "model": model,
                "version": version,
                "sha256": sha256,
                "rows": made.profile.n,
                "features": [column.name for column in made.layout.features],
                "groups": made.layout.groups,
                "associations": proxies,
                "standing": standing,
            }
        )
        return
    click.echo(
        f"{model}/{version}: baseline of {made.profile.n:,} rows, "
        f"{len(made.layout.features)} features, sha256 {sha256}"
    )
    for breach in standing:
        click.echo(
            f"  standing gap: {breach.rule} {breach.value:.3f}, level {breach.threshold:g}. "
            f"{breach.sentence}. It is shown from now on, and no window is blamed for it."
        )
    for proxy in proxies[:5]:
        click.echo(
            f"  {proxy['feature']} gives away {proxy['strength']:.1%} of {proxy['attribute']}"
        )


@baseline.command()
@click.option("--model", required=True, metavar="M")
@click.option("--version", required=True, metavar="V")
@settings_option
@as_json
@click.pass_context
def show(
    context: click.Context, model: str, version: str, settings: Settings, *, as_json: bool
) -> None:
    """Show a version's baseline, after checking its hash."""
    from monitor.bootstrap import open_registry

    with working("asking the registry"):
        found = open_registry(settings).baseline(ModelVersion(model, version))
    if found is None:
        click.echo(
            f"{model}/{version} has no baseline. Make one with `monitor baseline create`.", err=True
        )
        context.exit(1)
        return
    described = {
        "model": model,
        "version": version,
        "sha256": found.sha256,
        "created_at": found.created_at,
        "rows": found.profile.n,
        "features": {column.name: column.kind.value for column in found.layout.features},
        "groups": found.layout.groups,
        "notes": found.notes,
    }
    if as_json:
        print_json(described)
    else:
        for name, value in described.items():
            click.echo(f"{name:<12}{value}")

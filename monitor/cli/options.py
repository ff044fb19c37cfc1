"""Options that several commands share, and how they print."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from monitor.errors import InputError
from monitor.settings import Settings, load_settings

if TYPE_CHECKING:
    from monitor.desk.tables import Roles
    from monitor.policy.model import ModelPolicy, Policy

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

PATH = click.Path(path_type=Path)

policy_file = click.option("--policy", "policy_path", type=PATH, help="Policy file; else defaults.")


#: Where a command finds the name of the settings file, in its context's `meta`.
SETTINGS_FILE = "monitor.settings_file"


def _load_settings(context: click.Context, _: click.Parameter, file: Path | None) -> Settings:
    context.meta[SETTINGS_FILE] = file
    return load_settings(os.environ, file)


settings_option = click.option(
    "--settings",
    "settings",
    type=PATH,
    callback=_load_settings,
    help="YAML file with settings; MONITOR_* variables win over it.",
)


def column_options(command: F) -> F:
    """Add the options that say which columns are not features."""
    for option in (
        click.option("--groups", metavar="A,B", default="", help="Protected attributes."),
        click.option("--label", metavar="COL", help="Column with what turned out to be true."),
        click.option("--score", metavar="COL", help="Column with the score behind the answer."),
        click.option("--prediction", metavar="COL", help="Column with the model's answer."),
    ):
        command = option(command)
    return command


def roles_of(
    prediction: str | None,
    score: str | None,
    label: str | None,
    groups: str,
    *ignored: str,
) -> Roles:
    """Return the columns' roles from the options' texts.

    Raises
    ------
    InputError
        If a column is named for two roles, or groups without an answer to compare them by.
    """
    from monitor.desk.tables import Roles  # brings pandas, which most commands do without

    names = tuple(name.strip() for name in groups.split(",") if name.strip())
    if groups and not names:
        raise InputError(
            "it names no column", where="--groups", fix="Name some: --groups sex,race."
        )
    if names and prediction is None:
        raise InputError(
            "without --prediction nothing is compared between groups",
            where="--groups",
            fix="Name the column of the answers: --prediction COL.",
        )
    named = [name for name in (prediction, score, label, *names, *ignored) if name is not None]
    if twice := [name for name in named if named.count(name) > 1]:
        raise InputError("the column is named for two roles", where=twice[0], fix="Name it once.")
    return Roles(prediction, score, label, names, ignored)


def read_policy(path: Path | None) -> Policy:
    """Return the file's policy, or the defaults.

    Raises
    ------
    InputError
        If the file is not there.
    PolicyError
        If it does not say what a policy may say.
    """
    from monitor.policy.load import parse_policy  # a third of a second, which help does without
    from monitor.policy.model import Policy

    if path is None:
        return Policy()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        msg = f"the policy cannot be read: {why}"
        raise InputError(msg, where=str(path), fix="Check the path.") from error
    return parse_policy(text, where=str(path))


def policy_for(policy: Policy, model: str | None, path: Path | None) -> ModelPolicy:
    """Return what a policy file says of a model; of the only one that it names, where none is asked for.

    Raises
    ------
    InputError
        If it names several and none is asked for, or others than the one asked for.

    Examples
    --------
    >>> from monitor.policy.load import parse_policy
    >>> policy = parse_policy("models: {credit: {consecutive: 2}}", where="policy.yaml")
    >>> policy_for(policy, None, Path("policy.yaml")).consecutive
    2
    >>> policy_for(policy, "credti", Path("policy.yaml"))
    Traceback (most recent call last):
    monitor.errors.InputError: policy.yaml: it names no model credti. Did you mean credit?
    """
    names = sorted(policy.models)
    if not names:
        return policy.defaults
    if model is None and len(names) > 1:
        raise InputError(
            "it names several models",
            where=str(path),
            fix=f"Name one with --model: {', '.join(names)}.",
        )
    if model is not None and model not in names:
        near = difflib.get_close_matches(model, names, n=1)
        raise InputError(
            f"it names no model {model}",
            where=str(path),
            fix=f"Did you mean {near[0]}?" if near else f"It names {', '.join(names)}.",
        )
    return policy.models[model or names[0]]


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

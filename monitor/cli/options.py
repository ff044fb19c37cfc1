"""Options that several commands share, and how they print."""

from __future__ import annotations

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
    from monitor.policy.model import Policy

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
        If a column is named for two roles.
    """
    from monitor.desk.tables import Roles  # brings pandas, which most commands do without

    names = tuple(name.strip() for name in groups.split(",") if name.strip())
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
        msg = f"the policy cannot be read: {error}"
        raise InputError(msg, where=str(path), fix="Check the path.") from error
    return parse_policy(text, where=str(path))


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

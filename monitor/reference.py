"""The pages that list every setting and every key of a policy, from the types: ``python -m monitor.reference docs``."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from monitor.policy.durations import SCHEMA as DURATION
from monitor.policy.model import ModelPolicy
from monitor.publish.settings import _PUBLISH_SETTINGS, PublisherSettings
from monitor.settings import Settings, variable
from monitor.settings.section import Section

_SETTINGS = """# Settings

Written from the types by `python -m monitor.reference docs`; a test keeps it in step.

Each is a variable, or a key in the YAML file that `--settings` names: `MONITOR_KAFKA__BOOTSTRAP` is `bootstrap` in section `kafka`.
The environment wins. An unknown name is an error that names the nearest valid one. **Secrets** come from their variable, or from the
file that the variable with `_FILE` at its end names; a settings file that holds one is refused.
"""

_PUBLISHER = """## Publisher

On serving machines. The variables of section `kafka` above hold for them too, and these; each is a parameter of
`PredictionPublisher` as well, which goes first.

| variable | default | meaning |
|---|---|---|
"""

_POLICY = """# Policy

Written from the types by `python -m monitor.reference docs`; a test keeps it in step. `monitor policy validate FILE` checks a file
and names the nearest valid key to a typo; its JSON Schema is [schemas/policy.schema.json](../schemas/policy.schema.json).

What is said under `defaults` holds for every model; under `models`, by registered name, stands what differs. What is not said has the
default below. Durations are seconds, or `30s`, `5m`, `1h`, `2d`. Why the defaults are what they are: [statistics.md](statistics.md).

```yaml
version: 1
defaults:
  windows: {length: 5m, min_events: 500}
models:
  credit:
    fairness: {favourable: "1", minimum_group_size: 50}
    consecutive: 3
    action: rollback
```
"""


def settings_page() -> str:
    """Return the page of all settings."""
    parts = [_SETTINGS]
    for name, field in Settings.model_fields.items():
        rows = list(_settings((name,), field.annotation))
        parts.append(_table(f"## `{name}`", _doc(field.annotation), rows))
    described = described_in(PublisherSettings)
    rows = [
        (
            f"`MONITOR_PUBLISH__{name.upper()}`",
            _default_of(PublisherSettings, name),
            described[name],
        )
        for name in _PUBLISH_SETTINGS
    ]
    parts.append(_PUBLISHER + "".join(_row(row) for row in rows))
    return "\n".join(parts)


def policy_page() -> str:
    """Return the page of all keys of a policy."""
    top = _table("## A model", _doc(ModelPolicy), list(_keys(ModelPolicy)), first="key")
    parts = [_POLICY, top]
    for name, field in ModelPolicy.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            parts.append(_table(f"## `{name}`", _doc(kind), list(_keys(kind)), first="key"))
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """Return every generated page, by file name."""
    return {"settings.md": settings_page(), "policy.md": policy_page()}


def described_in(type_: Any) -> dict[str, str]:
    """Return what a type's docstring says of each parameter or attribute, in one line.

    Examples
    --------
    >>> described_in(ModelPolicy)["cooldown"]
    'Seconds after a rollback within which no other is made.'
    """
    found: dict[str, str] = {}
    text = inspect.getdoc(type_) or ""
    for body in re.findall(
        r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\S+\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL
    ):
        for names, said in re.findall(
            r"^(\w[\w, ]*)(?: : .*)?\n((?:[ ]{4}.*\n?|\n)+)", body, re.MULTILINE
        ):
            found |= {name.strip(): " ".join(said.split()) for name in names.split(",")}
    return found


def _settings(at: tuple[str, ...], section: Any) -> Iterator[tuple[str, str, str]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _settings((*at, name), kind)
            continue
        secret = SecretStr in (kind, *typing.get_args(kind))
        file = " (or `_FILE`)" if secret else ""
        said = f"**Secret.** {field.description}" if secret else str(field.description)
        yield f"`{variable((*at, name))}`{file}", _default(field), said


def _keys(type_: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    described = described_in(type_)
    for name, field in type_.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ != "Levels":
            yield f"`{name}`", f"see [below](#{name})", _doc(kind).splitlines()[0]
        else:
            yield f"`{name}`", _default(field) + _choices(kind), described.get(name, "")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value in (None, (), {}):
        return "none"
    if isinstance(value, BaseModel):
        return "`{" + ", ".join(f"{k}: {v:g}" for k, v in value.model_dump().items()) + "}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    shown = f"{value:g}" if isinstance(value, float) else getattr(value, "value", value)
    seconds = " s" if field.json_schema_extra == DURATION else ""
    return f"`{shown}`{seconds}" if shown != "" else "empty"


def _choices(kind: Any) -> str:
    if typing.get_origin(kind) is not Literal:
        return ""
    return " of " + ", ".join(f"`{getattr(a, 'value', a)}`" for a in typing.get_args(kind))


def _default_of(type_: Any, name: str) -> str:
    field = type_.__dataclass_fields__[name]
    return f"`{field.default}`" if isinstance(field.default, str | int | float) else "none"


def _doc(type_: Any) -> str:
    return (inspect.getdoc(type_) or "").partition("\n\n")[0].replace("\n", " ")


def _table(
    heading: str, about: str, rows: list[tuple[str, str, str]], *, first: str = "variable"
) -> str:
    head = f"{heading}\n\n{about}\n\n| {first} | default | meaning |\n|---|---|---|\n"
    return head + "".join(_row(row) for row in rows)


def _row(cells: tuple[str, ...]) -> str:
    cleaned = (cell.replace("``", "`").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(cleaned)} |\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{folder / name}\n")

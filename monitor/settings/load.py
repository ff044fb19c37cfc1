"""From the environment and a YAML file to the settings, or to a sentence that says what is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from monitor.errors import SettingsError
from monitor.settings.section import Section
from monitor.settings.tree import Settings

PREFIX = "MONITOR_"
_OF_OTHERS = ("MONITOR_PUBLISH__",)

Keys: TypeAlias = tuple[str, ...]


def load_settings(environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environ
        The environment variables.
    file
        YAML with the same tree; none by default.

    Raises
    ------
    SettingsError
        Naming each setting that is unknown (and the nearest valid one), missing or malformed.

    Examples
    --------
    >>> load_settings({"MONITOR_KAFKA__BOOTSTRAP": "kafka:9092"}).kafka.bootstrap
    'kafka:9092'
    >>> load_settings({"MONITOR_KAFKA__BOOTSRAP": "kafka:9092"})
    Traceback (most recent call last):
    monitor.errors.SettingsError: MONITOR_KAFKA__BOOTSRAP: there is no such setting. Did you mean MONITOR_KAFKA__BOOTSTRAP?
    """
    known = dict(_leaves(Settings))
    said: dict[str, Any] = {}
    for path, value in [*_in_file(file, known), *_in_environment(environ, known)]:
        *sections, leaf = path
        place = said
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = value
    try:
        return Settings.model_validate(said)
    except ValidationError as error:
        sentences = [
            f"{'.'.join(str(part) for part in fault['loc'])}: {_reason(str(fault['msg']))}"
            for fault in error.errors()
        ]
    # Outside the handler: the original error would show a secret in its trace.
    raise SettingsError(
        "; ".join(sentences),
        where="settings",
        fix="kafka.bootstrap, say, is MONITOR_KAFKA__BOOTSTRAP in the environment.",
    )


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "it must be")


def variable(path: Keys) -> str:
    """Return the environment variable of a setting.

    Examples
    --------
    >>> variable(("kafka", "bootstrap"))
    'MONITOR_KAFKA__BOOTSTRAP'
    """
    return PREFIX + "__".join(path).upper()


def _leaves(section: type[BaseModel], at: Keys = ()) -> Iterator[tuple[Keys, bool]]:
    """Each setting's path, and whether it is a secret."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _leaves(kind, (*at, name))
        else:
            yield (*at, name), SecretStr in (kind, *get_args(kind))


def _in_environment(
    environ: Mapping[str, str], known: Mapping[Keys, bool]
) -> Iterator[tuple[Keys, str]]:
    paths = {variable(path): path for path in known}
    files = {f"{variable(path)}_FILE": path for path, secret in known.items() if secret}
    flat = {name.replace("__", "_") for name in (*paths, *files)}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name.startswith(_OF_OTHERS) or not text:
            continue
        if name in paths:
            yield paths[name], text
        elif name in files:
            if environ.get(name.removesuffix("_FILE")):
                raise SettingsError(
                    "the secret is given twice",
                    where=name,
                    fix=f"Unset it or {name.removesuffix('_FILE')}.",
                )
            if secret := _read(Path(text), name).strip():  # an empty file says nothing, either
                yield files[name], secret
        elif "__" in name or name in flat:
            raise _unknown(name, name, {**paths, **files}, mark="__")
        # Others are not ours: Kubernetes sets MONITOR_PORT for a service called monitor.


def _in_file(file: Path | None, known: Mapping[Keys, bool]) -> Iterator[tuple[Keys, Any]]:
    if file is None:
        return
    try:
        said = yaml.safe_load(_read(file, "settings file"))
    except yaml.YAMLError as error:
        raise SettingsError(f"it is not YAML: {error}", where=str(file)) from error
    sections = {path[:depth] for path in known for depth in range(len(path))}

    def walk(at: Keys, value: Any) -> Iterator[tuple[Keys, Any]]:
        dotted, where = ".".join(at), f"{file}: {'.'.join(at)}" if at else str(file)
        if at in sections:
            if value is not None and not isinstance(value, Mapping):
                raise SettingsError("this is a section: it holds keys and values", where=where)
            for key, below in (value or {}).items():
                yield from walk((*at, str(key)), below)
        elif at not in known:
            raise _unknown(dotted, where, map(".".join, sections.union(known) - {()}), mark=".")
        elif known[at]:
            raise SettingsError(
                "a secret has no place in a settings file",
                where=where,
                fix=f"Set {variable(at)}, or {variable(at)}_FILE to the file that holds it.",
            )
        else:
            yield at, value

    yield from walk((), said)


def _read(file: Path, where: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"the file {file} cannot be read ({why})",
            where=where,
            fix="Name a text file that this process may read.",
        ) from error


def _unknown(name: str, where: str, valid: Iterable[str], *, mark: str) -> SettingsError:
    """Name the nearest valid one; where none is near, all that stand beside it."""
    choice = sorted(valid)
    if nearest := difflib.get_close_matches(name, choice, n=1):
        fix = f"Did you mean {nearest[0]}?"
    else:
        section = name.rpartition(mark)[0]
        beside = [other for other in choice if other.rpartition(mark)[0] == section]
        sections = {other.partition(mark)[0] for other in choice}
        fix = f"There are: {', '.join(beside or sorted(sections))}."
    return SettingsError("there is no such setting", where=where, fix=fix)

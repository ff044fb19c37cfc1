"""A policy file's text to a `Policy`, or a sentence that says what is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from monitor.errors import PolicyError
from monitor.policy.model import ModelPolicy, Policy

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Path = Sequence[int | str]


def parse_policy(text: str, *, where: str) -> Policy:
    """Read a policy file.

    A model's entry says only what differs from `defaults`, and `defaults` only what differs from the built-in
    ones: each is merged, key by key, before it is validated.

    Parameters
    ----------
    text
        YAML.
    where
        The file's name, for the errors.

    Raises
    ------
    PolicyError
        Naming each key at fault by its path, with what is allowed there.

    Examples
    --------
    >>> policy = parse_policy("models: {credit: {windows: {length: 1m}}}", where="policy.yaml")
    >>> policy.of("credit").windows.length
    60.0
    """
    said = _read(text, where)
    built_in = ModelPolicy().model_dump()
    defaults = _merge(built_in, said.get("defaults"))
    models = said.get("models")
    whole = dict(said) | {"defaults": defaults}
    if models is None:
        whole.pop("models", None)
    elif isinstance(models, Mapping):
        # A fault in the defaults would come back once a model: they are judged first, alone.
        _validate(whole | {"models": {}}, where)
        whole["models"] = {str(name): _merge(defaults, entry) for name, entry in models.items()}
    return _validate(whole, where)


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a policy file, for editors.

    Nothing is required in it: what a file leaves out is filled in.
    """
    schema = Policy.model_json_schema()
    for definition in schema["$defs"].values():
        definition.pop("required", None)
    return {"$schema": _DIALECT, **schema}


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice: the last one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key, str) and key in seen and key != "<<":
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _read(text: str, where: str) -> Mapping[Any, Any]:
    try:
        said = _content(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        spot = f"{where}, line {mark.line + 1}" if mark else where
        raise PolicyError(error.problem or "it is not YAML", where=spot) from error
    except yaml.YAMLError as error:
        raise PolicyError(f"it is not YAML: {error}", where=where) from error
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise PolicyError(
            f"a policy is a mapping, this is a {type(said).__name__}",
            where=where,
            fix="Start with `defaults:` or `models:`.",
        )
    return said


def _content(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _merge(base: Any, more: Any) -> Any:
    """Return `base` with what `more` says otherwise; a section left empty says nothing."""
    if not isinstance(base, Mapping):
        return more
    if more is None:
        return base
    if not isinstance(more, Mapping):
        return more
    return dict(base) | {key: _merge(base.get(key), value) for key, value in more.items()}


def _validate(said: Mapping[Any, Any], where: str) -> Policy:
    try:
        return Policy.model_validate(said)
    except ValidationError as error:
        sentences = [_sentence(fault["loc"], fault) for fault in error.errors()]
        raise PolicyError("; ".join(sentences), where=where) from error


def _sentence(path: Path, fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in path) or "the policy"
    if fault["type"] == "extra_forbidden":
        key = str(path[-1])
        allowed = _keys(path[:-1])
        near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.5)
        known = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(allowed)}"
        return f"{place}: unknown key {key!r}, {known}"
    value = fault["input"]
    shown = "" if isinstance(value, Mapping) else f"{value!r} is not usable, "
    return f"{place}: {shown}{_reason(fault)}"


def _reason(fault: Mapping[str, Any]) -> str:
    kind, message = fault["type"], str(fault["msg"])
    if kind == "literal_error":
        # Pydantic shows an enumeration's members as Python does.
        return "it must be " + re.sub(r"<\S+: ('\w+')>", r"\1", fault["ctx"]["expected"])
    if kind in {"model_type", "dict_type"}:
        return "it must be a mapping of keys to values"
    return message.removeprefix("Value error, ").replace("Input should be", "it must be")


def _keys(path: Path) -> list[str]:
    """Return the keys that are valid under this path of a policy."""
    model: Any = Policy
    for part in path:
        fields = getattr(model, "model_fields", None)
        model = fields[part].annotation if fields else model
        if getattr(model, "__origin__", None) is dict:
            model = _Named(get_args(model)[1])
        elif isinstance(model, _Named):
            model = model.model
    return list(model.model_fields)


class _Named:
    """A mapping from names to one model: the next step of a path is a name."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model

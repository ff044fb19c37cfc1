"""A version's own thresholds: what counted as a breach when it was registered, kept with it from then on.

Whoever approved a version approved it under certain levels. A policy file that is loosened later must not loosen them
in silence: to adopt its levels for a version that is registered is a decision, and goes on the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from pydantic import ValidationError

from monitor.errors import PolicyError
from monitor.policy.model import ModelPolicy

#: Name of the artifact of the model version, and of the tag that holds its hash.
ARTIFACT = "monitor_thresholds.json"
HASH_TAG = "monitor.thresholds.sha256"

#: What decides whether a window breaches. The rest (windows, alias, action, retention, ...) is how one deployment runs.
SECTIONS = (
    "consecutive",
    "drift",
    "fairness",
    "quality",
    "performance",
    "trend",
    "false_discovery",
)


def encode_thresholds(policy: ModelPolicy) -> bytes:
    """Return the artifact: the policy's thresholds as JSON, the same bytes for the same thresholds.

    Examples
    --------
    >>> with_thresholds(ModelPolicy(), encode_thresholds(ModelPolicy(consecutive=5))).consecutive
    5
    """
    plain = policy.model_dump(mode="json", include=set(SECTIONS))
    return msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=1) + b"\n"


def with_thresholds(policy: ModelPolicy, data: bytes | None) -> ModelPolicy:
    """Return the policy with a version's own thresholds in place of its own.

    A threshold that this release has, and the one that wrote the artifact had not, is the policy's.

    Parameters
    ----------
    data
        The artifact; None if the version has none: then the policy holds as it is.

    Raises
    ------
    PolicyError
        If this release cannot read it.
    """
    if data is None:
        return policy
    try:
        stored = msgspec.json.decode(data, type=dict[str, Any])
        if unknown := sorted(stored.keys() - set(SECTIONS)):
            raise PolicyError(f"there is no threshold {unknown[0]}", where=ARTIFACT, fix=_FIX)
        return ModelPolicy.model_validate(_merge(policy.model_dump(), stored))
    except (msgspec.MsgspecError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise PolicyError(f"it cannot be read: {reason}", where=ARTIFACT, fix=_FIX) from error


def changes(before: ModelPolicy, after: ModelPolicy) -> list[str]:
    """Return each threshold that differs, as its path and both values.

    Examples
    --------
    >>> changes(ModelPolicy(), ModelPolicy(consecutive=5))
    ['consecutive 3 -> 5']
    """
    old, new = (dict(_flat(p.model_dump(include=set(SECTIONS)))) for p in (before, after))
    return [f"{path} {old[path]} -> {value}" for path, value in new.items() if old[path] != value]


_FIX = "Put the version under the policy in force, with `monitor policy adopt`."


def _merge(base: Any, more: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(more, Mapping)):
        return more
    return {**base, **{key: _merge(base.get(key), value) for key, value in more.items()}}


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, part in value.items():
        if isinstance(part, Mapping):
            yield from _flat(part, f"{path}{key}.")
        else:
            yield f"{path}{key}", part

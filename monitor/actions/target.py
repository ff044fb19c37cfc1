"""To which version a rollback goes. Pure: what the registry says goes in, a version or none comes out."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from monitor.events import ModelVersion
from monitor.registry.versions import PREVIOUS_ALIAS, ROLLED_BACK_ID_TAG, RegisteredVersion


class Target(NamedTuple):
    """A version to go back to, and why that one."""

    version: str
    why: str


def choose_target(
    versions: Sequence[RegisteredVersion],
    judged: str,
    *,
    previous: str | None,
    left: Collection[str] = (),
    breaching: Collection[str] = (),
) -> Target | None:
    """Return the version to go back to; None if there is none, and a person is needed.

    The latest earlier version with a clean record: it has a baseline, by which it was and will be watched, was never
    rolled back, and is not in breach itself. Else what the alias ``previous_champion`` names, unless that was rolled
    back or is in breach.

    Parameters
    ----------
    versions
        All of the model.
    judged
        The version to leave.
    previous
        What ``previous_champion`` names, if anything.
    left
        Versions that were rolled back, as the decisions say: if the registry then refused the tags, its word alone
        would make such a version a target again.
    breaching
        Versions that people were told of as unfair or wrong, and not yet that it is over.

    Examples
    --------
    >>> def version(number: int, **about) -> RegisteredVersion:
    ...     return RegisteredVersion(ModelVersion("credit", str(number)), number, **about)
    >>> choose_target(
    ...     [version(1, has_baseline=True), version(2), version(3, has_baseline=True)], "3", previous="2")
    Target(version='1', why='the latest earlier version with a clean record')
    >>> choose_target([version(2), version(3)], "3", previous="2")
    Target(version='2', why='what previous_champion names')
    >>> choose_target([version(2), version(3)], "3", previous="2", breaching={"2"})
    >>> choose_target([version(3)], "3", previous=None)
    """
    untagged = {
        v.version for v in versions if v.version in left and ROLLED_BACK_ID_TAG not in v.tags
    }
    shunned = {judged, *untagged, *breaching}
    usable = {
        v.version: v for v in versions if v.ready and not v.is_bad and v.version not in shunned
    }
    number = next((v.number for v in versions if v.version == judged), None)
    if number is not None:
        clean = [v for v in usable.values() if v.has_baseline and v.number < number]
        if clean:
            latest = max(clean, key=lambda v: v.number)
            return Target(latest.version, "the latest earlier version with a clean record")
    if previous in usable:
        return Target(usable[previous].version, f"what {PREVIOUS_ALIAS} names")
    return None


def rollback_id(version: ModelVersion, began: float) -> str:
    """Return the name of a rollback: the same, however often it is tried.

    Parameters
    ----------
    began
        Start of the breach's first window, seconds since 1970 UTC.

    Examples
    --------
    >>> rollback_id(ModelVersion("credit", "2"), 300.0)
    'ea400424a7d2bf9a'
    """
    return digest(version.model, version.version, f"{began:.6f}")


def digest(*parts: str) -> str:
    """Return a short name for some texts, in their order: 16 hexadecimal digits of a sha256."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

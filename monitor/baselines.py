"""A baseline: what a model version's answers and inputs looked like when it was approved. Frozen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from monitor.errors import BaselineAltered, BaselineError, StateError
from monitor.events import ModelVersion
from monitor.profiles.codec import ProfileWire, from_wire, to_wire
from monitor.profiles.layout import Layout
from monitor.profiles.profile import Profile

#: Name of the artifact of the model version, and of the tag that holds its hash.
ARTIFACT = "monitor_baseline.json"
HASH_TAG = "monitor.baseline.sha256"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The frozen reference of one model version.

    Attributes
    ----------
    profile
        Of the reference data; its layout holds the frozen edges and categories.
    favourable
        The prediction that people want, as a label; None if nobody said.
    created_at
        RFC 3339.
    notes
        What was found when it was made: associations of features with protected attributes, the policy in force.
    sha256
        Of the artifact's bytes.
    thresholds, thresholds_sha256
        The artifact beside it (`monitor.policy.thresholds`): the levels that the version is judged by, whatever the
        deployment's policy says by now. None if it has none of its own.
    kept
        What others made of the profile for good, by names of their own; no part of the artifact.
    """

    model: str
    version: str
    profile: Profile
    favourable: str | None
    created_at: str
    notes: dict[str, Any]
    sha256: str = ""
    thresholds: bytes | None = None
    thresholds_sha256: str = ""
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def layout(self) -> Layout:
        """The version's columns."""
        return self.profile.layout

    @property
    def subject(self) -> ModelVersion:
        """The model version that it belongs to."""
        return ModelVersion(self.model, self.version)


class _Wire(Struct, frozen=True, kw_only=True):
    model: str
    version: str
    created_at: str
    favourable: str | None
    notes: dict[str, Any]
    layout: Layout
    profile: ProfileWire


#: Made here, and not at its first use: see decision 040.
_decode = msgspec.json.Decoder(_Wire).decode


def encode_baseline(baseline: Baseline) -> bytes:
    """Return the artifact: JSON whose count arrays are base64 of little-endian integers."""
    return msgspec.json.format(
        msgspec.json.encode(
            _Wire(
                model=baseline.model,
                version=baseline.version,
                created_at=baseline.created_at,
                favourable=baseline.favourable,
                notes=baseline.notes,
                layout=baseline.layout,
                profile=to_wire(baseline.profile),
            )
        ),
        indent=1,
    )


def decode_baseline(data: bytes, *, sha256: str, where: str = "baseline") -> Baseline:
    """Read the artifact, if it is what was approved.

    Parameters
    ----------
    sha256
        What the model version's tag says.

    Raises
    ------
    BaselineAltered
        If the bytes have another hash.
    BaselineError
        If this release cannot read it.
    """
    found = hash_of(data)
    if found != sha256:
        msg = f"the artifact's sha256 is {found[:12]}..., the version's tag says {sha256[:12]}..."
        raise BaselineAltered(
            msg, where=where, fix="Find out who changed it; then make the baseline anew."
        )
    try:
        wire = _decode(data)
        profile = from_wire(wire.profile, wire.layout)
    except (msgspec.MsgspecError, StateError) as error:
        msg = f"this release cannot read the baseline: {error}"
        raise BaselineError(msg, where=where, fix="Make the baseline anew.") from error
    return Baseline(
        wire.model, wire.version, profile, wire.favourable, wire.created_at, wire.notes, found
    )


def hash_of(data: bytes) -> str:
    """Return the sha256 of an artifact's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()

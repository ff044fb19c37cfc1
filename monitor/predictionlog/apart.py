"""What of an event is protected, and what stays open."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import msgspec

from monitor.events import PredictionEvent, Scalar

#: Texts of groups remembered, and how long one may be, in bytes.
_REMEMBERED, _LONGEST = 10_000, 1_000

_encode = msgspec.json.Encoder().encode
_decode_groups = msgspec.json.Decoder(dict[str, Scalar]).decode


class Protected(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed: protected attributes, and features that are protected attributes too."""

    groups: dict[str, Any] = {}
    features: dict[str, Any] = {}


class Groups(NamedTuple):
    """An event's protected attributes: their names, and what is to be sealed; None if there are none."""

    names: AbstractSet[str]
    plain: bytes | None


class Apart:
    """Keeps what is protected apart.

    Parameters
    ----------
    protected_features
        Which features of a model are protected attributes. Those that bear the name of an event's own group are
        so anyway.
    """

    def __init__(self, protected_features: Callable[[str], AbstractSet[str]]) -> None:
        self.protected_features = protected_features
        self._groups: dict[bytes, Groups] = {}

    def groups(self, written: bytes) -> Groups | None:
        """Return groups that are written so; None if that is not what the contract calls groups.

        There are few of them, said by many events: each is read once. It is sealed anew for each event.
        """
        try:
            return self._groups[written]
        except KeyError:
            pass
        try:
            groups = _decode_groups(written)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        known = Groups(frozenset(groups), _encode(Protected(groups)) if groups else None)
        if len(written) <= _LONGEST:
            if len(self._groups) >= _REMEMBERED:
                self._groups.clear()
            self._groups[written] = known
        return known

    def split(self, event: PredictionEvent) -> tuple[bytes, bytes | None]:
        """Return the open features of an event, and what is to be sealed of it: both as JSON."""
        features, groups = event.features, event.groups
        names = self.protected_features(event.model_name) | groups.keys()
        held = {name: value for name, value in features.items() if name in names}
        if held:
            features = {name: value for name, value in features.items() if name not in held}
        plain = _encode(Protected(groups, held)) if groups or held else None
        return _encode(features), plain

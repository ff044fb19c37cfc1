"""Columns of a version that has no baseline: taken from its first events, so that it is profiled all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from monitor.events import ARROW_CONTENT, MSGPACK_CONTENT, Feature, Scalar
from monitor.profiles.arrow import kinds_of
from monitor.profiles.layout import Column, Kind, Layout, is_nameable

#: How many of the first events are looked at.
_LOOKED_AT = 100

#: How many features and protected attributes are counted at most: anybody may publish under a name of his own.
FEATURES_CAP, GROUPS_CAP = 500, 10

#: What nothing is counted by, and every event is read by.
NO_COLUMNS = Layout(features=(), prediction=Column(name="prediction", kind=Kind.CATEGORICAL))


class _Shape(Struct):
    features: dict[str, Feature]
    prediction: Scalar = None
    score: float | None = None
    groups: dict[str, Scalar] = {}


def provisional_layout(values: Sequence[bytes | None], content: bytes) -> Layout | None:
    """Return a layout without edges or categories that fits the first events; None if none can be read.

    Examples
    --------
    >>> layout = provisional_layout([b'{"features": {"age": 41, "town": "Ulm"}, "prediction": 1}'], b"application/json")
    >>> [(column.name, column.kind.value) for column in layout.columns]
    [('age', 'numeric'), ('town', 'categorical'), ('prediction', 'categorical')]
    """
    if content == ARROW_CONTENT:
        return _of_columns(values)
    codec = msgspec.msgpack if content == MSGPACK_CONTENT else msgspec.json
    features: dict[str, Feature] = {}
    groups: dict[str, None] = {}
    prediction: Scalar = None
    scored, read = False, 0
    for value in values[:_LOOKED_AT]:
        try:
            shape = codec.decode(value or b"", type=_Shape)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        read += 1
        _learn(features, shape.features)
        groups |= dict.fromkeys(filter(is_nameable, shape.groups))
        prediction = shape.prediction if prediction is None else prediction
        scored = scored or shape.score is not None
    if not read:
        return None
    regression = isinstance(prediction, float) and not isinstance(prediction, bool)
    kind = Kind.NUMERIC if regression else Kind.CATEGORICAL
    kinds = {name: _kind(value) for name, value in features.items()}
    return _layout(kinds, kind, groups, scored=scored)


def _of_columns(values: Sequence[bytes | None]) -> Layout | None:
    """Return the layout of the first Arrow message that can be read."""
    kinds = next(filter(None, map(kinds_of, values[:_LOOKED_AT])), None)
    if kinds is None or "prediction" not in kinds:
        return None
    return _layout(
        _under("features.", kinds),
        kinds["prediction"],
        _under("groups.", kinds),
        scored=kinds.get("score") is Kind.NUMERIC,
    )


def _under(prefix: str, kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    under = {
        name.removeprefix(prefix): kind for name, kind in kinds.items() if name.startswith(prefix)
    }
    return {name: kind for name, kind in under.items() if is_nameable(name)}


def _layout(
    features: Mapping[str, Kind], answer: Kind, groups: Iterable[str], *, scored: bool
) -> Layout:
    return Layout(
        features=tuple(Column(name=n, kind=features[n]) for n in sorted(features)[:FEATURES_CAP]),
        prediction=Column(name="prediction", kind=answer),
        score=Column(name="score", kind=Kind.NUMERIC) if scored else None,
        groups=tuple(sorted(groups)[:GROUPS_CAP]),
    )


def _learn(known: dict[str, Feature], seen: Mapping[str, Feature]) -> None:
    for name, value in seen.items():
        if isinstance(value, list):
            continue  # only a baseline says how vectors are to be counted
        if known.get(name) is None and is_nameable(name):
            known[name] = value


def _kind(example: Feature) -> Kind:
    if isinstance(example, bool):
        return Kind.BOOLEAN
    return Kind.CATEGORICAL if isinstance(example, str) else Kind.NUMERIC

"""The generated loop that packs one model version's events into rows of numbers.

Two structs are generated per version. The quick one names the labels that came so far, so that a text is recognised
without being made; the careful one takes any value that the contract allows. An event that the quick one refuses is
read again by the careful one, which says what is wrong with it, if anything is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec.msgpack import Ext

from monitor.errors import EventError, LayoutMismatch
from monitor.profiles.layout import Kind
from monitor.profiles.vocabulary import RowShape

if TYPE_CHECKING:
    from types import CodeType

    from monitor.events import ModelVersion
    from monitor.profiles.vocabulary import Vocabulary

Content = Literal["json", "msgpack"]
Labels = tuple[int | str, ...]

#: All that bytes from outside may do to the loop. ValueError holds UnicodeDecodeError.
_REFUSED = (msgspec.MsgspecError, EventError, TypeError, ValueError, RecursionError, OverflowError)

#: After this many events the loop is fitted to what came, and again whenever this share of them was slow.
_TRIAL = 1000
_MANY_SLOW = 0.05

#: Fits after which labels are no longer expected to settle.
_FITS = 8

_LABEL = int | float | str | bool


class Packed(NamedTuple):
    """What the loop returns.

    Attributes
    ----------
    filled
        Bytes of `buffer` that hold rows.
    times, ids
        Of the events packed; ids only if asked for.
    failed
        Position and error of each value that was refused.
    slow
        How many of the events packed had to be read twice.
    """

    buffer: bytearray
    filled: int
    times: list[str | Ext]
    ids: list[str]
    failed: list[tuple[int, Exception]]
    slow: int


class Packer:
    """Packs events of one version into rows coded with one vocabulary.

    Parameters
    ----------
    vocabulary
        Learns the labels that come.
    version
        What the events must say they are of; None to take any.
    content
        How they are written.

    Raises
    ------
    LayoutMismatch
        If a column has a name that no struct can carry.
    """

    def __init__(
        self, vocabulary: Vocabulary, version: ModelVersion | None, content: Content
    ) -> None:
        self.vocabulary = vocabulary
        self._version = version
        self._content: Content = content
        self._any: list[Labels | None] = [None] * len(vocabulary.all)
        self._known = self._any
        self._decode = self._decoder(self._any)
        self._quick = self._decode
        self._nulls = False
        self._fits = self._seen = self._slow = 0
        self._loops: dict[bool, Callable[[Sequence[bytes | None]], Packed]] = {}

    def pack(self, values: Sequence[bytes | None], *, ids: bool) -> Packed:
        """Return the rows of the good events, and what was wrong with the others."""
        loop = self._loops.get(ids)
        if loop is None:
            loop = self._loops[ids] = self._compile(ids=ids)
        packed = loop(values)
        self._seen += len(values)
        self._slow += packed.slow
        if self._seen >= _TRIAL:
            if not self._fits or self._slow > self._seen * _MANY_SLOW:
                self._fit()
            self._seen = self._slow = 0
        return packed

    def _fit(self) -> None:
        """Expect what came so far: labels first; if they do not explain what was slow, nulls; then anything."""
        known = [codes.few() for codes in self.vocabulary.all]
        if known != self._known and self._fits < _FITS:
            self._known = known
        elif not self._nulls:
            self._nulls = True
        else:
            self._known, self._fits = self._any, _FITS
        self._fits += 1
        self._quick = self._decoder(self._known)
        self._loops.clear()

    def _decoder(self, known: Sequence[Labels | None]) -> Callable[[bytes], Any]:
        codec: Any = msgspec.msgpack if self._content == "msgpack" else msgspec.json
        event = _event_type(self.vocabulary.shape, known, self._version, self._content)
        decode: Callable[[bytes], Any] = codec.Decoder(event).decode
        return decode

    def _compile(self, *, ids: bool) -> Callable[[Sequence[bytes | None]], Packed]:
        shape = self.vocabulary.shape
        row = struct.Struct(f"{shape.width}d")
        vectors = [(index, shape.layout.columns[index].dimension) for index in shape.vectors]
        names: dict[str, Any] = {
            "NAN": float("nan"),
            **{f"NO{index}": (float("nan"),) * dimension for index, dimension in vectors},
            "NOT_QUICK": (KeyError, struct.error, msgspec.ValidationError),
            "Packed": Packed,
            "REFUSED": _REFUSED,
            "SIZE": row.size,
            "decode": self._decode,
            "pack_into": row.pack_into,
            "quick": self._quick,
        }
        for i, codes in enumerate(self.vocabulary.all):
            names |= {f"V{i}": codes.of_value, f"B{i}": codes.of_bool, f"L{i}": codes.learn}
        narrow = [labels is not None for labels in self._known]
        code = _source(self.vocabulary.shape, narrow, nulls=self._nulls, ids=ids)
        exec(code, names)  # noqa: S102 - the text holds positions only, no name from outside
        loop: Callable[[Sequence[bytes | None]], Packed] = names["pack"]
        return loop


def _event_type(
    shape: RowShape,
    known: Sequence[Labels | None],
    version: ModelVersion | None,
    content: Content,
) -> type:
    """Return a struct of what is used of an event, in the order in which events.py writes it."""
    layout = shape.layout
    name: Any = str if version is None else Literal[version.model]
    number: Any = str if version is None else Literal[version.version]
    time: Any = str | Ext if content == "msgpack" else str
    types: dict[int, Any] = dict.fromkeys(shape.numbers, float | None)
    for index in shape.vectors:
        length = layout.columns[index].dimension
        whole = Annotated[list[float], msgspec.Meta(min_length=length, max_length=length)]
        types[index] = whole | None
    for index, labels in zip(shape.coded, known, strict=False):
        boolean = layout.columns[index].kind is Kind.BOOLEAN
        types[index] = _label_type(labels, bool | int if boolean else _LABEL)
    answer = len(layout.columns) - 1
    # A null answer is refused by the struct of numbers, and of labels by its codes.
    types[answer] = float if layout.prediction.is_numeric else types[answer]
    features = [(column.name, types[index]) for index, column in enumerate(layout.features)]
    fields: list[Any] = [
        ("event_id", str),
        ("prediction_id", str),
        ("event_time", time),
        ("model_name", name),
        ("model_version", number),
        ("features", _struct("Features", "f", features)),
        ("prediction", types[answer]),
    ]
    if layout.score is not None:
        fields.append(("score", float | None, float("nan")))
    if layout.groups:
        attributes = zip(layout.groups, known[len(shape.coded) :], strict=True)
        groups = _struct("Groups", "g", [(n, _label_type(k, _LABEL)) for n, k in attributes])
        fields.append(("groups", groups, groups()))
    return msgspec.defstruct("Event", fields, gc=False, kw_only=True)


def _label_type(labels: Labels | None, otherwise: Any) -> Any:
    return (Literal[labels] if labels else otherwise) | None


def _struct(title: str, letter: str, columns: Sequence[tuple[str, Any]]) -> type[msgspec.Struct]:
    """Return a struct with one optional field per column, whose own names never reach the code."""
    names = {f"{letter}{i}": name for i, (name, _) in enumerate(columns)}
    fields = [
        (field, kind, float("nan") if kind == float | None else None)
        for field, (_, kind) in zip(names, columns, strict=True)
    ]
    try:
        return msgspec.defstruct(title, fields, gc=False, frozen=True, rename=names)
    except ValueError as error:
        raise LayoutMismatch(
            f"a column's name cannot stand in an event: {error}",
            fix="Rename it: no quotes, backslashes or control characters, and no name twice.",
        ) from error


def _source(shape: RowShape, narrow: Sequence[bool], *, nulls: bool, ids: bool) -> CodeType:
    """Return the compiled loop.

    Parameters
    ----------
    narrow
        Of each coded part of a row: whether its labels are named, which leaves out booleans.
    nulls
        Whether null numbers are common: then each is checked, instead of failing on one.
    ids
        Whether event ids are wanted.
    """
    paths = [
        f"f.f{index}" if index < shape.features else f"e.{shape.field(index)}"
        for index in range(len(shape.layout.columns))
    ]
    plain = [paths[index] for index in shape.numbers]
    checked = [f"(x if (x := {path}) is not None else NAN)" for path in plain]
    labels = [paths[index] for index in shape.coded]
    labels += [f"g.g{index}" for index in range(len(shape.layout.groups))]
    # True and 1 are one key to a dict, so booleans have their own.
    looked_up = [
        f"V{i}[{path}]"
        if named
        else f"(V{i}[x] if (x := {path}).__class__ is not bool else B{i}[x])"
        for i, (path, named) in enumerate(zip(labels, narrow, strict=True))
    ]
    learned = [f"L{i}({path})" for i, path in enumerate(labels)]
    # None is no vector; one of another length never comes so far.
    spread = [f"*(x if (x := f.f{index}) is not None else NO{index})" for index in shape.vectors]
    parts = "f = e.features" + ("; g = e.groups" if shape.layout.groups else "")
    text = f"""
def pack(values):
    buffer = bytearray(len(values) * SIZE)
    at = slow = 0
    times, ids, failed = [], [], []
    take_time, take_id = times.append, ids.append
    for i, value in enumerate(values):
        try:
            try:
                e = quick(value); {parts}
                pack_into(buffer, at, {", ".join((checked if nulls else plain) + looked_up + spread)})
            except NOT_QUICK:
                e = decode(value); {parts}
                pack_into(buffer, at, {", ".join(checked + learned + spread)})
                slow += 1
        except REFUSED as error:
            failed.append((i, error))
            continue
        at += SIZE
        take_time(e.event_time)
        {"take_id(e.event_id)" if ids else ""}
    return Packed(buffer, at, times, ids, failed, slow)
"""
    return compile(text, "<events to rows>", "exec")

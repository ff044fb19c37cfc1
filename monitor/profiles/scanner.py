"""The quick way through messages that are written alike: what it is not sure of, it leaves.

What it reads, it reads as `monitor.profiles.packing` would have; a property holds them together. So it may be left
out at any time, and is where Numba is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from monitor.errors import EventError
from monitor.kernels.blanks import Blank
from monitor.kernels.pieces import Pieces
from monitor.profiles.places import behind_scalar, places_in_json, places_in_msgpack
from monitor.profiles.template import template, wanted
from monitor.profiles.vocabulary import MISSING_CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.events import ModelVersion
    from monitor.profiles.packing import Content
    from monitor.profiles.places import Place
    from monitor.profiles.template import Template
    from monitor.profiles.vocabulary import Codes, Vocabulary

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

#: Ways of writing that are remembered, and tokens.
_TEMPLATES, _TOKENS = 8, 20_000

#: After so many batches in a row that were mostly left, only each sixteenth is tried.
_PATIENCE = 8

_JSON_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*"|[^\s{}\[\],:"]+')


@dataclass(slots=True)
class Scanned:
    """What a scan returns.

    Attributes
    ----------
    rows
        Shape (n, width); a row that was left holds anything.
    times
        Seconds since 1970 UTC, shape (n,).
    left
        Messages that were not read, in order.
    data
        All messages, one behind the other.
    id_spans
        Where in it each event id begins and ends, shape (n, 2).
    unknown
        Of each message that was left at a label which nobody knows: which number of the row it is, and where it stands
        in the data; else -1. Shape (n, 2).
    """

    rows: Floats
    times: Floats
    left: Integers
    unknown: Integers
    data: bytes
    id_spans: Integers

    def ids(self) -> list[str]:
        """Return the event ids; of messages that were left, anything."""
        return [str(self.data[a:b], "ascii", "replace") for a, b in self.id_spans.tolist()]


class Scanner:
    """Reads messages by the templates of those that came before.

    Parameters
    ----------
    vocabulary
        Whose codes the rows are written in.
    version
        What the events must say they are of; None to take any.
    content
        How they are written.

    Raises
    ------
    ImportError
        If Numba is not installed.
    """

    def __init__(
        self, vocabulary: Vocabulary, version: ModelVersion | None, content: Content
    ) -> None:
        from monitor.kernels import json, msgpack
        from monitor.kernels.tokens import Tokens

        self._vocabulary = vocabulary
        self._scan: Callable[..., None]
        self._places: Callable[[bytes], Iterator[Place]]
        self._behind: Callable[[bytes, int], int]
        self._encode: Callable[[object], bytes]
        self._decode: Callable[[bytes], Any]
        if content == "json":
            self._scan, self._places, self._behind = json.scan, places_in_json, _behind_json
            self._encode, self._decode = msgspec.json.encode, msgspec.json.decode
        else:
            self._scan, self._places, self._behind = msgpack.scan, places_in_msgpack, behind_scalar
            self._encode, self._decode = msgspec.msgpack.encode, msgspec.msgpack.decode
        self._wanted = wanted(vocabulary.shape, version)
        first = len(vocabulary.shape.numbers)
        self._codes: dict[int, Codes] = dict(enumerate(vocabulary.all, first))
        self._templates: list[Template] = []
        self._tokens = Tokens()
        self._vain = 0

    def scan(self, values: Sequence[bytes | None]) -> Scanned:
        """Return the rows of the messages that could be read."""
        n = len(values)
        pieces = values if isinstance(values, Pieces) else Pieces.of(values)
        found = Scanned(
            np.empty((n, self._vocabulary.shape.width)),
            np.zeros(n),
            np.arange(n),
            np.full((n, 2), -1, np.int64),
            pieces.data,
            np.zeros((n, 2), np.int64),
        )
        if self._vain >= _PATIENCE and self._vain % 16:
            self._vain += 1
            return found
        left = found.left
        read = []
        for known in self._templates:
            before = len(left)
            left = self._read(known, found, left, pieces)
            read.append((before - len(left), known))
        read.sort(key=lambda one: one[0], reverse=True)
        self._templates = [known for _, known in read]
        self._vain = self._vain + 1 if 2 * len(left) > n else 0
        np.divide(found.times, 1e6, out=found.times)
        found.left = left
        return found

    def _read(self, known: Template, found: Scanned, which: Integers, pieces: Pieces) -> Integers:
        """Read messages of one template; return those that are of another."""
        if not len(which):
            return which
        stops = np.zeros((len(pieces), 3), np.int64)
        self._scan(
            pieces.buffer,
            which,
            pieces.begins,
            pieces.ends,
            known.literals,
            known.bounds,
            known.blanks,
            known.targets,
            self._tokens.kinds,
            self._tokens.spans,
            self._tokens.codes,
            self._tokens.texts,
            found.rows,
            found.times,
            found.id_spans,
            stops,
        )
        for target in known.absent.tolist():
            found.rows[which, target] = MISSING_CODE if target in self._codes else np.nan
        left: Integers = which[stops[which, 0] >= 0]
        if len(left):
            at_value = left[stops[left, 2] > 0]
            at_label = at_value[known.blanks[stops[at_value, 0]] == Blank.LABEL]
            found.unknown[at_label, 0] = known.targets[stops[at_label, 0]]
            found.unknown[at_label, 1] = stops[at_label, 1]
        return left

    def learn(self, values: Sequence[bytes | None], found: Scanned, good: Integers) -> None:
        """Remember what was left but turned out to be good: labels, and one more way of writing."""
        if self._vain > _PATIENCE:
            return
        labels: set[tuple[int, bytes]] = set()
        other = None
        for message, (target, at) in zip(good.tolist(), found.unknown[good].tolist(), strict=True):
            token = self._token(found.data, at) if target >= 0 else b""
            if token:
                labels.add((target, token))
            else:
                other = message if other is None else other
        for target, token in labels:
            if len(self._tokens) < _TOKENS:
                self._learn_label(target, token)
        if other is not None and len(self._templates) < _TEMPLATES:
            self._learn_from(values[other] or b"")

    def _token(self, data: bytes, place: int) -> bytes:
        """Return the scalar that stands here; nothing of a message that is written otherwise."""
        try:
            return data[place : self._behind(data, place)]
        except ValueError:
            return b""

    def _learn_label(self, target: int, token: bytes) -> None:
        try:
            code = self._codes[target].learn(self._decode(token))
        except (msgspec.MsgspecError, EventError, ValueError):
            return  # its key is there twice, and it is not the one that counted
        self._tokens.learn(target, token, code)

    def _learn_from(self, example: bytes) -> None:
        width = self._vocabulary.shape.width
        try:
            new = template(example, self._places, self._wanted, width)
        except ValueError:  # a name that is no text, of something that nobody asks for
            return
        if new is None or any(new.same_as(known) for known in self._templates):
            return
        self._templates.append(new)
        for target, codes in self._codes.items():
            for value, code in (*codes.of_value.items(), *codes.of_bool.items()):
                self._tokens.learn(target, self._encode(value), code)


def _behind_json(data: bytes, place: int) -> int:
    """Return where a scalar of JSON ends.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = _JSON_SCALAR.match(data, place)
    if found is None:
        msg = f"no string, number or word begins at {place}"
        raise ValueError(msg)
    return found.end()

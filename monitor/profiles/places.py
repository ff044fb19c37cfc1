"""Where each value of a message stands: JSON and MessagePack that are known to be well formed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from monitor.kernels.heads import COUNT_BYTES, FIXED

#: Keys and positions that lead to a value; a key of MessagePack that is no text is left as it is written.
Path = tuple[str | int | bytes, ...]

#: A path, and where its value begins and ends; of a map or an array, which holds others, the same place twice.
Place = tuple[Path, int, int]

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

_MAPS = {0xDE: 2, 0xDF: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}


def places_in_json(message: bytes) -> Iterator[Place]:
    """Yield path and place of each value of a JSON document.

    Examples
    --------
    >>> [place for place in places_in_json(b'{"a": [1, null], "b": "x"}') if place[1] < place[2]]
    [(('a', 0), 7, 8), (('a', 1), 10, 14), (('b',), 22, 25)]
    """
    path: list[str | int] = []
    key_next = False
    for match in _TOKEN.finditer(message):
        token = match[0]
        if token in {b"{", b"["}:
            yield tuple(path), match.start(), match.start()
            key_next = token == b"{"
            path.append("" if key_next else 0)
        elif token in {b"}", b"]"}:
            path.pop()
            key_next = False
        elif token == b",":
            key_next = isinstance(path[-1], str)
            if not key_next:
                path[-1] = int(path[-1]) + 1
        elif key_next and token != b":":
            path[-1] = msgspec.json.decode(token, type=str)
            key_next = False
        elif token != b":":
            yield tuple(path), match.start(), match.end()


def places_in_msgpack(message: bytes) -> Iterator[Place]:
    """Yield path and place of each value of a MessagePack document.

    Raises
    ------
    ValueError
        If a key is a map or an array.

    Examples
    --------
    >>> message = msgspec.msgpack.encode({"a": [1, None], "b": "x"})
    >>> [place for place in places_in_msgpack(message) if place[1] < place[2]]
    [(('a', 0), 4, 5), (('a', 1), 5, 6), (('b',), 8, 10)]
    """
    at = 0
    path: Path = ()
    # Of each map and array that is open: its path, whether it is a map, and the positions still to come.
    inside: list[tuple[Path, bool, Iterator[int]]] = []
    while True:
        found = _container(message, at)
        if found is None:
            after = behind_scalar(message, at)
            yield path, at, after
            at = after
        else:
            yield path, at, at
            is_map, count, at = found
            inside.append((path, is_map, iter(range(count))))
        while inside and (position := next(inside[-1][2], -1)) < 0:
            inside.pop()
        if not inside:
            return
        above, is_map, _ = inside[-1]
        if is_map:
            after = behind_scalar(message, at)
            path = (*above, _key(message[at:after]))
            at = after
        else:
            path = (*above, position)


def behind_scalar(message: bytes, at: int) -> int:
    """Return where a scalar of MessagePack ends.

    Raises
    ------
    ValueError
        If there is none.
    """
    head = message[at]
    counted = int(COUNT_BYTES[head])
    if FIXED[head] < 0:
        msg = f"a map or an array stands at {at} where there may be none"
        raise ValueError(msg)
    return at + int(FIXED[head]) + int.from_bytes(message[at + 1 : at + 1 + counted])


def _key(token: bytes) -> str | bytes:
    key = msgspec.msgpack.decode(token)
    return key if isinstance(key, str) else token


def _container(message: bytes, at: int) -> tuple[bool, int, int] | None:
    """Return whether it is a map, how many values it has, and where they begin; None of a scalar."""
    head = message[at]
    if 0x80 <= head < 0xA0:
        return head < 0x90, head & 0xF, at + 1
    wide = _MAPS.get(head) or _ARRAYS.get(head)
    if wide is None:
        return None
    return head in _MAPS, int.from_bytes(message[at + 1 : at + 1 + wide]), at + 1 + wide

"""What a label's bytes within a message stand for, looked up without making a text of them."""

from __future__ import annotations

import numpy as np
from numba import float64, int64

from monitor.kernels.compiled import BYTES, FLOATS, INTEGERS, PAIRS, kernel, part, word_at
from monitor.kernels.texts import matches

_U = np.uint64
_MIX = _U(0x9E37_79B9_7F4A_7C15)
_SHIFT = _U(29)

#: Longer tokens are not kept.
TOKEN_LENGTH = 64


class Tokens:
    """Codes of tokens, each of a kind: the number of a row that it gives; open addressing, at most half full.

    Attributes
    ----------
    kinds, spans, codes
        Per entry: the kind (-1 of an empty one), where its bytes lie in `texts`, shape (m, 2), and the code.
    texts
        All tokens' bytes.

    Examples
    --------
    >>> tokens = Tokens()
    >>> tokens.learn(3, b'"north"', 2.0)
    >>> len(tokens)
    1
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], float] = {}
        self._clear(64, 1 << 10)

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, kind: int, token: bytes, code: float) -> None:
        """Remember a token's code."""
        if len(token) > TOKEN_LENGTH or (kind, token) in self._known:
            return
        self._known[kind, token] = code
        room = len(self.texts) - self._used > 2 * TOKEN_LENGTH
        if room and 2 * len(self._known) <= len(self.kinds):
            self._put(kind, token, code)
            return
        self._clear(2 * len(self.kinds), 2 * len(self.texts))
        for (known, text), its_code in self._known.items():
            self._put(known, text, its_code)

    def _clear(self, entries: int, size: int) -> None:
        self.kinds = np.full(entries, -1, np.int64)
        self.spans = np.zeros((entries, 2), np.int64)
        self.codes = np.zeros(entries)
        self.texts = np.zeros(size, np.uint8)
        self._used = 0

    def _put(self, kind: int, token: bytes, code: float) -> None:
        start, stop = self._used, self._used + len(token)
        self.texts[start:stop] = np.frombuffer(token, np.uint8)
        put(self.kinds, self.spans, self.codes, self.texts, kind, start, stop, code)
        self._used = stop


@part
def find(data, place, stop, kind, kinds, spans, texts):
    """Return the entry of a token, or -1 - i, where i is the empty one that it would have."""
    mask = len(kinds) - 1
    mixed = _U(kind + 1) * _MIX
    at = place
    while stop - at > 8:
        mixed = (mixed ^ word_at(data, at)) * _MIX
        mixed ^= mixed >> _SHIFT
        at += 8
    if stop > at:
        mixed = (mixed ^ (word_at(data, at) << _U(64 - 8 * (stop - at)))) * _MIX
    entry = np.int64(mixed >> _U(40)) & mask
    while kinds[entry] >= 0:
        start, end = spans[entry, 0], spans[entry, 1]
        if (
            kinds[entry] == kind
            and end - start == stop - place
            and matches(data, place, texts, start, end)
        ):
            return entry
        entry = (entry + 1) & mask
    return -1 - entry


@kernel(INTEGERS, PAIRS, FLOATS, BYTES, int64, int64, int64, float64)
def put(kinds, spans, codes, texts, kind, start, stop, code):
    """Enter a token whose bytes are in the texts already; one that is there keeps its code."""
    entry = find(texts, start, stop, kind, kinds, spans, texts)
    if entry < 0:
        entry = -1 - entry
        kinds[entry], codes[entry] = kind, code
        spans[entry, 0], spans[entry, 1] = start, stop

"""Byte strings that lie in one buffer, as a scan reads them and a fetch brings them."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

#: Zeros behind the last byte string: every search that kernels make ends there.
PADDING = bytes(64)

_NONE = np.empty(0, np.int64)


class Pieces(Sequence[bytes]):
    """Byte strings, each made when it is asked for.

    Parameters
    ----------
    data
        Ends with `PADDING`.
    begins, ends
        Where each lies in it, shape (n,).

    Examples
    --------
    >>> pieces = Pieces.of([b"{}", b"", b"[1]"])
    >>> len(pieces), pieces[2], list(pieces[:2])
    (3, b'[1]', [b'{}', b''])
    """

    __slots__ = ("begins", "data", "ends")

    def __init__(self, data: bytes, begins: Integers, ends: Integers) -> None:
        self.data, self.begins, self.ends = data, begins, ends

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Pieces:
        """Return these byte strings, copied into one buffer unless they lie in one; an empty one for None."""
        if isinstance(values, Pieces):
            return values
        there = [value or b"" for value in values] if None in values else values
        bounds = bounds_of(there)  # type: ignore[arg-type]
        return cls(b"".join([*there, PADDING]), bounds[:-1], bounds[1:])  # type: ignore[list-item]

    @classmethod
    def joined(cls, several: Sequence[Pieces]) -> Pieces:
        """Return all of several, in one buffer."""
        if len(several) == 1:
            return several[0]
        parts, begins, ends, size = [], [_NONE], [_NONE], 0
        for pieces in filter(len, several):
            start, stop = int(pieces.begins.min()), int(pieces.ends.max())
            parts.append(pieces.data[start:stop])
            begins.append(pieces.begins + (size - start))
            ends.append(pieces.ends + (size - start))
            size += stop - start
        return cls(b"".join([*parts, PADDING]), np.concatenate(begins), np.concatenate(ends))

    @property
    def lengths(self) -> Integers:
        """How many bytes each has, shape (n,)."""
        return self.ends - self.begins

    @property
    def buffer(self) -> NDArray[np.uint8]:
        """The buffer, as kernels take it."""
        return np.frombuffer(self.data, np.uint8)

    def take(self, which: Integers | slice) -> Pieces:
        """Return some of them."""
        return Pieces(self.data, self.begins[which], self.ends[which])

    def __len__(self) -> int:
        return len(self.begins)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Pieces: ...
    def __getitem__(self, at: int | slice) -> bytes | Pieces:
        if isinstance(at, slice):
            return self.take(at)
        return self.data[self.begins[at] : self.ends[at]]


def bounds_of(parts: Sequence[Sized]) -> Integers:
    """Return where each begins of some that are joined, and where the last one ends, shape (n + 1,).

    Examples
    --------
    >>> bounds_of([b"{}", b"", b"[1]"]).tolist()
    [0, 2, 2, 5]
    """
    bounds = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=bounds[1:])
    return bounds

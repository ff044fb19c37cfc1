"""Rows wait here until there are enough of them: folding many at once costs a tenth per event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.fold import fold
from monitor.profiles.vocabulary import RowShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.decoder import Decoded
    from monitor.profiles.profile import Profile
    from monitor.profiles.vocabulary import Vocabulary

    Floats = NDArray[np.float64]

#: Rows folded at once: 16,384 columns of 8 bytes fit the second-level cache.
CAPACITY = 16_384

#: Rows that a new buffer has room for; it doubles as needed, so a quiet window stays small.
_FIRST = 256


#: Numbers that a buffer may hold: 32 MB.
_MOST_NUMBERS = 4 << 20


class RowBuffer:
    """Collects the rows of one profile, and folds them when it is full, or when told to.

    Parameters
    ----------
    profile
        Counted into in place; what is still in the buffer is not in it before `fold`.
    capacity
        Rows folded at once; fewer where vectors make them long.

    Examples
    --------
    >>> from monitor.profiles.decoder import Decoded
    >>> from monitor.profiles.layout import Column, Kind, Layout
    >>> from monitor.profiles.profile import Profile
    >>> from monitor.profiles.vocabulary import Vocabulary
    >>> layout = Layout(features=(), prediction=Column(name="prediction", kind=Kind.NUMERIC))
    >>> profile = Profile.empty(layout)
    >>> buffer = RowBuffer(profile)
    >>> buffer.append(Decoded(np.array([[1.0], [3.0]]), np.array([0.0, 1.0]), Vocabulary.of(layout)))
    >>> buffer.waiting, profile.n
    (2, 0)
    >>> buffer.fold()
    >>> buffer.waiting, profile.n
    (0, 2)
    """

    def __init__(self, profile: Profile, capacity: int = CAPACITY) -> None:
        self._profile = profile
        width = RowShape.of(profile.layout).width
        self._capacity = min(capacity, max(_FIRST, _MOST_NUMBERS // max(width, 1)))
        self._vocabulary: Vocabulary | None = None
        self._columns: Floats = np.empty((0, 0))
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many rows are not in the profile yet."""
        return self._waiting

    def append(self, decoded: Decoded, events: NDArray[np.intp] | None = None) -> None:
        """Take decoded events, or those at the positions `events` of them."""
        columns = decoded.rows.T
        if decoded.vocabulary is not self._vocabulary:
            self.fold()
            self._vocabulary = decoded.vocabulary
        taken, n = 0, len(decoded) if events is None else len(events)
        while taken < n:
            room = self._make_room(n - taken, len(columns))
            part = slice(taken, taken + room)
            into = self._columns[:, self._waiting : self._waiting + room]
            if events is None:
                into[:] = columns[:, part]
            elif columns.flags.c_contiguous:
                np.take(columns, events[part], axis=1, out=into, mode="clip")
            else:
                into[:] = decoded.rows.take(events[part], axis=0).T
            taken += room
            self._waiting += room
            if self._waiting == self._capacity:
                self.fold()

    def fold(self) -> None:
        """Count what is waiting."""
        if self._waiting and self._vocabulary is not None:
            fold(self._profile, self._vocabulary, self._columns[:, : self._waiting])
            self._waiting = 0

    def _make_room(self, wanted: int, width: int) -> int:
        """Return how many of the wanted rows fit, after growing if that helps."""
        size: int = self._columns.shape[1]
        if self._waiting + wanted > size and size < self._capacity:
            grown = max(_FIRST, size)
            while grown < min(self._waiting + wanted, self._capacity):
                grown *= 2
            columns = np.empty((width, min(grown, self._capacity)))
            if self._waiting:
                columns[:, : self._waiting] = self._columns[:, : self._waiting]
            self._columns, size = columns, columns.shape[1]
        return min(wanted, size - self._waiting)

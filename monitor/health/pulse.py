"""Whether one part of a process lives, and whether it can do its work."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds without a beat after which a part hangs. A part may wait for a broker or a registry for some of these.
HANGS_AFTER = 300.0


class Pulse:
    """Of a part that beats whenever its loop goes round, and says what it waits for.

    Parameters
    ----------
    clock
        Monotonic seconds.

    Examples
    --------
    >>> pulse = Pulse("sink")
    >>> pulse.waits_for
    'it has just started'
    >>> pulse.ready()
    >>> pulse.waits_for, pulse.hangs
    ('', False)
    """

    def __init__(self, part: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.part = part
        self.waits_for = "it has just started"
        self._clock = clock
        self._beat = clock()

    def beat(self) -> None:
        """Say that the loop went round."""
        self._beat = self._clock()

    def ready(self) -> None:
        """Say that it can do its work."""
        self.waits_for = ""
        self.beat()

    def wait(self, reason: str) -> None:
        """Say what keeps it from its work."""
        self.waits_for = reason
        self.beat()

    @property
    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._beat

    @property
    def hangs(self) -> bool:
        """Whether the last beat is too long ago."""
        return self.age > HANGS_AFTER

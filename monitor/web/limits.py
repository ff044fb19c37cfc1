"""How often somebody may ask: a bucket each that fills at a steady rate."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

#: Buckets remembered; who asked longest ago is forgotten, and starts with a full one.
_REMEMBERED = 10_000


class RateLimit:
    """So many requests a minute for each name, in one process.

    A bucket holds a quarter of a minute's worth: that much may come at once.

    Parameters
    ----------
    a_minute
        Requests, in the long run.
    clock
        Monotonic seconds.

    Examples
    --------
    >>> limit = RateLimit(8, clock=lambda: 0.0)
    >>> [limit.take("ada") for _ in range(3)], limit.take("bob")
    ([0, 0, 8], 0)
    """

    def __init__(self, a_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = a_minute / 60
        self._size = max(1.0, a_minute / 4)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> int:
        """Take one; return 0, or the seconds after which another try is worth while."""
        now = self._clock()
        with self._lock:
            level, then = self._buckets.pop(name, (self._size, now))
            level = min(self._size, level + (now - then) * self._rate)
            wait = 0 if level >= 1 else math.ceil((1 - level) / self._rate)
            self._buckets[name] = (level if wait else level - 1, now)
            if len(self._buckets) > _REMEMBERED:
                self._buckets.popitem(last=False)
        return wait

"""Which version serves, without making a page wait for the registry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet

from monitor.errors import MonitorError

#: Seconds after which the registry is asked anew, and for which a page waits for a first answer.
_FRESH, _PATIENCE = 5.0, 1.5


class Serving:
    """Asks the registry in the background, and remembers its last answer.

    Parameters
    ----------
    ask
        Gives the version that a model's alias names, or None; may raise `MonitorError`, and may take long.
    """

    def __init__(
        self, ask: Callable[[str], str | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._clock = ask, clock
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="registry")
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str | None]] = {}
        self._asked: dict[str, Future[None]] = {}

    def version(self, model: str) -> str | None:
        """Return the version, as of a few seconds ago; None if the registry does not say."""
        with self._lock:
            known = self._known.get(model)
            if known is not None and self._clock() - known[0] < _FRESH:
                return known[1]
            asked = self._asked.get(model)
            if asked is None or asked.done():
                asked = self._asked[model] = self._threads.submit(self._learn, model)
        if known is None:
            try:
                asked.result(_PATIENCE)
            except NotYet:
                # It stays unknown until the answer is there; the next page does not wait again.
                with self._lock:
                    self._known.setdefault(model, (self._clock() - _FRESH, None))
        with self._lock:
            return self._known[model][1]

    def close(self) -> None:
        """Ask nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _learn(self, model: str) -> None:
        try:
            version = self._ask(model)
        except MonitorError:
            version = None
        with self._lock:
            self._known[model] = (self._clock(), version)

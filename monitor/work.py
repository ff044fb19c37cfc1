"""The worker's process: which parts run in it, and how it ends when one of them fails."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import structlog

from monitor import bootstrap
from monitor.health import Health
from monitor.settings import Settings
from monitor.supervise import FAILED

log = structlog.get_logger(__name__)

#: Seconds that the other parts may take to stop.
_STOP_SECONDS = 15.0

Part = Callable[[Settings, threading.Event, Health], None]


def work(settings: Settings, role: str) -> int:
    """Work until SIGTERM or SIGINT (0), or until a part fails (`FAILED`).

    Parameters
    ----------
    role
        ``stream`` counts and judges; ``act`` rolls back, tells people, and fills the store; ``all`` is both.

    Raises
    ------
    KafkaError
        If the broker does not answer at the start, or the topics do not fit each other.
    PolicyError, StoreError, SettingsError
        If what was set cannot be used.
    """
    bootstrap.load_policy(settings)
    bootstrap.make_topics(settings)
    with bootstrap.shown_health(settings) as health:
        if role == "stream":
            return bootstrap.run_stream(settings, health)
        parts = _Parts(settings, health)
        parts.start("actor", bootstrap.run_actor)
        parts.start("sink", bootstrap.run_sink)
        try:
            status = bootstrap.run_stream(settings, health) if role == "all" else parts.wait()
        finally:
            parts.stop()
        return FAILED if parts.failed else status


class _Parts:
    """Parts that run in threads beside the stream; one that fails has the whole process end, in order."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failed = False

    def start(self, name: str, part: Part) -> None:
        """Run a part in a thread of its own."""
        thread = threading.Thread(target=self._run, args=(name, part), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> int:
        """Wait, where no stream does, until the process is asked to end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        self._stop.wait()
        return 0

    def stop(self) -> None:
        """Have every part end, and wait for it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def _run(self, name: str, part: Part) -> None:
        try:
            part(self._settings, self._stop, self._health)
        except Exception:
            self.failed = True
            log.exception("a part failed; the process ends, and is started again", part=name)
            os.kill(os.getpid(), signal.SIGTERM)

"""What became of every event, and saying aloud what was lost."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

_log = logging.getLogger("monitor.publish")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Events since the publisher was made; ``accepted + recovered = delivered + dropped + pending``.

    Attributes
    ----------
    accepted
        Taken from serving code.
    recovered
        Found in the spool at the start: left there by an earlier process.
    delivered
        Confirmed by Kafka.
    spooled
        Written to disk on the way.
    dropped
        Could not be kept: the queue or the spool was full, Kafka can never take the message, or the
        publisher was closed.
    invalid
        Were no events: could not be written as JSON, or lack a time zone or a column. Not accepted.
    """

    accepted: int = 0
    recovered: int = 0
    delivered: int = 0
    spooled: int = 0
    dropped: int = 0
    invalid: int = 0

    @property
    def pending(self) -> int:
        """Events still on their way."""
        return self.accepted + self.recovered - self.delivered - self.dropped


class Alarm:
    """Warnings, each kind at most once in `every_s` seconds, with how many events it stands for."""

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def say(self, kind: str, sentence: str, *, events: int = 0, reason: object = None) -> None:
        """Log ``sentence (N events): reason`` as a warning, unless this kind was logged just now."""
        now = time.monotonic()
        with self._lock:
            held = self._held.get(kind, 0) + events
            self._held[kind] = held
            if now - self._last.get(kind, -self._every_s) < self._every_s:
                return
            self._last[kind] = now
            self._held[kind] = 0
        told = f"{sentence} ({held} events)" if held else sentence
        _log.warning(
            "%s%s",
            told,
            f": {reason}" if reason is not None else "",
            extra={"kind": kind, "events": held, "reason": str(reason or "")},
        )

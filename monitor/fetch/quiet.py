"""aiokafka says the same thing hundreds of times a second while a broker is away: once in a while is enough."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

#: Where the repeated sentences come from.
LOUD = (
    "aiokafka",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)


class Seldom(logging.Filter):
    """Lets the same sentence through once per so many seconds.

    Examples
    --------
    >>> now = iter([0.0, 1.0, 11.0])
    >>> seldom = Seldom(10.0, clock=lambda: next(now))
    >>> record = logging.makeLogRecord({"msg": "no broker", "levelno": logging.WARNING})
    >>> [seldom.filter(record) for _ in range(3)]
    [True, False, True]
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to say it."""
        sentence, now = record.getMessage(), self._clock()
        # Kafka 4 answers so while the markers of the transaction before are still being written, at any commit;
        # aiokafka tries again.
        if "NotEnoughReplicasError" in sentence:
            return False
        if now < self._said.get(sentence, -self._seconds) + self._seconds:
            return False
        if len(self._said) > 1_000:
            self._said.clear()
        self._said[sentence] = now
        return True


def quieten(seconds: float = 10.0) -> None:
    """Have aiokafka say each sentence at most once per so many seconds."""
    for name in LOUD:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Seldom) for known in logger.filters):
            logger.addFilter(Seldom(seconds))

"""Malformed labels among the dead letters: nobody else reads the topic of labels, and says what was wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.publish.confirmed import ConfirmedProducer, Outgoing
from monitor.reports import DeadLetter, encode

#: Seconds that the broker may take to confirm: meanwhile the archiver does nothing else.
_PATIENCE = 10.0


class DeadLetters:
    """Publishes dead letters. One that is said twice names the same topic, partition and offset, and is one."""

    def __init__(self, kafka: Mapping[str, Any], topic: str) -> None:
        self._topic = topic
        self._producer = ConfirmedProducer(kafka, what="dead letters", seconds=_PATIENCE)

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Publish them, and return when they are confirmed; errors as of `ConfirmedProducer.send`."""
        self._producer.send(Outgoing(self._topic, one.key, encode(one)) for one in letters)

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()

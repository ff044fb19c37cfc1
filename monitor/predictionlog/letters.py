"""Malformed labels among the dead letters: nobody else reads the topic of labels, and says what was wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Message as KafkaMessage

from monitor.engine.deadletters import dead_letter
from monitor.errors import EventError
from monitor.publish.confirmed import ConfirmedProducer, Outgoing
from monitor.reports import DeadLetter, encode

#: Seconds that the broker may take to confirm: meanwhile the archiver does nothing else.
_PATIENCE = 10.0


class _Record(NamedTuple):
    """A message as a dead letter holds it; `timestamp` in milliseconds since 1970 UTC."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def letter_of(message: KafkaMessage, error: EventError) -> DeadLetter:
    """Return a message with what is wrong with it."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    headers: Any = message.headers() or ()
    record = _Record(offset, message.timestamp()[1], message.key(), message.value(), tuple(headers))
    return dead_letter(record, error, topic=topic, partition=partition)


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

"""What an archiver asks of Kafka's consumer: its settings, messages as the log needs them, and what ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka import KafkaError as BrokerError
from confluent_kafka import Message as KafkaMessage

from monitor.engine.intake import CONTENT_HEADER, FEWEST_HEADERS, FORWARDED_HEADER
from monitor.errors import KafkaError
from monitor.events import JSON_CONTENT, SEQUENCE_HEADER
from monitor.predictionlog.messages import Message

log = structlog.get_logger(__name__)


def consumer_settings(
    kafka: Mapping[str, Any], group: str, session_seconds: float
) -> dict[str, Any]:
    """Return the settings of a consumer whose table, and not Kafka, says where it stands."""
    return {
        **kafka,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "session.timeout.ms": int(session_seconds * 1000),
        "queued.max.messages.kbytes": 131_072,
        # A topic that is not there yet is looked for again: the default is five minutes.
        "topic.metadata.refresh.interval.ms": 10_000,
    }


def message_of(record: KafkaMessage, topic: str, partition: int, offset: int) -> Message | None:
    """Return what the log needs of a record; None if it is a copy of one that lies in another partition."""
    headers: Any = record.headers() or ()
    if len(headers) >= FEWEST_HEADERS and headers[-1][0] == SEQUENCE_HEADER:
        (kind, content), _, _ = headers[-3:]  # as our publisher ends them: a copy has its mark last
    else:
        kind = None
    if kind != CONTENT_HEADER:
        named = dict(headers)
        if FORWARDED_HEADER in named:
            return None
        content = named.get(CONTENT_HEADER)
    arrived = record.timestamp()[1] / 1000
    key, value = record.key(), record.value()
    return Message(topic, partition, offset, arrived, key, value, content or JSON_CONTENT)


def check_range(consumer: Consumer, place: TopicPartition) -> None:
    """Refuse to go on where the topic never held what comes next: rows would be lost unseen.

    Where it no longer holds it, `place` moves on to what it does hold, and the loss is in the log.

    Raises
    ------
    KafkaError
        If the log stands beyond the topic's end, or the broker does not answer.
    """
    try:
        low, high = consumer.get_watermark_offsets(place, timeout=30)
    except KafkaException as error:
        raise KafkaError(
            f"the broker does not answer: {error}",
            where=f"topic {place.topic}",
            fix="Check the address, the credentials, and that the broker runs.",
        ) from error
    if place.offset == OFFSET_BEGINNING:
        return
    if place.offset > high:
        raise KafkaError(
            f"partition {place.partition} ends at {high}, and the log stands at {place.offset}",
            where=f"topic {place.topic}",
            fix="The topic was made anew: give it another name, or the log another directory.",
        )
    if place.offset < low:
        log.error("lost", partition=place.partition, offsets=low - place.offset)
        place.offset = low


def check_error(error: BrokerError) -> None:
    """Raise what no second try cures; say the rest in the log.

    Raises
    ------
    KafkaError
        If this user may not read the topic, or join the group.
    """
    hopeless = {
        BrokerError.TOPIC_AUTHORIZATION_FAILED,
        BrokerError.GROUP_AUTHORIZATION_FAILED,
        BrokerError._AUTHENTICATION,  # noqa: SLF001 - librdkafka's own errors are named so
    }
    if error.fatal() or error.code() in hopeless:
        raise KafkaError(
            f"the archiver cannot read: {error.str()}",
            fix="Check the credentials, and that this user may read the topic and join the group.",
        )
    log.warning("broker", why=error.str())

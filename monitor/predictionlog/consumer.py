"""What an archiver asks of Kafka's consumer: its settings, messages as the log needs them, and what ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import methodcaller
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka import KafkaError as BrokerError
from confluent_kafka import Message as KafkaMessage

from monitor.engine.intake import CONTENT_HEADER, FEWEST_HEADERS, FORWARDED_HEADER
from monitor.errors import KafkaError
from monitor.events import JSON_CONTENT, SEQUENCE_HEADER
from monitor.predictionlog.messages import Messages

log = structlog.get_logger(__name__)

#: What is asked of records, a column at a time.
ERROR, _PARTITION, _OFFSET, _TIMESTAMP, _KEY, _VALUE, _HEADERS = map(
    methodcaller, ("error", "partition", "offset", "timestamp", "key", "value", "headers")
)


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


def messages_of(records: Sequence[KafkaMessage], topic: str) -> tuple[Messages, Sequence[int]]:
    """Return what the log needs of a topic's records, and which of them are no copies of such as lie in other partitions."""
    contents = [_content(headers or ()) for headers in map(_HEADERS, records)]
    own: Sequence[int] = range(len(records))
    if None in contents:
        own = [at for at in own if contents[at] is not None]
    return Messages(
        [topic] * len(records),
        list(map(_PARTITION, records)),
        list(map(_OFFSET, records)),
        [milliseconds / 1000 for _, milliseconds in map(_TIMESTAMP, records)],
        list(map(_KEY, records)),
        list(map(_VALUE, records)),
        [kind or JSON_CONTENT for kind in contents],
    ), own


def _content(headers: Any) -> bytes | None:
    """Return a record's content type, empty if it says none; None if it is a copy of one that lies in another partition."""
    if len(headers) >= FEWEST_HEADERS and headers[-1][0] == SEQUENCE_HEADER:
        kind, content = headers[-3]  # as our publisher ends them: a copy has its mark last
        if kind == CONTENT_HEADER:
            return content or b""
    named = dict(headers)
    return None if FORWARDED_HEADER in named else named.get(CONTENT_HEADER) or b""


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

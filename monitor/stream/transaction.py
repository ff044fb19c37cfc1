"""What an engine gives out, written to Kafka: all of it, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError

from monitor.engine.intake import FORWARDED_HEADER
from monitor.engine.records import Outbox
from monitor.reports import encode
from monitor.stream.options import KafkaAccess, StreamOptions
from monitor.stream.topics import LARGEST_RECORD, TopicNames


@dataclass(frozen=True, slots=True)
class Message:
    """One record to be sent; `partition` None leaves it to the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def transactional_producer(
    kafka: KafkaAccess, options: StreamOptions, partition: int
) -> AIOKafkaProducer:
    """Return the producer of one source partition; starting it fences the partition's previous owner."""
    return AIOKafkaProducer(
        **kafka.aiokafka(),
        transactional_id=options.transactional_id(partition),
        transaction_timeout_ms=int(options.transaction_seconds * 1000),
        max_request_size=LARGEST_RECORD,
        max_batch_size=1 << 20,
        compression_type="zstd",
    )


def messages(outbox: Outbox, names: TopicNames, partition: int) -> Iterator[Message]:
    """Return what an outbox of a source partition comes to on Kafka.

    Verdicts are keyed by model, so that one worker acts for a model. A record found in the wrong partition carries
    a header, so that it is sent on once, whatever the other side thinks of it.
    """
    for key, value in outbox.state.items():
        yield Message(names.state, key, value, partition)
    for report in outbox.reports:
        yield Message(names.reports, report.subject.key, encode(report))
    for verdict in outbox.verdicts:
        yield Message(names.verdicts, verdict.model.encode(), encode(verdict))
    for letter in outbox.dead_letters:
        yield Message(names.dead_letters, letter.key, encode(letter))
    for forward in outbox.forwards:
        record = forward.record
        origin = (FORWARDED_HEADER, f"{partition}:{record.offset}".encode())
        headers = (*record.headers, origin)
        yield Message(names.predictions, record.key, record.value, forward.partition, headers)


async def write(
    producer: AIOKafkaProducer, outbox: Outbox, options: StreamOptions, partition: int
) -> None:
    """Write an outbox in one transaction.

    The group's committed offset moves along with it. Nothing here reads it as the truth: it shows the lag to Kafka's
    own tools, and lets the first fetch after a rebalance begin near the right place.

    Raises
    ------
    aiokafka.errors.KafkaError
        If it was not written, or that cannot be known. Then the engine must not be folded into again: take over anew.
    """
    try:
        await _write(producer, outbox, options, partition)
    except (IllegalOperation, AssertionError) as error:
        # The producer's own task found it fenced between two of our calls: its state says no more than that, and
        # neither of these is one of aiokafka's Kafka errors.
        raise KafkaError(f"the transaction was ended by its producer: {error}") from error


async def _write(
    producer: AIOKafkaProducer, outbox: Outbox, options: StreamOptions, partition: int
) -> None:
    names = options.topics
    async with producer.transaction():
        sent = [
            await producer.send(
                message.topic,
                message.value,
                key=message.key,
                partition=message.partition,
                headers=list(message.headers),
            )
            for message in messages(outbox, names, partition)
        ]
        source = TopicPartition(names.predictions, partition)
        await producer.send_offsets_to_transaction({source: outbox.position}, options.app)
        # Without this aiokafka commits although a record of the transaction could not be delivered.
        await asyncio.gather(*sent)

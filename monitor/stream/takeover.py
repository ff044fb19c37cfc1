"""Taking over source partitions: fence who had them, and read back what they left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from monitor.engine.records import Engine
from monitor.errors import KafkaError, StateError
from monitor.stream.options import KafkaAccess, MakeEngine, StreamOptions
from monitor.stream.topics import TopicNames
from monitor.stream.transaction import transactional_producer

log = structlog.get_logger(__name__)

State = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Holding:
    """A source partition that is this worker's: nobody else can write for it any more.

    Attributes
    ----------
    start
        Offset to read from.
    """

    partition: int
    engine: Engine
    producer: AIOKafkaProducer
    start: int


async def take_over(
    partitions: Sequence[int],
    kafka: KafkaAccess,
    options: StreamOptions,
    make_engine: MakeEngine,
    count: int,
) -> list[Holding]:
    """Fence the previous owners of these source partitions, and restore their engines.

    Parameters
    ----------
    count
        Number of partitions of the source topic when this process started.

    Raises
    ------
    KafkaError
        If the source topic grew meanwhile, or a transaction keeps the state from being read.
    StateError
        If the state is another release's, or another topic's.
    """
    if not partitions:
        return []
    if grown := [partition for partition in partitions if partition >= count]:
        msg = f"partition {grown[0]} is new; it had {count} when this worker started"
        fix = f"Give {options.topics.state} as many partitions, then start the workers again."
        raise KafkaError(msg, where=f"topic {options.topics.predictions}", fix=fix)
    producers = {
        partition: transactional_producer(kafka, options, partition) for partition in partitions
    }
    try:
        # From here on the previous owners' commits fail; what they committed is final, and is read next.
        async with asyncio.TaskGroup() as starts:
            for producer in producers.values():
                starts.create_task(producer.start())
        states, bounds = await _read(partitions, kafka, options)
        holdings = []
        for partition in partitions:
            engine = make_engine(partition=partition, partitions=count)
            engine.restore(states[partition])
            if states[partition] and not engine.position:
                log.warning(
                    "counted again from the log: an older release's state", partition=partition
                )
            start = _start(engine.position, *bounds[partition], partition, options.topics)
            holdings.append(Holding(partition, engine, producers[partition], start))
    except BaseException:
        await asyncio.shield(close_all(list(producers.values())))
        raise
    return holdings


async def close_all(producers: Sequence[AIOKafkaProducer], seconds: float = 5.0) -> None:
    """Close producers, within bounded time; a transaction left open is aborted by the next owner's start."""
    if producers:
        closing = [asyncio.create_task(producer.stop()) for producer in producers]
        _, late = await asyncio.wait(closing, timeout=seconds)
        for task in late:
            task.cancel()


def _start(position: int, begin: int, end: int, partition: int, names: TopicNames) -> int:
    where = f"{names.predictions}-{partition}"
    if position > end:
        msg = f"the state has counted up to offset {position}, and the partition ends at {end}: it was made anew"
        fix = f"Delete topic {names.state} too, or run under another app name."
        raise StateError(msg, where=where, fix=fix)
    if 0 < position < begin:
        log.error(
            "events were deleted by the topic's retention before they were counted",
            partition=where,
            events_at_most=begin - position,
        )
    return max(position, begin)


async def _read(
    partitions: Sequence[int], kafka: KafkaAccess, options: StreamOptions
) -> tuple[dict[int, State], dict[int, tuple[int, int]]]:
    """Read the state topic to its end, and where the source partitions begin and end."""
    names = options.topics
    consumer = AIOKafkaConsumer(
        **kafka.aiokafka(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20,
        fetch_max_wait_ms=100,
    )
    source = {p: TopicPartition(names.predictions, p) for p in partitions}
    async with consumer:
        begins = await consumer.beginning_offsets(list(source.values()))
        ends = await consumer.end_offsets(list(source.values()))
        states = await _read_state(
            consumer, {p: TopicPartition(names.state, p) for p in partitions}
        )
    return states, {p: (begins[tp], ends[tp]) for p, tp in source.items()}


async def _read_state(
    consumer: AIOKafkaConsumer, topic: dict[int, TopicPartition]
) -> dict[int, State]:
    states: dict[int, State] = {partition: {} for partition in topic}
    consumer.assign(list(topic.values()))
    await consumer.seek_to_beginning()
    # The fence is up: nobody writes here any more, so that the end does not move away.
    open_ = await consumer.end_offsets(list(topic.values()))
    while open_:
        for tp, records in (await consumer.getmany(*open_, timeout_ms=200)).items():
            state = states[tp.partition]
            for record in records:
                if record.value is None:
                    state.pop(record.key, None)
                else:
                    state[record.key] = record.value
        open_ = {tp: end for tp, end in open_.items() if await consumer.position(tp) < end}
    return states

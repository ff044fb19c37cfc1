"""From the topics to a store: written first, committed after, so that an outage is lag and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as BrokerError

from monitor.errors import KafkaError, StoreError
from monitor.health import Health
from monitor.reports import Decision, Report
from monitor.stores.protocol import ReportStore

log = structlog.get_logger(__name__)

#: Seconds to wait after the store's first and after its later refusals, at most.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0

#: Seconds between two looks at how much lies before the sink.
_LOOK = 10.0

#: How long one look at the broker may take, seconds: no longer than a stop may be kept waiting.
_POLL = 0.5

#: Seconds that the broker may take to say where a partition ends.
_PATIENCE = 2.0


@dataclass(slots=True)
class SinkCounts:
    """What a sink has done since it started."""

    reports: int = 0
    decisions: int = 0
    set_aside: int = 0
    unreadable: int = 0
    waits: int = 0


@dataclass(slots=True)
class _Batch:
    """Messages that are read and not yet committed."""

    reports: list[Report] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.offsets)


class Sink:
    """Copies the topics of reports and decisions into a store, each at least once, which the store makes once.

    Parameters
    ----------
    store
        Where to.
    kafka
        Settings of confluent-kafka's consumer: the brokers, and how to be let in.
    app
        Names the consumer group, ``<app>-sink``.
    reports, decisions
        The topics' names.
    batch
        How many messages to write at once.
    health
        Told whether the store answers, and how far behind it is.
    """

    def __init__(
        self,
        store: ReportStore,
        kafka: Mapping[str, Any],
        *,
        app: str,
        reports: str = "reports",
        decisions: str = "decisions",
        batch: int = 500,
        health: Health | None = None,
    ) -> None:
        self.counts = SinkCounts()
        self._store = store
        self._types: dict[str, type[Report | Decision]] = {reports: Report, decisions: Decision}
        self._size = batch
        self._health = health or Health()
        self._pulse = self._health.pulse("sink")
        self._reached: dict[tuple[str, int], int] = {}
        self._look_at = 0.0
        self._settings = {
            **kafka,
            "group.id": f"{app}-sink",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # Behind the last record lie markers of transactions: only the end itself says that nothing is left.
            "enable.partition.eof": True,
            # Reports of a transaction that was fenced off were never said.
            "isolation.level": "read_committed",
        }

    def run(self, stop: threading.Event) -> None:
        """Copy until told to stop; a store that does not answer is tried again for as long as it takes.

        Raises
        ------
        KafkaError
            If the broker says that trying again is of no use: nobody is let in.
        """
        consumer = Consumer(self._settings)
        try:
            consumer.subscribe(list(self._types), on_assign=self._begin, on_revoke=self._begin)
            while not stop.is_set():
                self._look(consumer)
                batch = _Batch()
                self._take(batch, consumer.consume(self._size, timeout=_POLL))
                if batch and self._write(consumer, batch, stop):
                    _commit(consumer, batch)
        finally:
            consumer.close()

    def _take(self, batch: _Batch, messages: Sequence[Message]) -> None:
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            error = message.error()
            if error is not None and error.code() == BrokerError._PARTITION_EOF:  # noqa: SLF001
                self._reached[topic or "", partition or 0] = offset or 0
                continue
            if error is not None:
                _judge_broker(error)
                continue
            if topic is None or partition is None or offset is None:
                continue
            batch.offsets[topic, partition] = offset + 1
            try:
                value = msgspec.json.decode(message.value() or b"", type=self._types[topic])
            except (msgspec.DecodeError, UnicodeDecodeError) as fault:
                # Stopping here would stop for good: the topic still holds it, for whoever wants to look.
                self.counts.unreadable += 1
                self._health.set_aside.labels("sink").inc()
                log.warning(
                    "unreadable", topic=topic, partition=partition, offset=offset, why=str(fault)
                )
                continue
            if isinstance(value, Report):
                batch.reports.append(value)
            else:
                batch.decisions.append(value)

    def _write(self, consumer: Consumer, batch: _Batch, stop: threading.Event) -> bool:
        """Write until the store has it; False if told to stop before."""
        wait = _FIRST_WAIT
        paused: list[TopicPartition] = []
        while not stop.is_set():
            try:
                refused = self._store.write(batch.reports, batch.decisions)
            except StoreError as error:
                self.counts.waits += 1
                self._health.waits.labels("sink").inc()
                self._pulse.wait(str(error))
                log.warning("store_waits", seconds=wait, why=str(error))
                paused = consumer.assignment()
                consumer.pause(paused)
                self._stay(consumer, batch, wait, stop)
                wait = min(2 * wait, _LONGEST_WAIT)
                continue
            for aside in refused:
                log.error("set_aside", what=aside.what, why=aside.reason)
            self.counts.set_aside += len(refused)
            self.counts.reports += len(batch.reports)
            self.counts.decisions += len(batch.decisions)
            self._tell(batch, len(refused))
            if paused:
                consumer.resume(consumer.assignment())
            return True
        return False

    def _stay(
        self, consumer: Consumer, batch: _Batch, seconds: float, stop: threading.Event
    ) -> None:
        """Wait while polling: a consumer that does not poll is put out of its group."""
        for _ in range(max(round(seconds / _POLL), 1)):
            if stop.is_set():
                return
            # A partition that was assigned meanwhile is not paused: what it brings belongs to this batch.
            message = consumer.poll(_POLL)
            if message is not None:
                self._take(batch, [message])
            self._look(consumer)

    def _begin(self, _: Consumer, __: Sequence[TopicPartition]) -> None:
        """Forget how far other partitions, or these before, were read."""
        self._reached.clear()
        self._health.backlog.clear()
        self._look_at = 0.0

    def _tell(self, batch: _Batch, refused: int) -> None:
        self._reached.update(batch.offsets)
        written = self._health.written
        written.labels("sink", "reports").inc(len(batch.reports))
        written.labels("sink", "decisions").inc(len(batch.decisions))
        self._health.set_aside.labels("sink").inc(refused)
        self._pulse.ready()

    def _look(self, consumer: Consumer) -> None:
        """Say, now and then, whether the store answers, and what lies before the sink."""
        if not self._pulse.waits_for:
            self._pulse.beat()
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK
        try:
            for place in consumer.assignment():
                low, high = consumer.get_watermark_offsets(place, timeout=_PATIENCE)
                reached = self._reached.get((place.topic, place.partition))
                if reached is None:
                    (kept,) = consumer.committed([place], timeout=_PATIENCE)
                    reached = kept.offset
                lies = self._health.backlog.labels("sink", place.topic, str(place.partition))
                lies.set(max(high - max(reached, low), 0))
            self._store.health()
        except StoreError as error:
            self._pulse.wait(str(error))
        except KafkaException as error:
            self._pulse.wait(f"Kafka does not answer: {error.args[0].str()}")
        else:
            self._pulse.ready()


def _commit(consumer: Consumer, batch: _Batch) -> None:
    offsets = [
        TopicPartition(topic, partition, offset)
        for (topic, partition), offset in batch.offsets.items()
    ]
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        # The group was rebalanced: whoever has the partition now writes the same again, which changes nothing.
        log.warning("not_committed", why=str(error))


def _judge_broker(error: BrokerError) -> None:
    hopeless = {
        BrokerError.TOPIC_AUTHORIZATION_FAILED,
        BrokerError.GROUP_AUTHORIZATION_FAILED,
        BrokerError._AUTHENTICATION,  # noqa: SLF001 - librdkafka's own errors are named so
    }
    if error.fatal() or error.code() in hopeless:
        raise KafkaError(
            f"the sink cannot read: {error.str()}",
            fix="Check the credentials, and that this user may read the topics and join the group.",
        )
    log.warning("broker", why=error.str())

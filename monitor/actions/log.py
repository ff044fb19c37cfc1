"""Topic ``decisions``: what was decided, durable and in order, with one writer for each partition of verdicts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka import KafkaError as Code

from monitor.errors import KafkaError, StateError
from monitor.reports import Decision, encode

#: librdkafka reports here what it would else print.
client_log = logging.getLogger("monitor.actions.kafka")

_FENCED = {Code._FENCED, Code.INVALID_PRODUCER_EPOCH, Code.PRODUCER_FENCED}  # noqa: SLF001 - so named there

_PATIENCE = 30.0

#: Seconds after which a topic that the broker does not know is taken to be missing.
_TOPIC_SECONDS = 5.0


class Fenced(KafkaError):
    """Another process decides for these models now; this one must stop, and has written nothing."""


class DecisionReader:
    """Reads the whole topic, and then what is new.

    Parameters
    ----------
    kafka
        Configuration by librdkafka's names.
    on_decision
        Called with each decision once it is read: the audit record stands here.
    patience
        Seconds within which the broker has to answer.

    Raises
    ------
    KafkaError
        If the broker does not answer, or there is no such topic.
    """

    def __init__(
        self,
        kafka: Mapping[str, Any],
        topic: str,
        on_decision: Callable[[Decision], None],
        *,
        patience: float = _PATIENCE,
    ) -> None:
        self._patience = patience
        self._topic = topic
        self._on_decision = on_decision
        self._decisions: dict[str, dict[str, Decision]] = {}
        self._consumer = Consumer(
            {
                **kafka,
                "group.id": f"{topic}-reader",  # never joined: partitions are assigned
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            },
            logger=client_log,
        )
        self._positions = dict.fromkeys(self._partitions(), 0)

    def _partitions(self) -> list[int]:
        """Return the topic's partitions; one that was just made may take a moment to be known."""
        deadline = time.monotonic() + _TOPIC_SECONDS
        while True:
            try:
                found = self._consumer.list_topics(self._topic, timeout=self._patience)
            except KafkaException as error:
                raise failure(error, self._topic) from error
            topic = found.topics[self._topic]
            unknown = topic.error
            if unknown is None:
                return list(topic.partitions)
            if time.monotonic() > deadline:
                raise KafkaError(
                    f"there is no such topic ({unknown.str()})",
                    where=f"topic {self._topic}",
                    fix="Start `monitor run` once, which makes it.",
                )
            time.sleep(0.2)

    def refresh(self) -> None:
        """Read up to what is now the end.

        Raises
        ------
        KafkaError
            If the broker does not answer.
        StateError
            If this release cannot read a decision.
        """
        # Assigned anew, so that each partition says anew when its end is reached.
        assigned = [TopicPartition(self._topic, p, o) for p, o in self._positions.items()]
        self._consumer.assign(assigned)
        open_: set[int | None] = set(self._positions)
        deadline = time.monotonic() + self._patience
        while open_:
            message = self._consumer.poll(0.5)
            if message is None:
                if time.monotonic() > deadline:
                    raise KafkaError("the topic cannot be read", where=self._topic, fix=_FIX)
                continue
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is None:
                assert partition is not None  # it was read from one
                assert offset is not None
                self._take(message.value())
                self._positions[partition] = offset + 1
            elif error.code() == Code._PARTITION_EOF:  # noqa: SLF001 - so named there
                open_.discard(partition)
            elif not error.retriable():
                raise failure(KafkaException(error), self._topic)
        self._consumer.unassign()

    @property
    def models(self) -> frozenset[str]:
        """The models that anything was decided about, as of the last look."""
        return frozenset(self._decisions)

    def of(self, model: str) -> Sequence[Decision]:
        """Return a model's decisions as of the last look, oldest first."""
        return tuple(self._decisions.get(model, {}).values())

    def holds(self, decision: Decision) -> bool:
        """Whether a decision was read."""
        return decision.decision_id in self._decisions.get(decision.model, {})

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _take(self, value: bytes | None) -> None:
        if value is None:
            return
        try:
            decision = msgspec.json.decode(value, type=Decision)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # Passed over, it might be the outcome that says: this was done.
            raise StateError(
                f"this release cannot read a decision: {error}",
                where=f"topic {self._topic}",
                fix="Run the release that wrote it, or a later one.",
            ) from error
        self._on_decision(decision)
        self._decisions.setdefault(decision.model, {})[decision.decision_id] = decision


class KafkaDecisionLog:
    """Writes decisions one transaction each, and reads them back.

    Parameters
    ----------
    reader
        May be shared by several logs of one thread.
    transactional_id
        Making another log with the same one fences this one: its next `append` raises `Fenced`.

    Raises
    ------
    KafkaError
        If the broker does not answer.
    """

    def __init__(
        self, kafka: Mapping[str, Any], topic: str, transactional_id: str, reader: DecisionReader
    ) -> None:
        self._topic = topic
        self._reader = reader
        self._producer = Producer(
            {
                **kafka,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": 15_000,
                "partitioner": "murmur2_random",
                "linger.ms": 0,
            },
            logger=client_log,
        )
        try:
            self._producer.init_transactions(_PATIENCE)
        except KafkaException as error:
            raise failure(error, topic) from error

    def append(self, decision: Decision) -> None:
        """Write a decision; when this returns, it is durable and was read back.

        Raises
        ------
        Fenced
            If another process decides for these models now.
        KafkaError
            If that cannot be known; then take over anew.
        """
        try:
            self._producer.begin_transaction()
            self._producer.produce(self._topic, encode(decision), decision.model.encode())
            self._commit()
        except KafkaException as error:
            raise failure(error, self._topic) from error
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._reader.refresh()
            if self._reader.holds(decision):
                return
            if time.monotonic() > deadline:  # somebody's open transaction is in the way
                raise KafkaError("a decision cannot be read back", where=self._topic, fix=_FIX)

    def history(self, model: str, *, fresh: bool = True) -> Sequence[Decision]:
        """Return what was decided about a model so far; errors as in `DecisionReader.refresh`."""
        if fresh:
            self._reader.refresh()
        return self._reader.of(model)

    def _commit(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._producer.commit_transaction(_PATIENCE)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
            else:
                return


_FIX = "Check that Kafka runs, its address, and that this user may use the topic."


def failure(error: KafkaException, topic: str) -> KafkaError:
    """Return a client's error as one of this package's."""
    code = error.args[0]
    where = f"topic {topic}"
    if code.code() in _FENCED or (code.fatal() and "fenced" in code.str().lower()):
        fix = "Let one monitor act for a model; this one steps back."
        return Fenced("another process decides for these models now", where=where, fix=fix)
    return KafkaError(f"Kafka does not answer as it should ({code.str()})", where=where, fix=_FIX)

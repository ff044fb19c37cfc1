"""Faust's transport, changed in one respect: a fetch is handed on whole, as one message per partition.

A stock agent costs 65-80 us a record, of which Faust's bookkeeping is nearly all. Here a message's value is a `Batch`
of up to thousands of records, and the bookkeeping is paid once for it.

Each batch says where the one before it ended. Between the fetch and the agent Faust may drop messages (a rebalance,
a suspended flow, a restarted agent), and aiokafka may move a position by itself (a new assignment begins at the
group's committed offset). A batch that does not continue where its partition stands is therefore never counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

if TYPE_CHECKING:
    from monitor.engine.records import Record
    from monitor.stream.app import StreamApp


@dataclass(frozen=True, slots=True)
class Batch:
    """What one fetch brought of one partition.

    Attributes
    ----------
    start, end
        It covers the offsets from `start` to just before `end`; those without a record are transaction markers, or
        were compacted away.
    at_end
        The broker said just now that nothing is there from `end` on.
    limit
        Where the partition ended when this was fetched.
    """

    partition: int
    records: Sequence[Record]
    start: int
    end: int
    at_end: bool
    limit: int = 0


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches. It knows which of its positions were set by a take-over."""

    def __post_init__(self) -> None:
        super().__post_init__()
        #: Where the next batch starts; only of partitions that a take-over has sought.
        self.marks: dict[TopicPartition, int] = {}
        self._answers: dict[TopicPartition, int] = {}

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Records sent on from other partitions lie in the source topic inside transactions, some of them aborted.
        consumer._isolation_level = "read_committed"
        return consumer

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget all positions before anybody else does anything about it."""
        self.marks.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Forget positions: a new assignment begins at the committed offsets."""
        self.marks.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _seek_wait(self, consumer: AIOKafkaConsumer, partitions: Mapping[TP, int]) -> None:
        # Faust's method seeks before it first waits, so that marks and positions change together.
        self.marks.update({TopicPartition(*tp): offset for tp, offset in partitions.items()})
        await super()._seek_wait(consumer, partitions)

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[Any, Any]:
        fetched = await super()._fetch_records(
            consumer, active_partitions, timeout=timeout, max_records=max_records
        )
        # Nothing else ran in this thread since the records were taken: marks and positions belong to them.
        return dict(self._batches(consumer, fetched))

    def _batches(
        self, consumer: AIOKafkaConsumer, fetched: Mapping[TopicPartition, Sequence[Record]]
    ) -> Iterable[tuple[TopicPartition, Batch]]:
        subscription = consumer._subscription.subscription
        assignment = subscription.assignment if subscription else None
        if assignment is None or not assignment.active:
            return
        for tp, start in list(self.marks.items()):
            if tp not in assignment.tps:
                continue
            state = assignment.state_value(tp)
            if not state.has_valid_position:
                continue
            records, end = fetched.get(tp, []), state.position
            limit = state.highwater if state.lso is None else state.lso
            # Records of an open transaction lie behind the last stable offset: no silence, though nothing can be read.
            nothing_open = limit == state.highwater
            at_end = end == limit and nothing_open and state.timestamp != self._answers.get(tp)
            self._answers[tp] = state.timestamp
            if records or end != start or at_end:
                self.marks[tp] = end
                yield tp, Batch(tp.partition, records, start, end, at_end, limit)


class Consumer(driver.Consumer):
    """Faust's consumer, one message per partition and fetch."""

    app: StreamApp
    _thread: ConsumerThread

    def __post_init__(self) -> None:
        super().__post_init__()
        self._room = asyncio.Event()

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch for a partition again."""
        super().on_buffer_drop(tp)
        self._room.set()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Fetch, and hand on a message per partition; its value is a `Batch`.

        Where all partitions have as much in front of them as they may, Faust's own method sleeps for a second. This
        one waits until one of them has room.

        Faust's own method seeks back when the flow was stopped meanwhile. That is not needed here, and would race
        with a take-over's own seek: the batches are dropped, the next one does not continue, and its owner seeks.
        """
        if self._buffered_partitions and not self._get_active_partitions():
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), timeout)
            return
        batches, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if batches is None or self.should_stop:
            return
        for tp, batch in cast("Mapping[TP, Batch]", batches).items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                break
            if active is None or tp in active or tp in self._buffered_partitions:
                yield TP(*tp), self._message(TP(*tp), batch)

    def _message(self, tp: TP, batch: Batch) -> ConsumerMessage:
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=batch.end - 1,
            timestamp=batch.records[-1].timestamp / 1000 if batch.records else 0.0,
            timestamp_type=1,
            headers=None,
            key=None,
            value=cast("Any", batch),
            checksum=None,
            serialized_value_size=len(batch.records),
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def perform_seek(self) -> None:
        """Take over the partitions that this worker was assigned, and seek to where their state stands."""
        await super().perform_seek()
        self._thread.marks.clear()
        await self.app.take_over({tp.partition for tp in self.assignment()})


class Transport(driver.Transport):
    """Faust's aiokafka transport with the consumer above."""

    Consumer = Consumer

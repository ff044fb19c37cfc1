"""Which source partitions this worker owns: taken over, given up, lost and taken again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import structlog

from monitor.engine.records import BaselineSource
from monitor.errors import KafkaError
from monitor.health import Health
from monitor.stream.options import KafkaAccess, MakeEngine, StreamOptions
from monitor.stream.partition import OwnedPartition, Progress
from monitor.stream.takeover import take_over
from monitor.stream.transport import Batch

log = structlog.get_logger(__name__)

#: Times in a row that a partition may be lost without anything written in between; then the process ends.
LOSSES = 5


class Flow(Protocol):
    """The consumer, as far as owners move it."""

    async def seek(self, offsets: Mapping[int, int]) -> None:
        """Have the next batches of these partitions begin here."""

    def pause(self, partition: int) -> None:
        """Fetch no more of a partition."""

    def resume(self, partition: int) -> None:
        """Fetch it again."""

    def assigned(self) -> set[int]:
        """Return the partitions that the group gives to this worker; none while it rebalances."""

    def settled(self) -> bool:
        """Whether the group has said which partitions are this worker's."""


class Owners:
    """The partitions that this worker drives.

    Every change goes through here, one at a time. A rebalance revokes all partitions, also those that stay: a
    taking-over that is under way is broken off, and what is owned is written and released.

    Parameters
    ----------
    count
        Partitions of the source topic.
    fail
        Told of an error that has to end the process.
    health
        Told how each partition is.
    """

    def __init__(
        self,
        flow: Flow,
        kafka: KafkaAccess,
        options: StreamOptions,
        make_engine: MakeEngine,
        source: BaselineSource,
        *,
        count: int,
        fail: Callable[[BaseException], None],
        health: Health | None = None,
    ) -> None:
        self._flow = flow
        self._kafka = kafka
        self._options = options
        self._make_engine = make_engine
        self._source = source
        self._count = count
        self.failed = fail
        self._health = health or Health()
        self._owned: dict[int, OwnedPartition] = {}
        self._losses: dict[int, int] = {}
        self._taking: set[asyncio.Task[None]] = set()

    @property
    def progress(self) -> dict[int, Progress]:
        """How far each owned partition is."""
        return {partition: owned.progress for partition, owned in self._owned.items()}

    @property
    def waits_for(self) -> str:
        """What keeps this worker from counting all that is its own; nothing if it does."""
        if not self._flow.settled():
            return "the consumer group shares out its partitions"
        if missing := sorted(self._flow.assigned() - self._owned.keys()):
            return f"partitions {missing} are being taken over"
        stuck = sorted(p for p, owned in self._owned.items() if owned.waits)
        return f"partitions {stuck} wait for the registry" if stuck else ""

    async def accept(self, batch: Batch) -> None:
        """Hand a batch to the partition's owner here; without one it is dropped: its next owner reads it again."""
        owned = self._owned.get(batch.partition)
        if owned is not None:
            await owned.accept(batch)

    async def take_over(self, partitions: Iterable[int]) -> None:
        """Own these partitions, from where their state stands."""
        task = self._start(self._take(sorted(partitions)))
        await asyncio.wait([task])

    async def release(self) -> None:
        """Give up all partitions, having written what was counted, within bounded time."""
        for task in self._taking:
            task.cancel()
        if self._taking:
            await asyncio.wait(self._taking)
        owned, self._owned = self._owned, {}
        if owned:
            await asyncio.gather(*(partition.release() for partition in owned.values()))
            log.info("partitions released", partitions=sorted(owned))

    async def seek(self, partition: int, offset: int) -> None:
        """Have the next batch of a partition begin here."""
        await self._flow.seek({partition: offset})

    def pause(self, partition: int) -> None:
        """Fetch no more of a partition."""
        self._flow.pause(partition)

    def resume(self, partition: int) -> None:
        """Fetch it again."""
        self._flow.resume(partition)

    def lost(self, owned: OwnedPartition, error: Exception) -> None:
        """Drop a partition that was fenced, or whose last transaction failed; take it again if it is still ours."""
        partition = owned.partition
        if self._owned.get(partition) is not owned:
            log.info(
                "nothing was written: another worker took over",
                partition=partition,
                error=repr(error),
            )
            return
        log.warning(
            "partition lost; what was not written is void", partition=partition, error=repr(error)
        )
        del self._owned[partition]
        written = owned.progress.written > owned.started_at
        self._losses[partition] = 1 if written else self._losses.get(partition, 0) + 1
        if self._losses[partition] >= LOSSES:
            msg = f"nothing could be written {LOSSES} times in a row: {error!r}"
            where = f"{self._options.topics.predictions}-{partition}"
            self.failed(KafkaError(msg, where=where, fix="Look into the broker's log."))
            return
        self._start(self._take_again(owned))

    async def _take_again(self, owned: OwnedPartition) -> None:
        await asyncio.shield(owned.drop())
        # A worker that was frozen past its session is fenced before it hears of the rebalance. Let it hear.
        await asyncio.sleep(3 * self._options.heartbeat_seconds)
        if owned.partition in self._flow.assigned() - self._owned.keys():
            await self._take([owned.partition])

    async def _take(self, partitions: list[int]) -> None:
        new = [partition for partition in partitions if partition not in self._owned]
        try:
            async with asyncio.timeout(self._options.takeover_seconds):
                holdings = await take_over(
                    new, self._kafka, self._options, self._make_engine, self._count
                )
        except TimeoutError:
            msg = f"partitions {new} could not be taken over in {self._options.takeover_seconds:.0f} s"
            fix = "Look for a transaction that hangs, or a broker that is down."
            raise KafkaError(msg, where=f"topic {self._options.topics.state}", fix=fix) from None
        for holding in holdings:
            self._owned[holding.partition] = OwnedPartition(
                holding, self, self._source, self._options, self._health
            )
        await self._flow.seek(
            {p: owned.reads_from for p, owned in self._owned.items() if p in partitions}
        )
        log.info("partitions taken over", at={h.partition: h.start for h in holdings})

    def _start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._guard(work))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)
        return task

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - handed on: it ends the process
            self.failed(error)

"""One source partition at work: the only task that touches its engine and its producer."""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiokafka.errors import KafkaError as ClientError

from monitor.baselines import Baseline
from monitor.engine.block import since
from monitor.engine.records import BaselineSource, Outbox, Record
from monitor.errors import BaselineError, RegistryError, VersionNotFound
from monitor.events import ModelVersion
from monitor.health import Health, PartitionHealth
from monitor.stream.options import StreamOptions
from monitor.stream.takeover import Holding, close_all
from monitor.stream.transaction import write
from monitor.stream.transport import Batch

log = structlog.get_logger(__name__)

#: Batches that may wait here before the agent does.
BACKLOG = 2

#: Most seconds of silence that two answers of the broker can prove: it answers an empty fetch after 1.5 s. An outage,
#: or a frozen process, is no proof that nothing was published.
SILENCE_LIMIT = 5.0

FIRST_RETRY, LAST_RETRY = 0.5, 30.0

#: Times as long as a write took that this partition only counts before it writes again, and the most seconds of it. All
#: that changed is written with each position, so a partition of hundreds of versions would do little but write.
REST, LONGEST_REST = 3.0, 30.0


class Host(Protocol):
    """What a partition asks of the worker that drives it."""

    async def seek(self, partition: int, offset: int) -> None:
        """Have the next batch begin at this offset."""

    def pause(self, partition: int) -> None:
        """Fetch no more of it for now."""

    def resume(self, partition: int) -> None:
        """Fetch it again."""

    def lost(self, partition: OwnedPartition, error: Exception) -> None:
        """Drop it: another worker owns it, or what it wrote last cannot be known."""

    def failed(self, error: Exception) -> None:
        """End the process: something happened that nobody expected."""


@dataclass(slots=True)
class Progress:
    """How far a partition is.

    Attributes
    ----------
    counted, written
        Offsets up to which records are in the engine, and on Kafka.
    end
        Where the partition ended when it was fetched to its end last; -1 before that.
    limit
        Where it ended at its last fetch.
    """

    counted: int
    written: int
    end: int = -1
    limit: int = -1


class OwnedPartition:
    """Drives one partition's engine: folds, takes and writes, one thing after the other.

    Its batches wait in a queue of its own, so that a version whose baseline cannot be had holds up no other partition.

    Parameters
    ----------
    holding
        The restored engine, and the producer that fenced everybody else.
    health
        Told how this partition is.
    """

    def __init__(
        self,
        holding: Holding,
        host: Host,
        source: BaselineSource,
        options: StreamOptions,
        health: Health | None = None,
    ) -> None:
        self.partition = holding.partition
        self.started_at = holding.start
        self.progress = Progress(holding.start, holding.start)
        self._engine = holding.engine
        self._producer = holding.producer
        self._host = host
        self._source = source
        self._options = options
        self._health = health or Health()
        self._told = dict(holding.engine.vitals.counts)
        self._seen = PartitionHealth()
        self._unwritten_since: float | None = None
        self._accepted = holding.start
        self._batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._held: Batch | None = None
        self._room = asyncio.Event()
        self._leaving = asyncio.Event()
        self._stuck = False
        self._write_at: float | None = None
        self._rested_at = 0.0
        self._silent_since: float | None = None
        self._silence = 0.0
        self._idling = False
        self._health.watch(self.partition, lambda: self._seen)
        self._task = asyncio.create_task(self._run(), name=f"partition {holding.partition}")

    @property
    def waits(self) -> bool:
        """Whether it waits for the registry."""
        return self._stuck

    @property
    def reads_from(self) -> int:
        """Offset that the next batch must not start beyond."""
        return self._accepted

    async def accept(self, batch: Batch) -> None:
        """Take a batch to be counted; waits while too many wait already. One that does not continue is dropped."""
        if self._leaving.is_set():
            return
        if batch.start > self._accepted:
            log.info("batches were dropped on the way; reading again", **self._where)
            await self._host.seek(self.partition, self._accepted)
            return
        if batch.end < self._accepted:
            return
        self._accepted = batch.end
        self._batches.put_nowait(batch)
        while self._batches.qsize() > BACKLOG and not self._stuck and not self._leaving.is_set():
            self._room.clear()
            await self._room.wait()

    async def release(self) -> None:
        """Write what was counted, if that is quickly done, and stop; never counts again."""
        self._leave()
        _, late = await asyncio.wait([self._task], timeout=self._options.leave_seconds)
        if late:
            log.warning(
                "could not write before leaving; the next owner counts again", **self._where
            )
        await self.drop()

    async def drop(self) -> None:
        """Stop without writing."""
        self._leave()
        self._task.cancel()
        await asyncio.wait([self._task])
        self._health.forget(self.partition)
        await close_all([self._producer])

    def _leave(self) -> None:
        self._leaving.set()
        self._room.set()
        self._batches.put_nowait(None)

    @property
    def _where(self) -> dict[str, int]:
        return {"partition": self.partition, "offset": self._accepted}

    async def _run(self) -> None:
        try:
            await self._learn(())
            while not self._leaving.is_set():
                batch = await self._next()
                if batch is not None:
                    await self._count(batch)
                if self._engine.due:
                    self._write_at = min(self._write_at or math.inf, self._rested_at)
                if self._time_to_write():
                    await self._write()
                self._show()
            if self._write_at is not None:
                await self._write()
        except ClientError as error:
            # Whatever went wrong: what is in the engine and not on Kafka is void, and only Kafka knows which.
            self._host.lost(self, error)
        except Exception as error:  # noqa: BLE001 - handed on: it ends the process
            self._host.failed(error)

    async def _next(self) -> Batch | None:
        held, self._held = self._held, None
        if held is not None:
            return held
        try:
            return self._batches.get_nowait()
        except asyncio.QueueEmpty:
            pass
        wait = None if self._write_at is None else max(0.0, self._write_at - time.monotonic())
        try:
            return await asyncio.wait_for(self._batches.get(), wait)
        except TimeoutError:
            return None

    async def _count(self, batch: Batch) -> None:
        if self._batches.qsize() <= BACKLOG:
            self._room.set()
        records = since(batch.records, self._engine.position)
        if records:
            self._silent_since, self._silence, self._idling = None, 0.0, False
            if not await self._learn(records):
                return
            self._engine.fold(records)
            due_at = time.monotonic() + self._options.snapshot_seconds
            self._write_at = self._write_at or max(due_at, self._rested_at)
            self._unwritten_since = self._unwritten_since or time.time()
        self.progress.counted = batch.end
        self.progress.limit = max(batch.limit, batch.end)
        if batch.at_end:
            self.progress.end = batch.end
            self._idle()

    def _idle(self) -> None:
        now = time.monotonic()
        if self._silent_since is not None:
            self._silence += min(now - self._silent_since, SILENCE_LIMIT)
            if self._silence >= self._options.idle_seconds or self._idling:
                self._engine.idle(self._silence)
                self._silence, self._idling = 0.0, True
        self._silent_since = now

    def _time_to_write(self) -> bool:
        return self._write_at is not None and time.monotonic() >= self._write_at

    async def _write(self) -> None:
        self._write_at = None
        began = time.monotonic()
        # Judging a window takes fairlearn 30-100 ms: heartbeats and other partitions go on.
        outbox = await asyncio.to_thread(self._take)
        counts = self._engine.vitals.counts
        counted_since = None
        if (
            outbox.state
            or outbox.reports
            or outbox.verdicts
            or outbox.dead_letters
            or outbox.forwards
        ):
            counted_since = await self._count_until(
                asyncio.create_task(write(self._producer, outbox, self._options, self.partition))
            )
            self.progress.written = outbox.position
            self._tell(counts, len(outbox.reports))
        self._unwritten_since = counted_since
        ended = time.monotonic()
        self._rested_at = ended + min(REST * (ended - began), LONGEST_REST)
        if self._write_at is not None:
            self._write_at = max(self._write_at, self._rested_at)

    async def _count_until(self, written: asyncio.Task[None]) -> float | None:
        """Count what comes while a transaction is written: it belongs to the next one, or is void with this one.

        Returns
        -------
        float or None
            When the first of it was counted, if anything came.
        """
        began = None
        try:
            while not written.done() and not self._leaving.is_set():
                coming = asyncio.create_task(self._batches.get())
                try:
                    await asyncio.wait([coming, written], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    coming.cancel()
                batch = coming.result() if coming.done() else None
                if batch is None:
                    continue
                if self._engine.versions(batch.records):
                    # The registry may be away for long, and this transaction's end is not to wait for it.
                    self._held = batch
                    break
                position = self._engine.position
                await self._count(batch)
                if self._engine.position > position:
                    began = began or time.time()
            await written
        finally:
            if not written.done():
                written.cancel()
                await asyncio.wait([written])
        return began

    def _take(self) -> Outbox:
        outbox = self._engine.take()
        if outbox.reports:
            # fairlearn's frames hold each other: 1.5 MiB a window, which nobody else looks for (see `run`).
            gc.collect(1)
        return outbox

    def _tell(self, counts: Mapping[str, int], reports: int) -> None:
        """Say what became of the records that are on Kafka now; what is not may yet be void."""
        for outcome, count in counts.items():
            more = count - self._told.get(outcome, 0)
            self._health.events.labels(str(self.partition), outcome).inc(more)
        self._told = dict(counts)
        self._health.reports.labels(str(self.partition)).inc(reports)

    def _show(self) -> None:
        vitals, progress = self._engine.vitals, self.progress
        # A value that is never changed: the thread that reads it meets no half of another.
        self._seen = PartitionHealth(
            lag=max(progress.limit - progress.counted, 0),
            open_windows=vitals.open_windows,
            watermarks=vitals.watermarks,
            unwritten_since=self._unwritten_since,
            waiting=self._stuck,
        )

    async def _learn(self, records: Sequence[Record]) -> bool:
        """Get the baselines that the engine lacks; False if this partition is left before they could be had."""
        for version in self._engine.versions(records):
            wait = FIRST_RETRY
            while not self._leaving.is_set():
                try:
                    baseline = await asyncio.to_thread(self._baseline, version)
                except RegistryError as error:
                    if self._engine.was_asked_after(version):
                        # It is counted as before, and asked after again later.
                        self._engine.learn(version, None)
                        break
                    self._wait_for_registry(error)
                    await self._sleep(wait)
                    wait = min(2 * wait, LAST_RETRY)
                else:
                    self._engine.learn(version, baseline)
                    break
            else:
                return False
        if self._stuck:
            self._stuck = False
            self._show()
            log.info("the registry answers again", **self._where)
            self._host.resume(self.partition)
        return True

    def _baseline(self, version: ModelVersion) -> Baseline | None:
        try:
            return self._source.baseline(version)
        except (BaselineError, VersionNotFound) as error:
            log.error(  # noqa: TRY400 - the sentence says it all
                "not judged: the baseline cannot be used",
                version="/".join(version),
                error=str(error),
            )
            return None

    def _wait_for_registry(self, error: RegistryError) -> None:
        # Gone, or it refuses this worker: to go on without a baseline would be to go on unjudged.
        log.warning("this partition waits for the registry", error=str(error), **self._where)
        if not self._stuck:
            self._stuck = True
            self._show()
            self._room.set()
            self._host.pause(self.partition)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._leaving.wait(), seconds)
        except TimeoutError:
            return

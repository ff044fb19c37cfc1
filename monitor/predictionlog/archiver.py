"""From a topic, predictions or labels, into its table: each event once, whatever is killed when."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from monitor.engine.deadletters import dead_letter
from monitor.errors import EventError, KafkaError, StoreError
from monitor.fetch.member import Assignment, Member
from monitor.health import Health
from monitor.predictionlog.messages import Message, Messages, messages_of
from monitor.predictionlog.table import Fenced, Positions, PredictionTable

if TYPE_CHECKING:
    import pyarrow as pa

    from monitor.engine.records import Record
    from monitor.reports import DeadLetter

log = structlog.get_logger(__name__)

#: Seconds to wait after the first and after later refusals of the disk or bucket, at most.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0

#: How long one look at the broker may take, seconds: no longer than a stop may be kept waiting.
_POLL = 0.25

#: Messages made rows at once, if they have no more bytes than this: they are still in the processor's cache then.
MESSAGES, _BYTES = 2_000, 2 << 20

#: Commits between two looks for small files.
_COMMITS = 50


class Gathered(Protocol):
    """What is gathered until it is written: `monitor.predictionlog.rows.Rows`, or labels."""

    def __len__(self) -> int: ...

    def add(self, messages: Sequence[Message]) -> dict[int, EventError]:
        """Take what messages say; return which are not usable, by position, and why."""

    def take(self) -> pa.Table:
        """Return the rows as a table, and start anew."""

    def drop(self) -> None:
        """Forget what was gathered."""


@dataclass(frozen=True, slots=True)
class BatchSize:
    """When a batch is written: at so many rows or bytes, or so many seconds after its first."""

    rows: int = 100_000
    bytes: int = 128 << 20
    seconds: float = 10.0


@dataclass(slots=True)
class ArchiveCounts:
    """What an archiver has done since it started."""

    rows: int = 0
    commits: int = 0
    unreadable: int = 0
    forwarded: int = 0
    fenced: int = 0
    waits: int = 0


@dataclass(slots=True)
class _Batch:
    """What was read and not yet written: the last offset of each partition, what is no event, and its size.

    Attributes
    ----------
    waiting, records
        Messages that are not rows yet; as they came, too, where letters may be written of them.
    unmade, unmade_bytes
        How many messages wait, and their bytes.
    bytes
        Of those that are rows.
    """

    reached: dict[int, int] = field(default_factory=dict)
    waiting: list[Messages] = field(default_factory=list)
    records: list[Sequence[Record]] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    unmade: int = 0
    unmade_bytes: int = 0
    bytes: int = 0
    since: float = 0.0


class Archiver:
    """Reads a topic and writes it into the table.

    The table itself says how far it has come: rows and offsets are one commit. Kafka's committed offsets are only
    for those who look at the lag.

    Parameters
    ----------
    kafka
        Keyword arguments of aiokafka's clients: the brokers, and how to be let in.
    app
        Names the consumer group, ``<app>-archive``.
    session_seconds
        An archiver that is silent for so long loses its partitions to the others.
    clock
        Monotonic seconds.
    health
        Told whether the table can be written, and how far behind it is.
    part
        What it is called there.
    letters
        Publishes what could not be read, before the table's position passes over it: a letter may be said twice, and
        is never lost. None where somebody else does, as the stream for predictions.
    """

    def __init__(
        self,
        table: PredictionTable,
        rows: Gathered,
        kafka: Mapping[str, Any],
        *,
        app: str,
        topic: str = "predictions",
        size: BatchSize | None = None,
        session_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        health: Health | None = None,
        part: str = "archive",
        letters: Callable[[Sequence[DeadLetter]], None] | None = None,
    ) -> None:
        self.counts = ArchiveCounts()
        self._letters = letters
        self._health = health or Health()
        self._part, self._pulse = part, self._health.pulse(part)
        self._table, self._rows = table, rows
        self._topic = topic
        self._size = size or BatchSize()
        self._clock = clock
        self._batch = _Batch()
        self._held: Positions = {}
        #: What is read; another one, as far as the group is concerned, is taken over first.
        self._assignment = Assignment()
        self._commits_since_look = 0
        self._join = partial(
            Member, kafka, topic, f"{app}-archive", session_seconds=session_seconds
        )

    def run(self, stop: threading.Event) -> None:
        """Archive until told to stop; a disk that is full, or a topic that takes no dead letters, is tried again for as long as it takes.

        Raises
        ------
        KafkaError
            If the broker says that trying again is of no use, or the topic no longer holds what comes next.
        StoreError, SettingsError
            If the table cannot be made, or a key cannot be had.
        """
        self._table.create()
        with self._join() as member:
            while not stop.is_set():
                self._pulse.beat()
                taken = member.take(_POLL)
                if member.assignment is not self._assignment:
                    self._take_over(member)  # what was taken may still be of an earlier assignment
                    continue
                self._take(taken)
                if self._is_due():
                    self._write(member, stop)
            if member.assignment is self._assignment and self._batch.reached:
                self._write(member, stop, last=True)

    def _drop(self) -> None:
        self._batch = _Batch()
        self._rows.drop()

    def _take_over(self, member: Member) -> None:
        """Go on from where the table stands, with the partitions that are ours now.

        What is not written is given up: whoever has its partition next reads it again.
        """
        assignment = member.assignment
        self._drop()
        for partition in set(self._assignment.partitions).difference(assignment.partitions):
            with suppress(KeyError):  # nothing of it was written yet
                self._health.backlog.remove(self._part, self._topic, str(partition))
        self._assignment = assignment
        if assignment.partitions:
            self._begin(member, assignment)
        if assignment.given:
            self._pulse.ready()

    def _begin(self, member: Member, assignment: Assignment) -> None:
        """Have partitions read from where the table stands."""
        self._held = self._table.positions([*map(self._source, assignment.partitions)])
        places = {}
        for partition, (first, end) in member.bounds(assignment.partitions).items():
            held = self._held[self._source(partition)]
            places[partition] = first if held is None else held + 1
            if places[partition] > end:
                raise KafkaError(
                    f"partition {partition} ends at {end}, and the log stands at {places[partition]}",
                    where=f"topic {self._topic}",
                    fix="The topic was made anew: give it another name, or the log another directory.",
                )
            if places[partition] < first:
                log.error("lost", partition=partition, offsets=first - places[partition])
                places[partition] = first
        member.begin(assignment, places)

    def _take(self, taken: Mapping[int, Sequence[Record]]) -> None:
        """Add to the batch, and make rows of what waits for it if that is enough."""
        self._queue(taken)
        if self._batch.unmade >= MESSAGES or self._batch.unmade_bytes >= _BYTES:
            self._make_rows()

    def _queue(self, taken: Mapping[int, Sequence[Record]]) -> None:
        batch = self._batch
        if taken and not batch.reached:
            batch.since = self._clock()
        for partition, records in taken.items():
            batch.reached[partition] = records[-1].offset
            messages, own = messages_of(records, self._topic, partition)
            self.counts.forwarded += len(records) - len(own)
            batch.waiting.append(messages)
            batch.unmade += len(messages)
            batch.unmade_bytes += int(messages.values.lengths.sum())
            if self._letters is not None:
                batch.records.append(own)

    def _make_rows(self) -> None:
        """Make rows of what waits for it; what is no event is set aside."""
        batch = self._batch
        if not batch.waiting:
            return
        waiting, batch.waiting = Messages.joined(batch.waiting), []
        records, batch.records = batch.records, []
        batch.bytes += batch.unmade_bytes
        batch.unmade = batch.unmade_bytes = 0
        for part in _parts(waiting):
            for position, fault in sorted(self._rows.add(waiting[part]).items()):
                at = part.start + position
                message = waiting[at]
                place = {"topic": message.topic, "partition": message.partition}
                if self._letters is not None:
                    batch.letters.append(dead_letter(_nth(records, at), fault, **place))
                self.counts.unreadable += 1
                self._health.set_aside.labels(self._part).inc()
                log.warning("unreadable", **place, offset=message.offset, why=str(fault))

    def _is_due(self) -> bool:
        batch, size = self._batch, self._size
        return bool(batch.reached) and (
            len(self._rows) + batch.unmade >= size.rows
            or batch.bytes >= size.bytes
            or self._clock() - batch.since >= size.seconds
        )

    def _write(self, member: Member, stop: threading.Event, *, last: bool = False) -> None:
        """Write the batch, trying for as long as it takes; `last` tries once."""
        self._make_rows()
        rows = self._rows.take()
        batch, self._batch = self._batch, _Batch()
        if not (rows.num_rows or batch.letters):
            return  # nothing but what others keep: it is passed over again, at worst
        reached = {self._source(partition): offset for partition, offset in batch.reached.items()}
        wait = _FIRST_WAIT
        while True:
            try:
                if batch.letters and self._letters is not None:
                    self._letters(batch.letters)
                    batch.letters = []
                # A try that failed may have been written after all, its answer lost on the way.
                if wait == _FIRST_WAIT or self._table.positions(list(reached)) != reached:
                    self._table.append(rows, reached, self._held)
            except Fenced as fence:
                self.counts.fenced += 1
                log.warning("fenced", why=str(fence))
                self._assignment = Assignment(self._assignment.partitions)  # it is taken over anew
                return
            except (StoreError, KafkaError) as error:
                if last or stop.is_set():
                    log.warning("not_written", why=str(error))  # it is read again
                    self._drop()  # and what came after it: a position passes over nothing
                    return
                self.counts.waits += 1
                self._health.waits.labels(self._part).inc()
                self._pulse.wait(str(error))
                log.warning("log_waits", seconds=wait, why=str(error))
                if not self._stay(member, wait, stop):
                    return
                wait = min(2 * wait, _LONGEST_WAIT)
                continue
            break
        if wait > _FIRST_WAIT:
            member.resume(self._assignment)
        self._held.update(reached)
        self.counts.rows += rows.num_rows
        self.counts.commits += 1
        self._health.written.labels(self._part, "rows").inc(rows.num_rows)
        self._pulse.ready()
        self._show_lag(member, batch)
        self._tidy()

    def _stay(self, member: Member, seconds: float, stop: threading.Event) -> bool:
        """Wait while asking for more: who does not ask is put out of its group, sooner or later. False if it was."""
        member.pause(self._assignment)
        until = self._clock() + seconds
        while self._clock() < until and not stop.is_set():
            taken = member.take(_POLL)
            if member.assignment is not self._assignment:
                return False
            # From before the pause: it belongs to the next batch. No rows yet: their key may want the full disk.
            self._queue(taken)
        return True

    def _show_lag(self, member: Member, batch: _Batch) -> None:
        places = {partition: offset + 1 for partition, offset in batch.reached.items()}
        for partition, end in member.commit(places).items():
            lies = self._health.backlog.labels(self._part, self._topic, str(partition))
            lies.set(max(end - places[partition], 0))

    def _tidy(self) -> None:
        """Make small files one, now and then; whoever has partition 0 does it for all."""
        self._commits_since_look += 1
        if self._commits_since_look < _COMMITS or 0 not in self._assignment.partitions:
            return
        self._commits_since_look = 0
        today = dt.datetime.now(dt.UTC).date()
        try:
            crowded = self._table.compact(before=today)
            log.info("compacted", days_and_models=crowded)
        except StoreError as error:
            log.warning("not_compacted", why=str(error))

    def _source(self, partition: int) -> str:
        return f"{self._topic}-{partition}"


def together(runs: Sequence[Callable[[threading.Event], None]], stop: threading.Event) -> None:
    """Run several archivers until `stop` is set; one that fails has the others stop, and its error is raised."""
    failures: list[Exception] = []

    def run(one: Callable[[threading.Event], None]) -> None:
        try:
            one(stop)
        except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        # With a timeout, so that signals are heard meanwhile.
        while thread.is_alive():
            thread.join(_POLL)
    if failures:
        raise failures[0]


def _nth(parts: Sequence[Sequence[Record]], at: int) -> Record:
    """Return one of all records in several parts."""
    for part in parts:
        if at < len(part):
            return part[at]
        at -= len(part)
    raise IndexError(at)


def _parts(messages: Messages) -> Iterator[slice]:
    """Yield parts of messages: of two thousand, or up to the one that makes them two million bytes."""
    start = held = 0
    for at, length in enumerate(messages.values.lengths.tolist()):
        held += length
        if held >= _BYTES or at - start + 1 >= MESSAGES:
            yield slice(start, at + 1)
            start, held = at + 1, 0
    if start < len(messages):
        yield slice(start, len(messages))

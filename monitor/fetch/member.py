"""A member of a consumer group that is handed whole batches, for who works in a thread: aiokafka lives in one of its own.

So the group hears of it while its owner writes. The owner, not Kafka, knows where to go on: partitions that the group
gives wait until they are told.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition, errors

from monitor.errors import KafkaError
from monitor.fetch.answers import install
from monitor.fetch.quiet import quieten

if TYPE_CHECKING:
    from monitor.engine.records import Record

T = TypeVar("T")

log = structlog.get_logger(__name__)

#: Most bytes, as they lie on the broker, that one fetch brings of a partition.
_FETCH_BYTES = 4 << 20

#: How long the broker may take to say what it holds, and to hear the last commit and that this member leaves, seconds.
_PATIENCE, _FAREWELL = 30.0, 5.0

#: A topic that is not there yet, and a partition that is new, is looked for so often, milliseconds.
_LOOK_AGAIN = 10_000

_FORBIDDEN = errors.GroupAuthorizationFailedError, errors.TopicAuthorizationFailedError


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Partitions that the group gave at one time: the same ones given again are another assignment.

    Attributes
    ----------
    given
        Whether it gave any, or none because others have all; not so while it deals them out.
    """

    partitions: tuple[int, ...] = ()
    given: bool = False


class Member(ConsumerRebalanceListener):
    """Reads a topic together with the other members of a group. A context manager: it joins, and leaves.

    Parameters
    ----------
    access
        How every aiokafka client is let in: keyword arguments.
    topic
        Read as far as its transactions are committed.
    group
        The consumer group.
    session_seconds
        A member that is silent for so long loses its partitions to the others.

    Raises
    ------
    KafkaError
        On entering, if no broker answers, or lets it in.
    """

    def __init__(
        self, access: Mapping[str, Any], topic: str, group: str, *, session_seconds: float
    ) -> None:
        session = int(session_seconds * 1000)
        self._topic = topic
        self._settings = {
            **access,
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "session_timeout_ms": session,
            "heartbeat_interval_ms": session // 3,
            "metadata_max_age_ms": _LOOK_AGAIN,
            "max_partition_fetch_bytes": _FETCH_BYTES,
        }
        self._assignment = Assignment()
        self._taking: asyncio.Task[Mapping[TopicPartition, Sequence[Record]]] | None = None
        self._unsaid: dict[TopicPartition, int] = {}
        self._saying: asyncio.Task[None] | None = None
        self._joined: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name=f"fetch {topic}", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._leaving: asyncio.Event
        self._consumer: AIOKafkaConsumer

    def __enter__(self) -> Self:
        """Join the group."""
        install()
        quieten()
        self._thread.start()
        self._joined.result()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the group."""
        self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join()

    @property
    def assignment(self) -> Assignment:
        """What the group gives now: it is for its owner to `begin`."""
        return self._assignment

    def bounds(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """Return the first offset that each partition holds, and the one after its last.

        Raises
        ------
        KafkaError
            If the broker does not answer, or refuses.
        """
        try:
            return self._call(self._bounds([self._tp(one) for one in partitions]))
        except (TimeoutError, errors.KafkaError) as error:
            _check(error)
            raise _unreachable(self._topic, error) from error

    def begin(self, assignment: Assignment, places: Mapping[int, int]) -> None:
        """Go on from these offsets, one for each partition; nothing happens if the group gives others by now."""
        self._call(self._begin(assignment, places))

    def take(self, seconds: float) -> Mapping[int, Sequence[Record]]:
        """Return what came of each partition, waiting so long at most.

        Where the topic does not hold any more what comes next, its partitions are assigned anew.

        Raises
        ------
        KafkaError
            If trying again is of no use.
        """
        try:
            taken = self._call(self._take(seconds))
        except errors.OffsetOutOfRangeError:
            self._call(self._assign_anew())
        except Exception as error:  # noqa: BLE001 - whatever a damaged batch does to who unpacks it
            _check(error)
        else:
            return {tp.partition: records for tp, records in taken.items()}
        return {}

    def pause(self, assignment: Assignment) -> None:
        """Fetch no more of it, if it is still what the group gives."""
        self._call(self._on_all(assignment, self._consumer.pause))

    def resume(self, assignment: Assignment) -> None:
        """Fetch it again, if it is still what the group gives."""
        self._call(self._on_all(assignment, self._consumer.resume))

    def commit(self, places: Mapping[int, int]) -> Mapping[int, int]:
        """Tell Kafka the next offset of each partition, as soon as it listens; return where each ended when last heard."""
        return self._call(self._commit({self._tp(one): at for one, at in places.items()}))

    # What follows runs in the thread of aiokafka.

    def _live(self) -> None:
        try:
            asyncio.run(self._stay())
        except BaseException as error:
            if self._joined.done():
                raise
            self._joined.set_exception(error)  # raised in the owner's thread

    async def _stay(self) -> None:
        self._loop, self._leaving = asyncio.get_running_loop(), asyncio.Event()
        self._consumer = AIOKafkaConsumer(**self._settings)
        try:
            try:
                await self._consumer.start()
            except errors.KafkaError as error:
                raise _unreachable(self._topic, error) from error
            # Not before it has started: it would wait there until the group gives partitions.
            self._consumer.subscribe([self._topic], listener=self)
            self._joined.set_result(None)
            await self._leaving.wait()
        finally:
            await self._leave()

    async def _leave(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
        begun = {task for task in (self._taking, self._saying) if task is not None}
        if begun:
            await asyncio.wait(begun, timeout=_FAREWELL)
        stopping = asyncio.ensure_future(self._consumer.stop())
        await asyncio.wait([stopping], timeout=_FAREWELL)
        # While a broker is away aiokafka stumbles over its own tasks as it stops, and leaves connections open.
        if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
            closing = asyncio.ensure_future(self._consumer._client.close())
            await asyncio.wait([closing], timeout=_FAREWELL)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        """Have nothing until the group says what is whose."""
        self._assignment = Assignment()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Hold them until their owner says where to begin."""
        self._assign(sorted(tp.partition for tp in assigned))

    async def _assign_anew(self) -> None:
        self._assign(self._assignment.partitions)

    def _assign(self, partitions: Sequence[int]) -> None:
        for tp in map(self._tp, partitions):
            self._consumer.pause(tp)
            # A place, whichever: without one aiokafka asks Kafka where to begin.
            self._consumer.seek(tp, 0)
        self._assignment = Assignment(tuple(partitions), given=True)

    async def _begin(self, assignment: Assignment, places: Mapping[int, int]) -> None:
        if self._assignment is not assignment:
            return
        if self._taking is not None and self._taking.done():
            self._taking.exception()  # asked for, so that nobody misses it
            self._taking = None  # from where it stood before
        for partition, place in places.items():
            self._consumer.seek(self._tp(partition), place)
        self._consumer.resume(*map(self._tp, places))

    async def _take(self, seconds: float) -> Mapping[TopicPartition, Sequence[Record]]:
        self._look_after()
        if self._taking is None:
            asked = self._consumer.getmany(timeout_ms=int(seconds * 1000))
            self._taking = asyncio.ensure_future(asked)
        # While the group deals out partitions it does not return, and cancelled it might lose what it has.
        done, _ = await asyncio.wait([self._taking], timeout=seconds)
        if not done:
            return {}
        taken, self._taking = self._taking, None
        return taken.result()

    def _look_after(self) -> None:
        """Raise what aiokafka itself only says in its log: no right to see the topic, and the end of its fetching."""
        if self._topic in self._consumer._client.cluster.unauthorized_topics:
            raise errors.TopicAuthorizationFailedError(self._topic)
        if self._consumer._fetcher.error_future.done():
            self._consumer._fetcher.error_future.result()

    async def _bounds(self, tps: Sequence[TopicPartition]) -> Mapping[int, tuple[int, int]]:
        async with asyncio.timeout(_PATIENCE):
            first = await self._consumer.beginning_offsets(tps)
            end = await self._consumer.end_offsets(tps)
        return {tp.partition: (first[tp], end[tp]) for tp in tps}

    async def _on_all(self, assignment: Assignment, act: Callable[..., None]) -> None:
        if self._assignment is assignment:
            act(*map(self._tp, assignment.partitions))

    async def _commit(self, places: Mapping[TopicPartition, int]) -> Mapping[int, int]:
        self._unsaid |= places
        if self._saying is None or self._saying.done():
            self._saying = asyncio.ensure_future(self._say())
        own = self._consumer.assignment()
        ends = {tp: self._consumer.highwater(tp) for tp in places if tp in own}
        return {tp.partition: end for tp, end in ends.items() if end is not None}

    async def _say(self) -> None:
        while self._unsaid:
            places, self._unsaid = self._unsaid, {}
            try:
                await self._consumer.commit(places)
            except errors.KafkaError as error:
                log.warning("lag_not_shown", why=repr(error))

    def _call(self, asked: Coroutine[Any, Any, T]) -> T:
        """Have something done in aiokafka's thread, and wait for it."""
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)


def _check(error: Exception) -> None:
    """Raise what no second try cures; say the rest in the log."""
    if isinstance(error, _FORBIDDEN):
        raise KafkaError(
            f"it may not be read: {error!r}",
            fix="Check the credentials, and that this user may read the topic and join the group.",
        ) from error
    if not getattr(error, "retriable", isinstance(error, TimeoutError)):
        raise KafkaError(
            f"it cannot be read: {error!r}", fix="Look into the broker's own log."
        ) from error
    log.warning("broker", why=repr(error))


def _unreachable(topic: str, error: Exception) -> KafkaError:
    return KafkaError(
        f"the broker does not answer: {error!r}",
        where=f"topic {topic}",
        fix="Check the address, the credentials, and that the broker runs.",
    )

"""Reads topic ``verdicts`` and acts: one process for a model, whatever else is running.

Verdicts are keyed by model, so a model's are in one partition, and the consumer group gives a partition to one
process. Who gets it starts the partition's transactional producer, which fences whoever had it before. A verdict's
offset is committed after its outcome: after a crash it comes again, and the log of decisions says how far it came.

Group and transactional ids are named after the topic, not after the app: two deployments that were started on the
same topics by mistake are one group, and one of them acts.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as Code

from monitor.actions.actor import Actor
from monitor.actions.links import NOWHERE, Places
from monitor.actions.log import DecisionReader, Fenced, KafkaDecisionLog, client_log, failure
from monitor.actions.means import Means
from monitor.actions.ports import Clock, DecisionLog, Notices, Registry
from monitor.errors import KafkaError
from monitor.health import Health
from monitor.policy.model import Policy
from monitor.reports import Decision, Stage, Verdict
from monitor.stream.partitioner import partition_of

log = structlog.get_logger(__name__)

#: Seconds between two tries while the registry does not answer, and between two looks at what others decided.
RETRY_SECONDS, LOOK_SECONDS = 2.0, 5.0

#: Seconds within which the broker has to say how many partitions there are.
_PATIENCE = 30.0

#: Verdicts held in memory for a partition while the registry is away; then reading pauses.
_MOST_HELD = 1000


@dataclass(frozen=True, slots=True)
class ActingTopics:
    """What is read, and what is written."""

    verdicts: str = "verdicts"
    decisions: str = "decisions"


@dataclass(frozen=True, slots=True)
class _Timed:
    """A log of decisions that also says how long a breach took to be undone."""

    log: DecisionLog
    health: Health

    def append(self, decision: Decision) -> None:
        self.log.append(decision)
        verdict = decision.verdict
        if decision.stage is Stage.DONE and verdict is not None and verdict.closed_at:
            self.health.decision_latency.observe(max(decision.at - verdict.closed_at, 0.0))

    def history(self, model: str, *, fresh: bool = True) -> Sequence[Decision]:
        return self.log.history(model, fresh=fresh)


@dataclass(slots=True)
class _Seat:
    """One partition of verdicts that is this process's."""

    actor: Actor
    position: int = -1
    committed: int = -1
    held: dict[str, deque[tuple[int, Verdict]]] = field(default_factory=dict)

    def take(self, offset: int, verdict: Verdict | None) -> None:
        """Act on a verdict, or hold it behind earlier ones of its model that wait for the registry."""
        if verdict is not None:
            if verdict.model in self.held:
                self.held[verdict.model].append((offset, verdict))
            elif not self.actor.consider(verdict):
                self.held[verdict.model] = deque([(offset, verdict)])
        # Last: where an error was raised, the verdict has to come again.
        self.position = offset + 1

    def retry(self) -> None:
        """Go on with what waits, each model's verdicts in their order."""
        for model, waiting in list(self.held.items()):
            while waiting and self.actor.consider(waiting[0][1]):
                waiting.popleft()
            if not waiting:
                del self.held[model]

    @property
    def settled(self) -> int:
        """Offset up to which all is over."""
        return min((waiting[0][0] for waiting in self.held.values()), default=self.position)

    @property
    def waits(self) -> int:
        """How many verdicts are held."""
        return sum(map(len, self.held.values()))

    @property
    def is_full(self) -> bool:
        """Whether enough is held."""
        return self.waits >= _MOST_HELD


class ActingService:
    """Acts on verdicts from Kafka until it is asked to stop.

    Parameters
    ----------
    kafka
        Configuration by librdkafka's names.
    record
        Called with each decision, by whomever it was made, once it is durable: the audit record stands here. It may
        see one again after a restart.
    now
        The wall clock.
    session_seconds
        A process that is silent for so long loses its partitions.
    places
        Where the links in notices lead.
    health
        Told whether it acts, and how long a breach took to be undone.
    """

    def __init__(
        self,
        kafka: Mapping[str, Any],
        topics: ActingTopics,
        registry: Registry,
        policy: Policy,
        notices: Notices,
        record: Callable[[Decision], None],
        *,
        now: Clock = time.time,
        session_seconds: float = 10.0,
        places: Places = NOWHERE,
        health: Health | None = None,
    ) -> None:
        self._health = health or Health()
        self._pulse = self._health.pulse("actor")
        self._kafka = dict(kafka)
        self._topics = topics
        self._registry = registry
        self._policy = policy
        self._notices = notices
        self._record = record
        self._now = now
        self._session_seconds = session_seconds
        self._places = places
        self._seats: dict[int, _Seat] = {}
        self._unseated: dict[int, float] = {}
        self._failure: BaseException | None = None

    def run(self, stop: threading.Event) -> None:
        """Act until `stop` is set; then leave the group.

        Raises
        ------
        KafkaError, StateError, StoreError, AuditChainBroken
            What a restart may cure, or a person.
        """
        self._reader = DecisionReader(self._kafka, self._topics.decisions, self._record)
        consumer = self._consumer()
        try:
            self._reader.refresh()
            consumer.subscribe(
                [self._topics.verdicts],
                on_assign=self._sit_down,
                on_revoke=self._stand_up,
                on_lost=self._stand_up,
            )
            looked = tried = time.monotonic()
            while not stop.is_set():
                message = consumer.poll(0.1)
                self._pulse.beat()
                if self._failure is not None:
                    raise self._failure
                if message is not None:
                    self._take(message, consumer)
                if time.monotonic() - tried > RETRY_SECONDS:
                    self._retry(consumer)
                    tried = time.monotonic()
                if time.monotonic() - looked > LOOK_SECONDS:
                    self._look(consumer)
                    self._tell()
                    looked = time.monotonic()
                self._commit(consumer)
        except KafkaException as error:
            raise failure(error, self._topics.verdicts) from error
        finally:
            consumer.close()
            self._seats.clear()
            self._reader.close()

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions of verdicts that this process acts for."""
        return frozenset(self._seats)

    # ------------------------------------------------------------------------------------ partitions

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                **self._kafka,
                "group.id": f"{self._topics.verdicts}-actor",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",  # the first verdict may already ask for something
                "isolation.level": "read_committed",
                "session.timeout.ms": int(self._session_seconds * 1000),
                "fetch.wait.max.ms": 100,
            },
            logger=client_log,
        )

    def _sit_down(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            for partition in partitions:
                log_ = KafkaDecisionLog(
                    self._kafka,
                    self._topics.decisions,
                    f"{self._topics.verdicts}-actor-{partition.partition}",
                    self._reader,
                )
                timed = _Timed(log_, self._health)
                means = Means(
                    self._registry, timed, self._policy, self._notices, self._now, self._places
                )
                self._seats[partition.partition] = _Seat(Actor(means))
            # Whoever was fenced has written what it will ever write: now it can be read.
            self._reader.refresh()
        except Exception as error:  # noqa: BLE001 - raised by run(): the client swallows it here
            self._failure = error
        else:
            # None may be its own: then it stands by.
            self._pulse.ready()
        log.info("acting for", partitions=sorted(self._seats))

    def _stand_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._commit(consumer)
        except KafkaException as error:  # the next owner reads again what was read
            log.warning("the position was not kept", error=str(error))
        for partition in partitions:
            self._seats.pop(partition.partition, None)
        log.info("no longer acting for", partitions=[p.partition for p in partitions])

    # -------------------------------------------------------------------------------------- verdicts

    def _take(self, message: Message, consumer: Consumer) -> None:
        error = message.error()
        if error is not None:
            if error.code() != Code._PARTITION_EOF and not error.retriable():  # noqa: SLF001
                raise failure(KafkaException(error), self._topics.verdicts)
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None  # it was read from one
        assert offset is not None
        seat = self._seats.get(partition)
        if seat is None:
            return
        self._in_seat(partition, lambda: seat.take(offset, _decode(message)))
        if seat.is_full:
            consumer.pause([TopicPartition(self._topics.verdicts, partition)])

    def _retry(self, consumer: Consumer) -> None:
        for partition, seat in list(self._seats.items()):
            if seat.held:
                was_full = seat.is_full
                self._in_seat(partition, seat.retry)
                if was_full and not seat.is_full:
                    consumer.resume([TopicPartition(self._topics.verdicts, partition)])

    def _look(self, consumer: Consumer) -> None:
        self._reader.refresh()
        models = self._models(consumer)
        for partition, seat in list(self._seats.items()):
            self._in_seat(partition, partial(seat.actor.doubt, models[partition]))
        self._check_seats({assigned.partition for assigned in consumer.assignment()})

    def _models(self, consumer: Consumer) -> Mapping[int, list[str]]:
        """Return the models that anything was decided about, by the partition that their verdicts are in."""
        topic = self._topics.verdicts
        partitions = len(consumer.list_topics(topic, timeout=_PATIENCE).topics[topic].partitions)
        models: dict[int, list[str]] = defaultdict(list)
        for model in self._reader.models if partitions else ():
            models[partition_of(model.encode(), partitions)].append(model)
        return models

    def _check_seats(self, assigned: set[int]) -> None:
        """See that what the group gives this process is acted on: by whom it was fenced may be gone since."""
        now = time.monotonic()
        self._unseated = {p: self._unseated.get(p, now) for p in assigned - self._seats.keys()}
        for partition, since in self._unseated.items():
            if now - since > 2 * self._session_seconds:
                raise KafkaError(
                    "another process fenced this one, yet the group leaves the partition here",
                    where=f"topic {self._topics.verdicts}, partition {partition}",
                    fix="Let one deployment act on these topics; start this one again, and it goes on.",
                )

    def _tell(self) -> None:
        """Say whether anything waits for the registry."""
        held = sum(seat.waits for seat in self._seats.values())
        self._health.verdicts_held.set(held)
        if held:
            self._pulse.wait(f"{held} verdicts wait for the registry")
        else:
            self._pulse.ready()

    def _in_seat(self, partition: int, act: Callable[[], None]) -> None:
        try:
            act()
        except Fenced as fenced:
            # A frozen process that woke, or two groups: the other one acts. The group will say so too.
            log.warning("stepping back", partition=partition, error=str(fenced))
            self._seats.pop(partition, None)

    def _commit(self, consumer: Consumer) -> None:
        news = {p: s.settled for p, s in self._seats.items() if s.settled > s.committed}
        if not news:
            return
        offsets = [TopicPartition(self._topics.verdicts, p, o) for p, o in news.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # A rebalance is under way; the next owner reads again what was read.
            if error.args[0].code() not in _NOT_OURS:
                raise
            return
        for partition, offset in news.items():
            self._seats[partition].committed = offset


_NOT_OURS = {
    Code.ILLEGAL_GENERATION,
    Code.UNKNOWN_MEMBER_ID,
    Code.REBALANCE_IN_PROGRESS,
    Code.FENCED_INSTANCE_ID,
    Code._ASSIGNMENT_LOST,  # noqa: SLF001 - so named there
}


def _decode(message: Message) -> Verdict | None:
    """Read a verdict; what cannot be read cannot be acted on, and must not stop the others."""
    try:
        return msgspec.json.decode(message.value() or b"", type=Verdict)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.error(  # noqa: TRY400 - the place in Kafka says more than the traceback
            "a verdict cannot be read",
            partition=message.partition(),
            offset=message.offset(),
            error=str(error),
        )
        return None

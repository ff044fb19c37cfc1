"""What the acting service does with what Kafka gives it; the client is a fake."""

from __future__ import annotations

import threading

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import ClusterMetadata, TopicMetadata
from msgspec.structs import replace

from monitor.actions import service
from monitor.actions.actor import CONFIRM_WITHIN
from monitor.actions.log import Fenced
from monitor.actions.past import next_step
from monitor.actions.rollback import decision_on
from monitor.actions.service import ActingService, ActingTopics
from monitor.errors import KafkaError
from monitor.reports import Stage
from monitor.stream.partitioner import partition_of
from tests.acting import FakeLog, World, verdict


class FakeMessage:
    def __init__(self, value: bytes) -> None:
        self._value = value

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def value(self) -> bytes:
        return self._value


class FakeConsumer:
    """One partition, assigned at once and for ever, with one message in it; then it asks to stop."""

    def __init__(self, value: bytes, stop: threading.Event, *, polls: int) -> None:
        self._messages = [FakeMessage(value)]
        self._stop = stop
        self._polls = polls
        self.committed: list[int] = []

    def __call__(self, *_, **__) -> FakeConsumer:
        return self

    def subscribe(self, _, *, on_assign, **__) -> None:
        on_assign(self, self.assignment())

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("verdicts", 0)]

    def poll(self, _) -> FakeMessage | None:
        self._polls -= 1
        if not self._polls:
            self._stop.set()
        return self._messages.pop() if self._messages else None

    def commit(self, *, offsets, **_) -> None:
        self.committed += [offset.offset for offset in offsets]

    def close(self) -> None: ...

    def list_topics(self, topic, timeout) -> ClusterMetadata:
        of = TopicMetadata()
        of.partitions = {0: None, 1: None}
        found = ClusterMetadata()
        found.topics = {topic: of}
        return found


class FakeReader:
    def __init__(self, log: FakeLog) -> None:
        self._log = log

    @property
    def models(self) -> frozenset[str]:
        return frozenset(decision.model for decision in self._log.decisions)

    def refresh(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def world():
    return World()


@pytest.fixture
def act(monkeypatch, world):
    """Run a service on one message; returns the offsets that were committed."""

    def run(value: bytes, *, polls: int = 3) -> list[int]:
        stop = threading.Event()
        consumer = FakeConsumer(value, stop, polls=polls)
        monkeypatch.setattr(service, "Consumer", consumer)
        monkeypatch.setattr(service, "DecisionReader", lambda *_: FakeReader(world.log))
        monkeypatch.setattr(service, "KafkaDecisionLog", lambda *_: world.log)
        monkeypatch.setattr(service, "LOOK_SECONDS", 0.0)
        acting = ActingService(
            {},
            ActingTopics(),
            world.registry,
            world.policy,
            world.notices,
            lambda decision: None,
            now=lambda: world.time,
            session_seconds=0.001,
        )
        acting.run(stop)
        return consumer.committed

    return run


def test_a_verdict_is_acted_on_and_its_offset_is_committed(act, world):
    assert act(msgspec.json.encode(verdict())) == [8]
    assert world.registry.aliases["champion"] == "2"


@pytest.mark.parametrize("value", [b"no json", b'{"model": 3}', b'{"model": "\xff\xfe"}'])
def test_what_cannot_be_read_is_passed_over(act, world, value):
    assert act(value) == [8]
    assert world.log.decisions == []


def test_a_rollback_before_the_start_is_doubted_by_whoever_acts_for_its_model_now(act, world):
    intent = decision_on(
        verdict(),
        rollback_id="r",
        decision_id="r:intent",
        stage=Stage.INTENT,
        reason="unfair",
        at=world.time,
        alias="champion",
        to_version="2",
    )
    done = next_step(intent, Stage.DONE, world.time)
    elsewhere = next(m for m in map(str, range(99)) if partition_of(m.encode(), 2) == 1)
    world.log.decisions += [done, replace(done, model=elsewhere, rollback_id="e", decision_id="e")]
    world.time += CONFIRM_WITHIN + 1
    act(b"of no model that is silent", polls=5)
    assert [notice.about["model"] for notice in world.notices.notices.values()] == ["credit"]
    assert world.notices.kinds == ["unconfirmed"]


def test_who_was_fenced_and_keeps_the_partition_asks_to_be_started_again(act, world):
    def fenced(_):
        raise Fenced("another process decides")

    world.log.before = fenced
    with pytest.raises(KafkaError, match="partition 0: another process fenced this one"):
        act(msgspec.json.encode(verdict()), polls=100_000)

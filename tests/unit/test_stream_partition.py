from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from monitor.engine.records import Outbox, Vitals
from monitor.errors import BaselineAltered, RegistryError, RegistryUnavailable
from monitor.events import ModelVersion
from monitor.health import Health
from monitor.stream import StreamOptions
from monitor.stream.partition import REST, OwnedPartition
from monitor.stream.takeover import Holding
from monitor.stream.transport import Batch

OPTIONS = StreamOptions(snapshot_seconds=0.01, leave_seconds=0.2, idle_seconds=0.0)
VERSION = ModelVersion("credit", "7")


@dataclass
class Engine:
    position: int = 0
    due: bool = False
    counted: list[int] = field(default_factory=list)
    silence: list[float] = field(default_factory=list)
    wanted: set[ModelVersion] = field(default_factory=set)
    learned: dict[ModelVersion, Any] = field(default_factory=dict)
    told: set[ModelVersion] = field(default_factory=set)

    @property
    def vitals(self):
        return Vitals({"counted": len(self.counted)}, {VERSION: 5.0}, 2)

    def versions(self, records):
        return (self.wanted if records else set()) - self.learned.keys()

    def was_asked_after(self, version):
        return version in self.told

    def learn(self, version, baseline):
        self.learned[version] = baseline

    def fold(self, records):
        self.counted += [record.offset for record in records]
        self.position = records[-1].offset + 1

    def idle(self, seconds):
        self.silence.append(seconds)

    def take(self):
        return Outbox(position=self.position, state={b"position": b"%d" % self.position})


@dataclass
class Producer:
    written: list[bytes] = field(default_factory=list)
    error: Exception | None = None
    hangs: bool = False
    seconds: float = 0.0
    spans: list[tuple[float, float]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    begun: int = 0

    @asynccontextmanager
    async def transaction(self):
        began = time.monotonic()
        self.begun += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        await asyncio.sleep(self.seconds)
        yield
        self.spans.append((began, time.monotonic()))

    async def send(self, topic, value, **_):
        self.written.append(value)
        sent = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent

    async def send_offsets_to_transaction(self, offsets, group):
        pass

    async def stop(self):
        pass


@dataclass
class Worker:
    sought: list[int] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    flow: list[str] = field(default_factory=list)

    async def seek(self, partition, offset):
        self.sought.append(offset)

    def pause(self, partition):
        self.flow.append("paused")

    def resume(self, partition):
        self.flow.append("resumed")

    def lost(self, partition, error):
        self.errors.append(error)

    def failed(self, error):
        self.failures.append(error)


class Registry:
    def __init__(self, *answers):
        self.answers = list(answers)

    def baseline(self, version):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Case:
    """One partition that stands at offset 100, with fakes around it."""

    def __init__(self, *answers, **producer):
        self.engine, self.worker = Engine(position=100), Worker()
        self.producer = Producer(**producer)
        holding = Holding(0, self.engine, self.producer, 100)
        self.health = Health()
        self.owned = OwnedPartition(holding, self.worker, Registry(*answers), OPTIONS, self.health)

    async def give(self, start, end, *, at_end=False):
        records = [SimpleNamespace(offset=offset) for offset in range(start, end)]
        await self.owned.accept(Batch(0, records, start, end, at_end))

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.to_thread(threading.Event().wait, 0.001)


def test_a_batch_after_a_gap_is_not_counted_but_read_again_from_where_the_partition_stands():
    async def story():
        case = Case()
        await case.give(100, 110)
        await case.give(120, 130)
        assert case.worker.sought == [110]
        await case.give(110, 112)
        await case.until(lambda: case.engine.counted == list(range(100, 112)))
        await case.owned.release()

    asyncio.run(story())


def test_records_that_were_counted_are_not_counted_again():
    async def story():
        case = Case()
        await case.give(90, 100)
        await case.give(95, 105)
        await case.give(100, 107)
        await case.until(lambda: case.engine.counted == list(range(100, 107)))
        await case.owned.release()

    asyncio.run(story())


@pytest.mark.parametrize("error", [ProducerFenced(), IllegalOperation("not in transaction")])
def test_after_a_failed_transaction_the_partition_is_lost_and_its_engine_rests(error):
    async def story():
        case = Case(error=error)
        await case.give(100, 110)
        await case.until(lambda: case.worker.errors or case.worker.failures)
        assert isinstance(case.worker.errors[0], KafkaError)
        await case.give(110, 120)
        await case.owned.release()
        assert case.engine.counted == list(range(100, 110))
        assert case.producer.written == []

    asyncio.run(story())


def test_after_a_long_write_it_counts_for_longer_than_that_before_the_next():
    async def story():
        case = Case(seconds=0.1)
        case.engine.due = True
        for number in range(3):
            await case.give(100 + number, 101 + number)
            await case.until(lambda number=number: len(case.producer.spans) > number)
        for (began, ended), (again, _) in pairwise(case.producer.spans):
            assert again - ended >= (REST - 0.5) * (ended - began)
        await case.owned.release()

    asyncio.run(story())


async def while_a_transaction_is_written():
    """Return a case that has counted ten records more since a transaction began, and what lets that one go on."""
    case = Case()
    open_gate = case.producer.gate = asyncio.Event()
    await case.give(100, 110)
    await case.until(lambda: case.producer.begun == 1)
    await case.give(110, 120)
    await case.until(lambda: case.engine.counted == list(range(100, 120)))
    return case, open_gate


def test_what_comes_while_a_transaction_is_written_is_counted_and_belongs_to_the_next():
    async def story():
        case, open_gate = await while_a_transaction_is_written()
        assert case.producer.written == []
        assert case.owned.progress.written < 110
        open_gate.set()
        await case.until(lambda: case.owned.progress.written == 120)
        assert case.producer.written == [b"110", b"120"]
        await case.owned.release()

    asyncio.run(story())


def test_what_was_counted_while_a_transaction_failed_is_void_with_it():
    async def story():
        case, open_gate = await while_a_transaction_is_written()
        case.producer.error = ProducerFenced()
        open_gate.set()
        await case.until(lambda: case.worker.errors)
        await case.owned.release()
        assert case.producer.written == []
        assert case.owned.progress.written < 110

    asyncio.run(story())


def test_an_answer_without_records_while_a_transaction_is_written_leaves_nothing_unwritten():
    async def story():
        case = Case()
        gate = case.producer.gate = asyncio.Event()
        await case.give(100, 110)
        await case.until(lambda: case.producer.begun == 1)
        await case.owned.accept(Batch(0, [], 110, 110, at_end=True, limit=110))
        await case.until(lambda: case.owned.progress.end == 110)
        gate.set()
        await case.until(lambda: case.owned.progress.written == 110)
        await case.until(lambda: case.owned._seen.unwritten_since is None)
        await case.owned.release()

    asyncio.run(story())


@pytest.mark.parametrize("fenced", [True, False])
def test_a_transactions_end_does_not_wait_for_the_registry(fenced):
    async def story():
        case = Case(*[RegistryUnavailable("gone")] * 50)
        gate = case.producer.gate = asyncio.Event()
        await case.give(100, 110)
        await case.until(lambda: case.producer.begun == 1)
        case.engine.wanted = {VERSION}
        await case.give(110, 120)
        if fenced:
            case.producer.error = ProducerFenced()
        gate.set()
        if fenced:
            await case.until(lambda: case.worker.errors)
        else:
            await case.until(lambda: case.owned.waits)
            assert case.owned.progress.written == 110
            assert case.owned._seen.unwritten_since is None
        assert case.engine.counted == list(range(100, 110))
        await case.owned.drop()

    asyncio.run(story())


class Said(msgspec.Struct):
    subject: ModelVersion


class Ring:
    """What only the collector can free."""

    def __init__(self):
        self.itself = self


def test_what_judging_leaves_behind_is_freed_with_each_report():
    class Judging(Engine):
        left: weakref.ref | None = None

        def take(self):
            self.left = weakref.ref(Ring())
            return Outbox(position=self.position, reports=[Said(VERSION)])

    async def story():
        case = Case()
        case.owned._engine = engine = Judging(position=100)
        await case.give(100, 110)
        await case.until(lambda: engine.left is not None and engine.left() is None)
        await case.owned.release()
        assert not case.worker.failures

    gc.disable()
    try:
        asyncio.run(story())
    finally:
        gc.enable()


def test_leaving_writes_what_was_counted():
    async def story():
        case = Case()
        await case.give(100, 110)
        await case.until(lambda: case.engine.counted)
        await case.owned.release()
        assert case.producer.written[-1] == b"110"
        assert not case.worker.errors

    asyncio.run(story())


def test_leaving_takes_bounded_time_when_the_broker_hangs():
    async def story():
        case = Case(hangs=True)
        await case.give(100, 110)
        async with asyncio.timeout(5):
            await case.owned.release()
        assert case.producer.written == []

    asyncio.run(story())


@pytest.mark.parametrize("error", [RegistryUnavailable("gone"), RegistryError("refuses")])
def test_a_partition_waits_for_the_registry_and_then_counts(error):
    async def story():
        case = Case(error, "a baseline")
        case.engine.wanted = {VERSION}
        await case.give(100, 110)
        await case.until(lambda: case.engine.counted)
        assert case.worker.flow == ["paused", "resumed"]
        assert case.engine.learned == {VERSION: "a baseline"}
        await case.owned.release()

    asyncio.run(story())


def test_a_version_that_is_counted_without_a_baseline_does_not_wait_for_the_registry():
    async def story():
        case = Case(RegistryUnavailable("gone"))
        case.engine.wanted = case.engine.told = {VERSION}
        await case.give(100, 110)
        await case.until(lambda: case.engine.counted)
        assert case.worker.flow == []
        await case.owned.release()

    asyncio.run(story())


def test_an_altered_baseline_is_no_baseline():
    async def story():
        case = Case(BaselineAltered("another hash"))
        case.engine.wanted = {VERSION}
        await case.give(100, 110)
        await case.until(lambda: case.engine.counted)
        assert case.engine.learned == {VERSION: None}
        await case.owned.release()

    asyncio.run(story())


def test_only_two_answers_of_the_broker_prove_a_silence_between_them():
    async def story():
        case = Case()
        await case.give(100, 101, at_end=True)
        await case.until(lambda: case.engine.counted)
        assert case.engine.silence == []
        await case.give(101, 101, at_end=True)
        await case.until(lambda: case.engine.silence)
        assert 0 <= case.engine.silence[0] < 5
        await case.owned.release()

    asyncio.run(story())


def test_what_is_on_kafka_and_nothing_else_is_told_as_counted():
    def told(case):
        labels = {"partition": "0", "outcome": "counted"}
        return case.health.registry.get_sample_value("monitor_events_total", labels)

    async def story():
        case = Case(error=ProducerFenced())
        await case.give(100, 110)
        await case.until(lambda: case.worker.errors)
        assert told(case) is None
        case = Case()
        await case.give(100, 110)
        await case.until(lambda: case.producer.written)
        await case.owned.release()
        assert told(case) == len(case.engine.counted) > 0

    asyncio.run(story())


def test_whoever_watches_sees_the_lag_and_what_waits_for_the_registry():
    async def story():
        case = Case(RegistryUnavailable("away"), "a baseline")
        case.engine.wanted = {VERSION}
        await case.owned.accept(Batch(0, [SimpleNamespace(offset=100)], 100, 101, False, 175))
        await case.until(lambda: case.owned.waits)
        assert case.health.registry.get_sample_value(
            "monitor_partition_waiting", {"partition": "0"}
        )
        await case.until(lambda: case.engine.counted)
        await case.until(
            lambda: (
                case.health.registry.get_sample_value("monitor_lag_records", {"partition": "0"})
                == 74
            )
        )
        await case.owned.release()
        assert (
            case.health.registry.get_sample_value("monitor_lag_records", {"partition": "0"}) is None
        )

    asyncio.run(story())

"""Whatever Kafka does, a worker that counts by highest sequence counts every event once, or it is told.

The client below behaves as librdkafka's idempotent producer does without a message timeout: each partition
gets its messages in order; an answer may be lost though the message is in the log; a message may be refused
while the next one is taken; and what was in flight at a purge may still be written long afterwards.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import confluent_kafka
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from monitor.events import JSON_CONTENT
from monitor.publish import session as session_room
from monitor.publish.courier import Courier, Parcel
from monitor.publish.identity import Identity
from monitor.publish.ledger import Alarm
from monitor.publish.settings import PublisherSettings
from monitor.publish.spool import Spool

NOON = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
KafkaError = confluent_kafka.KafkaError
PARTITIONS = 2


class Broker:
    """Logs of two partitions, and what goes wrong on the way to them."""

    def __init__(self):
        self.up = True
        self.mute = False
        self.refusing = 0
        self.log = [[] for _ in range(PARTITIONS)]
        self.late = deque()

    def counted(self) -> list[bytes]:
        """Event ids as a worker counts them."""
        ids = []
        for partition in self.log:
            highest = {}
            for headers in map(dict, partition):
                sequence, whom = int(headers["sequence"]), headers["producer_id"]
                if sequence > highest.get(whom, -1):
                    highest[whom] = sequence
                    ids.append(headers["ce_id"])
        return ids


class Client:
    """One producer of the broker's."""

    def __init__(self, broker: Broker):
        self.broker = broker
        self.waiting = [deque() for _ in range(PARTITIONS)]  # not written
        self.unanswered = [deque() for _ in range(PARTITIONS)]  # written, not told
        self.gaps = (
            set()
        )  # partitions where the broker's own sequence check refuses what is in flight

    def __len__(self):
        return sum(map(len, self.waiting)) + sum(map(len, self.unanswered))

    def produce(self, topic, value, key, headers, on_delivery):
        self.waiting[key[-1] % PARTITIONS].append((headers, on_delivery))

    def poll(self, timeout):
        for partition in range(PARTITIONS):
            message = SimpleNamespace(partition=lambda partition=partition: partition)
            waiting, unanswered = self.waiting[partition], self.unanswered[partition]
            if not self.broker.up:
                continue
            while unanswered and not self.broker.mute:
                unanswered.popleft()(None, message)
            for _ in range(min(3, len(waiting))):
                headers, report = waiting.popleft()
                if self.broker.refusing:
                    self.broker.refusing -= 1
                    self.gaps.add(partition)
                    report(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), message)
                    continue
                self.broker.log[partition].append(headers)
                if self.broker.mute:
                    unanswered.append(report)
                else:
                    report(None, message)

    def purge(self, *, in_flight=True):
        for partition in range(PARTITIONS):
            message = SimpleNamespace(partition=lambda partition=partition: partition)
            waiting, unanswered = self.waiting[partition], self.unanswered[partition]
            on_the_wire = [] if partition in self.gaps else list(waiting)[:2]
            for _, report in list(waiting)[len(on_the_wire) :]:
                report(KafkaError(KafkaError._PURGE_QUEUE), message)
            waiting.clear()
            if not in_flight:
                waiting.extend(on_the_wire)
                continue
            self.broker.late += [(partition, headers) for headers, _ in on_the_wire]
            for report in [*unanswered, *(report for _, report in on_the_wire)]:
                report(KafkaError(KafkaError._PURGE_INFLIGHT), message)
            unanswered.clear()


class EveryEventIsCountedOnce(RuleBasedStateMachine):
    @initialize(spool=st.booleans(), window=st.sampled_from([3, 20]))
    def begin(self, spool, window):
        self.directory = Path(tempfile.mkdtemp())
        self.has_spool = spool
        self.broker = Broker()
        self.real = session_room.new_producer
        self.real_fsync, os.fsync = os.fsync, lambda file: None  # no power cut here
        session_room.new_producer = lambda settings, on_trouble: Client(self.broker)
        self.real_drain = session_room.Session._drain
        session_room.Session._drain = lambda session, _: [session._producer.poll(0) for _ in "123"]
        self.settings = PublisherSettings(bootstrap="fake", window_events=window, patience_s=1e9)
        self.published = 0
        self.dropped = 0
        self.open()

    def open(self):
        self.identity = Identity(self.directory if self.has_spool else None)
        spool = None
        if self.identity.slot is not None:
            spool = Spool(self.identity.slot, limit_bytes=1 << 20, segment_bytes=500)
        self.inbox: deque[Parcel] = deque()
        self.courier = Courier(self.settings, self.inbox, self.identity, spool, Alarm(every_s=1e9))

    def turn(self):
        if self.courier._busy:
            self.courier._retry_at = 0.0
            self.courier._turn()

    @rule(keys=st.lists(st.integers(0, 1), min_size=1, max_size=12))
    def publish(self, keys):
        for key in keys:
            self.published += 1
            name = f"e{self.published}"
            self.inbox.append(Parcel(b"m/%d" % key, name, NOON, 1, JSON_CONTENT, b"{}"))

    @rule(times=st.integers(1, 4))
    def work(self, times):
        for _ in range(times):
            self.turn()

    @rule(up=st.booleans())
    def come_or_go(self, up):
        self.broker.up = up

    @rule(mute=st.booleans())
    def lose_answers(self, mute):
        self.broker.mute = mute
        self.broker.refusing = 0

    @precondition(lambda self: not self.broker.mute)
    @rule(count=st.integers(1, 3))
    def refuse(self, count):
        self.broker.refusing = count

    @rule(impatient=st.booleans())
    def wait_no_longer(self, impatient):
        object.__setattr__(self.settings, "patience_s", -1.0 if impatient else 1e9)

    @precondition(lambda self: self.courier._session is not None)
    @rule()
    def fail_for_good(self):
        self.courier._session.failure = KafkaError(KafkaError._FATAL)
        self.turn()

    @rule(count=st.integers(1, 4))
    def write_what_was_in_the_socket(self, count):
        for _ in range(min(count, len(self.broker.late))):
            partition, headers = self.broker.late.popleft()
            self.broker.log[partition].append(headers)

    @precondition(lambda self: self.has_spool)
    @rule()
    def restart(self):
        self.courier._part()
        self.dropped += self.courier.counts.dropped
        self.identity.close()
        self.open()

    def teardown(self):
        if not hasattr(self, "broker"):
            return
        self.broker.up, self.broker.mute, self.broker.refusing = True, False, 0
        for _ in range(1_000):
            if not self.courier._busy:
                break
            self.turn()
        session_room.new_producer = self.real
        session_room.Session._drain = self.real_drain
        os.fsync = self.real_fsync
        self.identity.close()
        shutil.rmtree(self.directory)
        assert not self.courier._busy
        self.dropped += self.courier.counts.dropped
        assert self.courier.counts.pending == 0
        counted = self.broker.counted()
        assert len(counted) == len(set(counted))
        # Fewer may be missing than were given up: a late write can bring one back.
        assert self.published - len(counted) <= self.dropped


TestEveryEventIsCountedOnce = EveryEventIsCountedOnce.TestCase
TestEveryEventIsCountedOnce.settings = settings(max_examples=60, stateful_step_count=30)

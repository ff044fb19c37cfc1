"""The archiver on a real broker: killed, frozen, and told to stop under load."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from monitor.desk.lag import archive_lag
from monitor.errors import StoreError
from monitor.events import PRODUCER_HEADER, cloud_event_headers, encode
from monitor.predictionlog.archiver import Archiver, BatchSize
from monitor.predictionlog.keys import KeyRing
from monitor.predictionlog.log import PredictionLog
from monitor.predictionlog.query import Query
from monitor.predictionlog.rows import Rows
from monitor.predictionlog.table import PredictionTable
from monitor.servers import KafkaServer
from monitor.settings import load_settings
from monitor.testing import until
from tests.archive import event, master_key
from tests.archiving import NOW, PARTITIONS, PATIENCE, Archivers, kill_at_random, produce

pytestmark = pytest.mark.kafka

EVENTS = 30_000


def wait_for(condition: Callable[[], bool]) -> None:
    until(condition, deadline=PATIENCE)


@pytest.fixture
def place(kafka, topics):
    config = {"message.timestamp.type": "LogAppendTime"}
    return kafka.bootstrap, topics("predictions", partitions=PARTITIONS, config=config)


def rows_in(table: PredictionTable) -> int:
    return sum(rows for _, _, rows in table.partitions())


def test_killed_and_frozen_under_load_the_log_holds_each_event_once(place, tmp_path):
    bootstrap, topic = place
    processes = Archivers(bootstrap, topic, tmp_path)
    table = PredictionTable(str(tmp_path / "log"))
    # The second half comes after the kill: whatever the first process got done, something is left for the next.
    halves = range(EVENTS // 2), range(EVENTS // 2, EVENTS)
    feeds = [threading.Thread(target=produce, args=(bootstrap, topic, half)) for half in halves]
    try:
        first = processes.start()
        feeds[0].start()
        wait_for(lambda: rows_in(table) > 0)
        first.kill()  # within a batch, or within a commit
        second = processes.start()
        at_kill = rows_in(table)
        feeds[1].start()
        wait_for(lambda: rows_in(table) > at_kill)
        os.kill(second.pid, signal.SIGSTOP)
        third = processes.start()
        for feed in feeds:
            feed.join(180)
        wait_for(lambda: rows_in(table) >= EVENTS)
        os.kill(second.pid, signal.SIGCONT)  # it holds a batch that the third has written
        produce(bootstrap, topic, range(EVENTS, EVENTS + 1000))
        wait_for(lambda: rows_in(table) >= EVENTS + 1000)
        for process in (second, third):
            process.terminate()
        assert second.wait(120) == 0, processes.said
        # On a slow machine the third may not have got as far as to listen for signals.
        assert third.wait(120) in {0, -signal.SIGTERM}, processes.said
    finally:
        processes.end()
    settings = load_settings(processes.environment)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    assert archive_lag(settings, admin, PARTITIONS) == 0
    produce(bootstrap, topic, range(7))
    assert archive_lag(settings, admin, PARTITIONS) == 7
    dataset = table.dataset()
    assert dataset is not None
    rows = dataset.to_table(columns=["event_id", "kafka_partition", "kafka_offset"])
    assert rows.num_rows == EVENTS + 1000
    assert set(rows["event_id"].to_pylist()) == {f"event-{i}" for i in range(EVENTS + 1000)}
    assert table.positions([f"{topic}-0", f"{topic}-1"]) == {
        f"{topic}-0": (EVENTS + 1000) // 2 - 1,
        f"{topic}-1": (EVENTS + 1000) // 2 - 1,
    }


def test_archivers_killed_at_random_under_load_hold_each_event_once(place, tmp_path):
    found = kill_at_random(*place, tmp_path, random.Random(20_261_121), kills=2)
    assert (found.lost, found.doubled, found.kills) == (0, 0, 2)
    assert found.produced > 1000


@contextmanager
def running(archiver: Archiver) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=archiver.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(120)
        assert not thread.is_alive()


class ReluctantTable(PredictionTable):
    """A table whose disk is full until it is given room."""

    full = True
    refusals = 0

    def append(self, rows, reached, held):
        if self.full:
            self.refusals += 1
            raise StoreError("no space left on device")
        super().append(rows, reached, held)


def archiver_of(place, table: PredictionTable, tmp_path: Path) -> Archiver:
    bootstrap, topic = place
    return Archiver(
        table,
        Rows(KeyRing(tmp_path / "keys", master_key())),
        {"bootstrap_servers": bootstrap},
        app=topic,
        topic=topic,
        size=BatchSize(rows=500, seconds=0.2),
    )


def test_a_full_disk_is_lag_and_nothing_else(place, tmp_path):
    table = ReluctantTable(str(tmp_path / "log"))
    archiver = archiver_of(place, table, tmp_path)
    produce(*place, range(1000))
    with running(archiver):
        wait_for(lambda: table.refusals >= 2)
        produce(*place, range(1000, 1100))
        table.full = False
        wait_for(lambda: archiver.counts.rows == 1100)
    assert rows_in(PredictionTable(table.uri)) == 1100


def test_a_broker_that_is_killed_costs_the_log_nothing_and_one_that_stays_away_no_stop(tmp_path):
    with KafkaServer(tmp_path / "kafka") as kafka:
        place = kafka.bootstrap, "predictions"
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        admin.create_topics([NewTopic("predictions", PARTITIONS, 1)])["predictions"].result(120)
        table = PredictionTable(str(tmp_path / "log"))
        archiver = archiver_of(place, table, tmp_path)
        produce(*place, range(3000))
        with running(archiver):
            wait_for(lambda: archiver.counts.rows > 0)
            kafka.kill()
            kafka.start()
            produce(*place, range(3000, 4000))
            wait_for(lambda: archiver.counts.rows >= 4000)
            kafka.stop()
    assert archiver.counts.rows == 4000
    assert rows_in(PredictionTable(table.uri)) == 4000


def test_bad_messages_are_passed_over_and_counted_and_copies_are_left_out(place, tmp_path):
    bootstrap, topic = place
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in (b"{", b"\xff", None):
        producer.produce(topic, value, partition=0)
    one = event(1, event_time=NOW)
    headers = [*cloud_event_headers(one.event_id, NOW, "/test"), (PRODUCER_HEADER, b"a")]
    for more in ([], [("monitor_forwarded", b"1")]):
        producer.produce(
            topic, encode(one), one.version.key, headers=[*headers, *more], partition=1
        )
    assert producer.flush(120) == 0
    table = PredictionTable(str(tmp_path / "log"))
    archiver = archiver_of(place, table, tmp_path)
    with running(archiver):
        wait_for(lambda: archiver.counts.unreadable == 3 and archiver.counts.rows == 1)
        wait_for(lambda: archiver.counts.forwarded == 1)
    log = PredictionLog(table, None, lambda *_: None, actor="tester", now=time.time)
    assert log.ask(Query())["event_id"].to_pylist() == ["event-1"]


def test_an_erasure_beside_the_archiver_loses_no_row_of_others(place, tmp_path):
    table = PredictionTable(str(tmp_path / "log"))
    archiver = archiver_of(place, table, tmp_path)
    produce(*place, range(2000))
    from monitor.policy.model import Policy

    with running(archiver):
        wait_for(lambda: archiver.counts.rows == 2000)
        feed = threading.Thread(
            target=produce, args=(*place, range(2000, 8000)), kwargs={"subject": "x"}
        )
        feed.start()
        other = PredictionTable(table.uri)
        log = PredictionLog(
            other, archiver._rows._keys, lambda *_: None, actor="tester", now=time.time
        )
        assert log.erase("person-3", Policy()).rows == 200
        feed.join(180)
        wait_for(lambda: archiver.counts.rows == 8000)
    assert rows_in(PredictionTable(table.uri)) == 7800

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from monitor.errors import StoreError
from monitor.reports import (
    Action,
    Decision,
    Report,
    Severity,
    Stage,
    Status,
    Window,
    encode,
)
from monitor.stores.protocol import SetAside
from monitor.stores.sink import Sink
from monitor.stores.sqlite import SqliteStore

pytestmark = pytest.mark.kafka


class ReluctantStore(SqliteStore):
    """Refuses until told otherwise."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.refusals = 0
        self.answers = threading.Event()

    def write(self, reports: Sequence[Report], decisions: Sequence[Decision]) -> list[SetAside]:
        if not self.answers.is_set():
            self.refusals += 1
            raise StoreError("it is down")
        return super().write(reports, decisions)


def report(index: int) -> Report:
    return Report(
        model="credit",
        version="2",
        window=Window(300.0 * index, 300.0 * (index + 1)),
        revision=0,
        status=Status.OK,
        severity=Severity.PASS,
        n=1500,
        n_reference=20_000,
    )


def decision(index: int) -> Decision:
    return Decision(
        decision_id=f"d{index}",
        rollback_id="r",
        model="credit",
        from_version="2",
        to_version="1",
        action=Action.ROLLBACK,
        stage=Stage.INTENT,
        reason="unfair",
        at=float(index),
    )


def produce(bootstrap: str, topic: str, values: Sequence[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value=value, partition=0)
    assert producer.flush(120) == 0


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        pause.wait(0.05)


@contextmanager
def running(sink: Sink) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=sink.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(120)
        assert not thread.is_alive()


@pytest.fixture
def place(kafka, topics):
    """A broker, two topics, and a consumer group of their own."""
    return kafka.bootstrap, topics("reports"), topics("decisions"), f"app-{uuid.uuid4().hex[:8]}"


def sink_of(place, store: SqliteStore) -> Sink:
    bootstrap, reports, decisions, app = place
    return Sink(
        store, {"bootstrap.servers": bootstrap}, app=app, reports=reports, decisions=decisions
    )


def test_what_is_said_on_the_topics_comes_into_the_store_unreadable_values_passed_over(
    place, tmp_path: Path
):
    bootstrap, reports, decisions, _ = place
    produce(bootstrap, reports, [encode(report(0)), b"{", b"\xff", encode(report(1))])
    produce(bootstrap, decisions, [encode(decision(0))])
    store = SqliteStore(tmp_path / "store.db")
    sink = sink_of(place, store)
    with running(sink):
        wait_for(lambda: len(store.reports()) == 2 and len(store.decisions()) == 1)
    assert sink.counts.unreadable == 2
    store.close()


def test_an_outage_of_the_store_is_lag_and_nothing_else(place, tmp_path: Path):
    bootstrap, reports, _, _ = place
    produce(bootstrap, reports, [encode(report(index)) for index in range(20)])
    store = ReluctantStore(tmp_path / "store.db")
    sink = sink_of(place, store)
    with running(sink):
        wait_for(lambda: store.refusals >= 2)
        produce(bootstrap, reports, [encode(report(20))])
        store.answers.set()
        wait_for(lambda: len(store.reports()) == 21)
    assert sink.counts.waits >= 2
    store.close()


def test_what_was_not_written_is_read_again_after_a_restart_and_what_was_is_not(
    place, tmp_path: Path
):
    bootstrap, reports, _, _ = place
    produce(bootstrap, reports, [encode(report(index)) for index in range(5)])
    down = ReluctantStore(tmp_path / "down.db")
    with running(sink_of(place, down)):
        wait_for(lambda: down.refusals >= 1)
    store = SqliteStore(tmp_path / "store.db")
    with running(sink_of(place, store)):
        wait_for(lambda: len(store.reports()) == 5)
    another = SqliteStore(tmp_path / "another.db")
    third = sink_of(place, another)
    produce(bootstrap, reports, [encode(report(5))])
    with running(third):
        wait_for(lambda: third.counts.reports >= 1)
    assert third.counts.reports == 1
    for opened in (store, down, another):
        opened.close()


def test_reports_of_a_transaction_that_was_given_up_are_never_kept(place, tmp_path: Path):
    bootstrap, reports, _, app = place
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": app})
    producer.init_transactions(120)
    producer.begin_transaction()
    producer.produce(reports, value=encode(report(0)))
    producer.flush(120)
    producer.abort_transaction(120)
    producer.begin_transaction()
    producer.produce(reports, value=encode(report(1)))
    producer.commit_transaction(120)
    store = SqliteStore(tmp_path / "store.db")
    with running(sink_of(place, store)):
        wait_for(lambda: bool(store.reports()))
    assert store.reports() == [report(1)]
    store.close()

"""One archiver against two, each a process of its own: what a second core brings.

A topic of two partitions is filled first, as after an outage; the archivers share it, and the table. By the clock from when
both partitions have a commit to nine tenths of the rows, and processor seconds of the archiving alone, which tell what sharing costs: starting
them is left out. A twentieth of the rows a commit, so many more commits that may collide than in production.
"""

from __future__ import annotations

import base64
import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.figures import Figure, figure
from monitor.events import (
    PRODUCER_HEADER,
    SEQUENCE_HEADER,
    PredictionEvent,
    cloud_event_headers,
    encode,
)
from monitor.kernels import compile_all
from monitor.predictionlog.archiver import Archiver, BatchSize
from monitor.predictionlog.keys import KeyRing, MasterKey
from monitor.predictionlog.rows import Rows
from monitor.predictionlog.table import PredictionTable

TOPIC = "two-partitions"
PARTITIONS = 2
SECONDS = 300


def main(place: Path, bootstrap: str, events: Sequence[PredictionEvent]) -> list[Figure]:
    """Archive the same topic once with one archiver, once with two."""
    produce(bootstrap, TOPIC, events, partitions=PARTITIONS)
    one, cpu_of_one = _run(place / "one", bootstrap, len(events), archivers=1)
    two, cpu_of_two = _run(place / "two", bootstrap, len(events), archivers=2)
    return [
        figure("kafka_one_by_the_clock", one, "events/s"),
        figure("kafka_two_by_the_clock", two, "events/s"),
        figure("kafka_two_processor_time", cpu_of_two / cpu_of_one, "times one's"),
    ]


def produce(
    bootstrap: str, topic: str, events: Sequence[PredictionEvent], *, partitions: int
) -> None:
    """Make the topic, and fill its partitions in turn."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made = admin.create_topics([NewTopic(topic, partitions, 1)])
    made[topic].result(30)
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "lz4"})
    for sequence, event in enumerate(events):
        headers = [
            *cloud_event_headers(event.event_id, event.event_time, "/serving/host"),
            (PRODUCER_HEADER, b"p"),
            (SEQUENCE_HEADER, str(sequence).encode()),
        ]
        producer.produce(
            topic,
            encode(event),
            event.version.key,
            headers=headers,
            partition=sequence % partitions,
        )
        producer.poll(0)
    assert producer.flush(60) == 0


def _run(place: Path, bootstrap: str, n: int, *, archivers: int) -> tuple[float, float]:
    """Return events a second from the first commit on, and the processor seconds of all archivers."""
    place.mkdir(parents=True)
    master = base64.b64encode(os.urandom(32)).decode()
    PredictionTable(str(place / "log")).create()
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    spent = context.SimpleQueue()
    with ExitStack() as running:
        for _ in range(archivers):
            process = context.Process(
                target=_archive, args=(place, bootstrap, master, n // 20, stop, spent)
            )
            process.start()
            running.callback(process.join)
        running.callback(stop.set)
        rate = _rate(PredictionTable(str(place / "log")), n)
    return rate, sum(spent.get() for _ in range(archivers))


def _archive(
    place: Path, bootstrap: str, master: str, batch: int, stop: Event, spent: SimpleQueue[float]
) -> None:
    compile_all()
    rows = Rows(KeyRing(place / "keys", MasterKey(master)))
    archiver = Archiver(
        PredictionTable(str(place / "log")),
        rows,
        {"bootstrap_servers": bootstrap},
        app=f"scaling-{place.name}",
        topic=TOPIC,
        size=BatchSize(rows=batch, seconds=5),
    )
    start = time.process_time()
    told = threading.Event()
    working = threading.Thread(target=archiver.run, args=(told,))
    working.start()
    stop.wait()
    told.set()
    working.join()
    spent.put(time.process_time() - start)


def _rate(table: PredictionTable, n: int) -> float:
    sources = [f"{TOPIC}-{partition}" for partition in range(PARTITIONS)]
    first: tuple[float, int] | None = None
    rate: float | None = None
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        reached = [offset for offset in table.positions(sources).values() if offset is not None]
        done = sum(offset + 1 for offset in reached)
        now = time.monotonic()
        if first is None and len(reached) == PARTITIONS:
            first = now, done
        # The last rows fill no batch, and wait for its seconds to pass: that is not work.
        if first is not None and rate is None and done >= 0.9 * n:
            rate = (done - first[1]) / max(now - first[0], 1e-9)
        if rate is not None and done == n:
            return rate
        time.sleep(0.02)
    msg = f"{n:,} events were not archived within {SECONDS} s"
    raise TimeoutError(msg)

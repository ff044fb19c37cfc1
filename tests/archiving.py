"""Processes of `monitor archive` on a topic, and what they are put through."""

from __future__ import annotations

import base64
import datetime as dt
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from monitor.events import PRODUCER_HEADER, SEQUENCE_HEADER, cloud_event_headers, encode
from monitor.predictionlog.table import PredictionTable
from monitor.testing import until
from tests.archive import event

PARTITIONS = 2
NOW = dt.datetime.now(dt.UTC)

#: Seconds that an archiver may take to be back at work, on a machine with much else to do.
PATIENCE = 240.0


def produce(bootstrap: str, topic: str, indices: range, **said) -> None:
    """Publish the events of these numbers: in partition 0 as our publisher does, in the other one as others may."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20})
    for index in indices:
        one = event(index, event_time=NOW, **said)
        partition = index % PARTITIONS
        headers = cloud_event_headers(one.event_id, one.event_time, "/test")
        if partition == 0:
            headers += [(PRODUCER_HEADER, b"p"), (SEQUENCE_HEADER, str(index).encode())]
        producer.produce(topic, encode(one), one.version.key, partition=partition, headers=headers)
        producer.poll(0)
    assert producer.flush(60) == 0


class Archivers:
    """`monitor archive`, as many as are asked for, on one log."""

    def __init__(self, bootstrap: str, topic: str, directory: Path) -> None:
        self.directory = directory
        self.table = PredictionTable(str(directory / "log"))
        self.environment = {
            **os.environ,
            "MONITOR_KAFKA__BOOTSTRAP": bootstrap,
            "MONITOR_TOPICS__PREDICTIONS": topic,
            "MONITOR_STREAM__APP": topic,
            "MONITOR_STREAM__SESSION_SECONDS": "6",
            "MONITOR_LOG__PATH": str(directory / "log"),
            "MONITOR_LOG__MASTER_KEY": base64.b64encode(os.urandom(32)).decode(),
            "MONITOR_LOG__BATCH_SECONDS": "0.3",
            "MONITOR_LOG__BATCH_ROWS": "2000",
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        with (self.directory / "archiver.log").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "archive", "--once"],
                env=self.environment,
                cwd=self.directory,
                stderr=out,
            )
        self.running.append(process)
        return process

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait(10)

    @property
    def said(self) -> str:
        return (self.directory / "archiver.log").read_text()

    @property
    def rows(self) -> int:
        return sum(rows for _, _, rows in self.table.partitions())

    def ids(self) -> list[str]:
        dataset = self.table.dataset()
        assert dataset is not None
        return dataset.to_table(columns=["event_id"])["event_id"].to_pylist()


class Feed:
    """Publishes events at a rate until it is told to stop."""

    def __init__(self, bootstrap: str, topic: str, *, a_second: int) -> None:
        self._place, self._a_second = (bootstrap, topic), a_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self.sent = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> int:
        """End, and return how many were published."""
        self._stop.set()
        self._thread.join()
        return self.sent

    def _run(self) -> None:
        some = self._a_second // 4
        while not self._stop.wait(0.25):
            produce(*self._place, range(self.sent, self.sent + some))
            self.sent += some


@dataclass(frozen=True, slots=True)
class Survived:
    """What a log holds after its archivers were killed."""

    produced: int
    lost: int
    doubled: int
    kills: int
    recovered_s: float


def kill_at_random(
    bootstrap: str, topic: str, directory: Path, dice: random.Random, *, kills: int
) -> Survived:
    """Kill one of two archivers at a random moment under load, so many times; then compare ids with what was produced.

    The topic has `PARTITIONS` partitions and nothing in it.
    """
    archivers, feed = Archivers(bootstrap, topic, directory), Feed(bootstrap, topic, a_second=2_000)
    longest, pause = 0.0, threading.Event()
    try:
        pair = [archivers.start(), archivers.start()]
        feed.start()
        until(lambda: archivers.rows > 0, deadline=PATIENCE)
        for _ in range(kills):
            pause.wait(dice.random())  # anywhere within a batch or a commit
            chosen = dice.randrange(2)
            pair[chosen].kill()
            pair[chosen].wait(10)
            pair[chosen] = archivers.start()
            sent, killed = feed.sent, time.monotonic()
            until(lambda: archivers.rows >= sent, deadline=PATIENCE)  # noqa: B023 - called before the next turn
            longest = max(longest, time.monotonic() - killed)
        produced = feed.stop()
        until(lambda: archivers.rows >= produced, deadline=PATIENCE)
        for process in pair:
            process.terminate()
        ended = [process.wait(60) for process in pair]
        # The one that was started last may not have got as far as to listen for signals.
        assert sorted(ended)[1:] == [0], archivers.said
        assert min(ended) in {0, -signal.SIGTERM}, archivers.said
    finally:
        feed.stop()
        archivers.end()
    ids = archivers.ids()
    wanted = {f"event-{index}" for index in range(produced)}
    assert set(ids) <= wanted
    return Survived(produced, len(wanted - set(ids)), len(ids) - len(set(ids)), kills, longest)

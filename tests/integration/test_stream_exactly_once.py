from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

pytestmark = pytest.mark.kafka

WORKER = Path(__file__).with_name("stream_worker.py")
PARTITIONS = 4
SESSION = 6.0


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        threading.Event().wait(0.1)


class Cluster:
    """Worker processes of one app, and what they wrote."""

    def __init__(self, bootstrap: str, logs: Path) -> None:
        self.bootstrap, self.logs = bootstrap, logs
        self.prefix = uuid.uuid4().hex[:8]
        self.workers: list[subprocess.Popen[bytes]] = []

    def topic(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        log = (self.logs / f"worker-{len(self.workers)}.log").open("wb")
        with log:
            worker = subprocess.Popen(
                [sys.executable, WORKER, self.bootstrap, self.prefix, *flags],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=WORKER.parents[2],
            )
        self.workers.append(worker)
        return worker

    def log(self, number: int = -1) -> str:
        number %= len(self.workers)
        return (self.logs / f"worker-{number}.log").read_text()

    def listens(self, worker: subprocess.Popen[bytes]) -> bool:
        """Whether it has come so far that a request to end is heard."""
        return "partitions taken over" in self.log(self.workers.index(worker))

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait(120)

    def records(self, name: str) -> list[tuple[int, bytes | None, bytes | None]]:
        """Everything committed of a topic up to now: partition, key, value."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": uuid.uuid4().hex,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            metadata = consumer.list_topics(timeout=60).topics
            if self.topic(name) not in metadata:
                return []
            parts = metadata[self.topic(name)].partitions
            consumer.assign([TopicPartition(self.topic(name), part, 0) for part in parts])
            found, ended = [], 0
            while ended < len(parts):
                message = consumer.poll(60)
                assert message is not None, f"{name} cannot be read to its end"
                if message.error():
                    ended += 1
                else:
                    found.append((message.partition(), message.key(), message.value()))
            return found
        finally:
            consumer.close()

    def state(self) -> dict[int, dict]:
        return {
            partition: json.loads(value) for partition, _, value in self.records("state") if value
        }

    def counted(self) -> int:
        return sum(counted["count"] for counted in self.state().values())


@pytest.fixture
def cluster(kafka, tmp_path):
    cluster = Cluster(kafka.bootstrap, tmp_path)
    yield cluster
    cluster.stop()


class Traffic(threading.Thread):
    """Numbers, some in a partition that is not their key's, some that are none."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.over = threading.Event()
        self.count: dict[int, int] = defaultdict(int)
        self.total: dict[int, int] = defaultdict(int)
        self.bad = 0

    def run(self) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.cluster.bootstrap,
                "linger.ms": 5,
                "enable.idempotence": True,
                "max.in.flight": 1,  # docs/decisions/008
                "queue.buffering.max.messages": 500_000,
            }
        )
        topic, first = self.cluster.topic("predictions"), 0
        while not self.over.wait(0.01):
            for number in range(first, first + 200):
                home = number % PARTITIONS
                found = home if number % 97 else (home + 1) % PARTITIONS
                value = b"no number" if number % 1009 == 0 else b"%d" % number
                producer.produce(topic, value, key=b"%d" % home, partition=found)
                if number % 1009 == 0:
                    self.bad += 1
                else:
                    self.count[home] += 1
                    self.total[home] += number
            first += 200
            producer.poll(0)
        producer.flush()


def test_each_record_counts_once_though_workers_are_killed_stopped_and_frozen(cluster):
    seed = int(os.environ.get("STREAM_SEED", "11"))
    blows = int(os.environ.get("STREAM_BLOWS", "5"))
    sys.stdout.write(f"STREAM_SEED={seed} STREAM_BLOWS={blows}\n")
    dice = random.Random(seed)
    workers = [cluster.start(), cluster.start()]
    wait_until("topics", lambda: cluster.topic("decisions") in topics_of(cluster))
    traffic = Traffic(cluster)
    traffic.start()
    wait_until("first state", lambda: cluster.counted() > 0)
    kinds = [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM]
    for blow in range(blows):
        threading.Event().wait(dice.uniform(1, 4))
        place = dice.randrange(2)
        kind = kinds[blow % 3]
        # One that has just begun has no handler yet, and could not end in order.
        wait_until("it listens", partial(cluster.listens, workers[place]))
        workers[place].send_signal(kind)
        if kind == signal.SIGSTOP:
            threading.Event().wait(SESSION + 3)
            workers[place].send_signal(signal.SIGCONT)
            continue
        status = workers[place].wait(120)
        assert status == (-signal.SIGKILL if kind == signal.SIGKILL else 0), cluster.log(place)
        workers[place] = cluster.start()
    traffic.over.set()
    traffic.join(120)

    expected = sum(traffic.count.values())
    wait_until("all is counted", lambda: cluster.counted() >= expected)
    for worker in workers:
        worker.terminate()
    # One that was started a moment ago may not have got as far as to listen for signals; and on a very slow machine
    # one may end by force, since leaving the group in order took longer than a worker is given.
    for number, worker in enumerate(cluster.workers):
        status = worker.wait(120)
        if worker in workers and status == 70:
            assert "worker failed                  error=TimeoutError()" in cluster.log(number)
        elif worker in workers:
            assert status in {0, -signal.SIGTERM}, cluster.log(number)
    state = cluster.state()
    assert {p: counted["count"] for p, counted in state.items()} == traffic.count
    assert {p: counted["total"] for p, counted in state.items()} == traffic.total
    reported: dict[str, int] = defaultdict(int)
    for _, _, value in cluster.records("reports"):
        report = json.loads(value)
        reported[report["version"]] += report["n"]
    assert reported == {str(p): n for p, n in traffic.count.items()}
    assert len(cluster.records("dead-letters")) == traffic.bad


def topics_of(cluster: Cluster) -> set[str]:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    return set(admin.list_topics(timeout=60).topics)


def publish(cluster: Cluster, records: list[tuple[int, bytes]]) -> None:
    # What is published together comes in one batch, and so in one fetch, however slow this machine is.
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5_000})
    for partition, value in records:
        producer.produce(
            cluster.topic("predictions"), value, key=b"%d" % partition, partition=partition
        )
    assert producer.flush(120) == 0


def test_an_unexpected_error_ends_the_process_and_counts_nothing_of_its_batch(cluster):
    worker = cluster.start("666")
    wait_until("topics", lambda: cluster.topic("decisions") in topics_of(cluster))
    publish(cluster, [(0, b"1"), (1, b"2")])
    wait_until("two are counted", lambda: cluster.counted() == 2)
    publish(cluster, [(0, b"3"), (0, b"666"), (1, b"4")])
    assert worker.wait(120) == 70, cluster.log()
    assert "poison" in cluster.log()
    state = cluster.state()[0]
    assert (state["position"], state["count"], state["total"]) == (1, 1, 1)
    # Without the poison the next worker goes on where the state stands.
    cluster.start()
    wait_until("all are counted", lambda: cluster.counted() == 5)


def test_a_registry_that_is_down_holds_up_only_the_partition_that_needs_it(cluster):
    worker = cluster.start()
    wait_until("topics", lambda: cluster.topic("decisions") in topics_of(cluster))
    publish(cluster, [(0, b"-1"), *((1, b"1") for _ in range(20_000))])
    wait_until("partition 1 is counted", lambda: cluster.state().get(1, {}).get("count") == 20_000)
    publish(cluster, [*((0, b"1") for _ in range(20_000)), (1, b"1")])
    wait_until("and goes on", lambda: cluster.state()[1]["count"] == 20_001)
    assert 0 not in cluster.state()
    assert "the registry does not answer" in cluster.log()
    worker.terminate()
    assert worker.wait(120) == 0


def test_a_worker_refuses_a_state_topic_with_another_number_of_partitions(cluster, kafka):
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for name, partitions in (("predictions", 3), ("state", 2)):
        wanted = NewTopic(cluster.topic(name), num_partitions=partitions, replication_factor=1)
        for made in admin.create_topics([wanted]).values():
            made.result(120)
    worker = cluster.start()
    assert worker.wait(120) == 1
    assert "it has 2 partitions, and" in cluster.log()


def test_a_silent_partition_tells_its_engine_for_how_long(cluster):
    cluster.start()
    wait_until("topics", lambda: cluster.topic("decisions") in topics_of(cluster))
    silent_from = time.monotonic()
    publish(cluster, [(0, b"1")])
    wait_until("one is counted", lambda: cluster.counted() == 1)
    wait_until("idle time adds up", lambda: "idle 0" in cluster.log())
    told = float(cluster.log().split("idle 0 ")[-1].split()[0])
    assert 0 < told <= time.monotonic() - silent_from

"""A deployment of the monitor for tests: real processes of `monitor run` on topics of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from monitor.baselines import encode_baseline
from monitor.desk.baseline import make_baseline
from monitor.events import ModelVersion
from monitor.registry.mlflow_registry import Registry
from monitor.servers import Process
from monitor.settings import load_settings
from monitor.testing import until

MONITOR = [sys.executable, "-m", "monitor"]


class Deployment:
    """Processes of one deployment, and what they wrote.

    Attributes
    ----------
    environment
        The MONITOR_* variables that each process is given.
    """

    def __init__(
        self, bootstrap: str, registry: str, folder: Path, policy: str, **more: str
    ) -> None:
        self.folder = folder
        (folder / "policy.yaml").write_text(policy)
        self.environment = {
            "MONITOR_KAFKA__BOOTSTRAP": bootstrap,
            "MONITOR_TOPICS__PREFIX": f"{uuid.uuid4().hex[:8]}-",
            "MONITOR_REGISTRY__URI": registry,
            "MONITOR_STREAM__APP": f"monitor-{uuid.uuid4().hex[:8]}",
            "MONITOR_STREAM__SNAPSHOT_SECONDS": "0.5",
            "MONITOR_STREAM__SESSION_SECONDS": "6",
            "MONITOR_POLICY__PATH": str(folder / "policy.yaml"),
            "MONITOR_STORE__PATH": str(folder / "monitor.db"),
            "MONITOR_AUDIT__PATH": str(folder / "audit.jsonl"),
            "MONITOR_NOTIFY__OUTBOX": str(folder / "notices.db"),
            "OMP_NUM_THREADS": "1",
            **more,
        }
        self.settings = load_settings(self.environment)
        self.processes: list[Process] = []

    def topic(self, what: str) -> str:
        return self.settings.topics.names()[what]

    @property
    def has_topics(self) -> bool:
        admin = AdminClient(self.settings.kafka.confluent())
        return self.topic("decisions") in admin.list_topics(timeout=60).topics

    def run(self, role: str = "all", **more: str) -> Process:
        """Start `monitor run`; variables may differ from the deployment's."""
        return self.start([*MONITOR, "run", "--role", role], **more)

    def start(self, command: Sequence[str], **more: str) -> Process:
        log = self.folder / f"run-{len(self.processes)}.log"
        process = Process("the monitor", command, log=log, env={**self.environment, **more})
        process.start()
        self.processes.append(process)
        return process

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of this deployment, to its end."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(
            [*MONITOR, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def ask(self, *words: str) -> Any:
        """What a command that ends well says as JSON."""
        done = self.command(*words, "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout)

    def logs(self) -> str:
        return "".join(process.log.read_text() for process in self.processes)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()

    def records(self, what: str, most: int = sys.maxsize) -> list[Message]:
        """What is committed of a topic up to now."""
        return list(read_to_the_end(self.settings.kafka.confluent(), self.topic(what), most))

    def values(self, what: str, type_: type) -> list[Any]:
        return [
            msgspec.json.decode(record.value() or b"", type=type_) for record in self.records(what)
        ]


def read_to_the_end(
    kafka: Mapping[str, Any], topic: str, most: int = sys.maxsize
) -> Iterator[Message]:
    consumer = Consumer(
        {
            **kafka,
            "group.id": uuid.uuid4().hex,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        parts = consumer.list_topics(topic, timeout=60).topics[topic].partitions
        consumer.assign([TopicPartition(topic, part, 0) for part in parts])
        ended = count = 0
        while ended < len(parts) and count < most:
            message = consumer.poll(60)
            assert message is not None, f"{topic} cannot be read to its end"
            if error := message.error():
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended += 1
            else:
                count += 1
                yield message
    finally:
        consumer.close()


def kill_worker(process: Process) -> None:
    """SIGKILL the worker alone, the guard's child's child: its parent is to start it again."""
    assert process._guard is not None
    parent = _child_of(process._guard.pid)
    os.kill(until(lambda: _child_of(parent), deadline=240), signal.SIGKILL)


def _child_of(pid: int) -> int:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return int((listed.stdout.split() or ["0"])[0])


def register(uri: str, version: ModelVersion, *, frame=None, roles=None, policy=None) -> Any:
    """Register the next version of a model; with a frame, freeze it as the version's baseline."""
    client = mlflow.MlflowClient(uri, uri)
    if version.version == "1":
        client.create_registered_model(version.model)
    run = client.create_run("0").info
    made = client.create_model_version(version.model, f"{run.artifact_uri}/model", run.run_id)
    assert str(made.version) == version.version
    if frame is None:
        return None
    registry = Registry(uri)
    made = make_baseline(frame, roles, version, policy, created_at="2026-01-02T03:04:05Z")
    registry.publish_baseline(version, encode_baseline(made))
    return registry.baseline(version)

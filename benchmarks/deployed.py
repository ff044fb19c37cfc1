"""A broker's topics, a registry and workers: what the benchmarks of the whole service run on."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mlflow
import msgspec
import numpy as np
import pandas as pd
from confluent_kafka import Consumer, Producer

from monitor.baselines import encode_baseline
from monitor.bootstrap import load_policy, make_topics, open_registry
from monitor.desk.baseline import make_baseline
from monitor.desk.tables import Roles
from monitor.events import JSON_CONTENT, ModelVersion, cloud_event_headers
from monitor.reports import Report
from monitor.servers import KafkaServer
from monitor.settings import Settings, load_settings
from monitor.testing import until

ROLES = Roles("prediction", "score", None, ("sex", "race"))
SUBJECT = ModelVersion("credit", "1")


class Message(NamedTuple):
    """What is published of one version."""

    subject: ModelVersion
    value: bytes
    content: bytes = JSON_CONTENT


class Read(NamedTuple):
    """A report of the topic, when it was written and read (seconds since 1970), and the worker's processor time then."""

    written: float
    read: float
    spent: float
    report: Report


@dataclass(frozen=True, slots=True)
class Site:
    """Topics and a registry of their own, and the environment of the workers on them."""

    environment: dict[str, str]
    settings: Settings
    folder: Path

    @property
    def predictions(self) -> str:
        """The topic that is counted."""
        return self.settings.topics.names()["predictions"]

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker that counts and judges, and does nothing else."""
        command = [sys.executable, "-m", "monitor", "run", "--once", "--role", "stream"]
        number = len(list(self.folder.glob("worker-*.log")))
        with (self.folder / f"worker-{number}.log").open("wb") as said:
            running = subprocess.Popen(
                command, env={**os.environ, **self.environment}, stdout=said, stderr=said
            )
        try:
            yield running
        finally:
            running.terminate()
            running.wait(60)

    def await_workers(self, count: int) -> None:
        """Wait until so many workers have started, since the beginning."""
        until(
            lambda: sum("worker started" in log.read_text() for log in self._logs()) >= count,
            deadline=300,
            what="the workers",
        )

    def _logs(self) -> Iterable[Path]:
        return self.folder.glob("worker-*.log")


@contextmanager
def make_site(
    kafka: KafkaServer,
    name: str,
    policy: str,
    frame: pd.DataFrame,
    *,
    subjects: Iterable[ModelVersion] = (SUBJECT,),
    partitions: int = 1,
) -> Iterator[Site]:
    """Make topics, and a registry in which each version has the table as its baseline."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "policy.yaml").write_text(policy)
        environment = {
            "MONITOR_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "MONITOR_TOPICS__PREFIX": f"{name}-",
            "MONITOR_STREAM__PARTITIONS": str(partitions),
            "MONITOR_STREAM__APP": f"{name}-benchmark",
            "MONITOR_REGISTRY__URI": f"sqlite:///{folder / 'mlflow.db'}",
            "MONITOR_POLICY__PATH": str(folder / "policy.yaml"),
            "MONITOR_HEALTH__PORT": "0",
        }
        settings = load_settings(environment)
        make_topics(settings)
        _register(settings, frame, subjects)
        yield Site(environment, settings, folder)


def _register(settings: Settings, frame: pd.DataFrame, subjects: Iterable[ModelVersion]) -> None:
    registry = open_registry(settings)
    client = mlflow.MlflowClient()
    folder = settings.policy.path.parent / "artifacts"
    experiment = client.create_experiment("benchmark", artifact_location=folder.as_uri())
    client.create_registered_model(SUBJECT.model)
    policy = load_policy(settings).of(SUBJECT.model)
    for subject in subjects:
        run = client.create_run(experiment)
        client.create_model_version(SUBJECT.model, folder.as_uri(), run.info.run_id)
        baseline = make_baseline(frame, ROLES, subject, policy, created_at="")
        registry.publish_baseline(subject, encode_baseline(baseline))


def fill(
    site: Site,
    messages: Iterable[Message],
    *,
    pace: float | None = None,
) -> tuple[int, float]:
    """Publish messages; return how many, and their mean size in bytes.

    Parameters
    ----------
    pace
        Messages a second, spread evenly; as fast as the broker takes them without.
    """
    producer = Producer(
        site.settings.kafka.confluent()
        | {
            "partitioner": "murmur2_random",
            "queue.buffering.max.kbytes": 1 << 20,
            "message.max.bytes": 4 << 20,
        }
        | ({"linger.ms": 50} if pace is None else {})
    )
    now = dt.datetime.now(dt.UTC)
    began = time.monotonic()
    total = count = 0
    for number, (subject, value, content) in enumerate(messages):
        headers = [
            *cloud_event_headers("e", now, "/benchmark", content_type=content),
            ("producer_id", b"benchmark"),
            ("sequence", str(number).encode()),
        ]
        while True:
            try:
                producer.produce(site.predictions, value, subject.key, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        total, count = total + len(value), count + 1
        if number % 100 == 0:
            producer.poll(0)
            if pace is not None:
                time.sleep(max(0.0, began + number / pace - time.monotonic()))
    producer.flush(120)
    return count, total / max(count, 1)


def read_reports(site: Site, enough: Callable[[list[Read]], bool], *pids: int) -> list[Read]:
    """Return the reports, by version and window, once there are enough of them.

    Parameters
    ----------
    pids
        Of the workers whose processor time is taken, together.
    """
    consumer = Consumer(
        site.settings.kafka.confluent()
        | {
            "group.id": f"benchmark-{time.time()}",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([site.settings.topics.names()["reports"]])
    found: list[Read] = []

    def more() -> bool:
        message = consumer.poll(0.1)
        body = None if message is None or message.error() else message.value()
        if message is not None and body is not None:
            report = msgspec.json.decode(body, type=Report)
            spent = sum(map(processor_seconds, pids))
            found.append(Read(message.timestamp()[1] / 1000, time.time(), spent, report))
        return enough(found)

    until(more, deadline=900, pause=0.0, what="the reports")
    consumer.close()
    return sorted(found, key=lambda one: (one.report.window, one.report.subject))


def processor_seconds(pid: int) -> float:
    """Return what a process has taken of the cores so far, all its threads together (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, what: str = "VmRSS") -> float:
    """Return the memory that a process has, or with `VmHWM` the most it has had so far, MiB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(what)).split()[1]) / 1024


def people(n: int, features: int = 20) -> pd.DataFrame:
    """Return a table of so many features, the last a category, a score, answers and two protected attributes."""
    draw = np.random.default_rng(1)
    columns = {f"f{i:02}": draw.normal(0, 1 + i, n) for i in range(features - 1)}
    score = draw.random(n).round(4)
    return pd.DataFrame(
        {
            **columns,
            "region": draw.choice(["north", "south", "east", "west"], n),
            "score": score,
            "prediction": (score > 0.5).astype(int),
            "sex": draw.choice(["F", "M"], n),
            "race": draw.choice(list("ABCDEF"), n),
        }
    )


def features_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns that play no other role."""
    return [name for name in frame.columns if name not in ROLES.named]


def clock(seconds: float) -> Iterator[float]:
    """Yield the time, seconds since 1970, for so many seconds."""
    end = time.time() + seconds
    while (now := time.time()) < end:
        yield now


def events(
    frame: pd.DataFrame,
    times: Iterable[float],
    subjects: Iterable[ModelVersion] = (SUBJECT,),
) -> Iterator[Message]:
    """Yield an event at each of these times, the versions in turn; their bodies recur, ids and times are their own."""
    rows = frame.to_dict("records")
    features, versions = features_of(frame), list(subjects)
    bodies = [
        msgspec.json.encode(
            {
                "features": {name: row[name] for name in features},
                "prediction": row["prediction"],
                "score": row["score"],
                "groups": {"sex": row["sex"], "race": row["race"]},
            }
        )[1:]
        for row in rows
    ]
    for event, seconds in enumerate(times):
        subject = versions[event % len(versions)]
        time_ = dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")
        head = (
            f'{{"event_id":"e-{event:024}","prediction_id":"p-{event}","event_time":"{time_}",'
            f'"model_name":"{subject.model}","model_version":"{subject.version}",'
        )
        yield Message(subject, head.encode() + bodies[event // len(versions) % len(bodies)])

"""How many events a second one worker takes from a real Kafka broker to the reports of closed windows.

Windows of 50,000 events in JSON, and of 500,000 in Arrow messages of 10,000. The topic is filled first; then
`monitor run --role stream` starts, and the time between its first and its last report is taken: fetching, decoding,
folding, judging with fairlearn, and the transactions are all in it. It is what a worker does after an outage, so its
peak of memory is the bound that counts. Beside it, in the same run on the same topic, a stock
Faust agent that does nothing, and Quix Streams that decodes JSON and does nothing.

The broker, and whoever else is on the machine, share its cores, so each rate is also taken over the processor time of
the process measured (`_a_core`): what it would be with a core to itself.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mlflow
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from confluent_kafka import Consumer, Producer

from benchmarks import rivals
from benchmarks.figures import Figure, figure, say
from monitor.baselines import encode_baseline
from monitor.bootstrap import load_policy, make_topics, open_registry
from monitor.desk.baseline import make_baseline
from monitor.desk.tables import Roles
from monitor.events import ARROW_CONTENT, JSON_CONTENT, ModelVersion, cloud_event_headers
from monitor.reports import Report
from monitor.servers import KafkaServer
from monitor.settings import Settings, load_settings
from monitor.testing import until

ROLES = Roles("prediction", "score", None, ("sex", "race"))
SUBJECT = ModelVersion("credit", "1")
WINDOW = 60.0
PER_WINDOW = {"json": 50_000, "arrow": 500_000}
START = 1_767_225_600.0

#: Events in one Arrow message.
_ARROW_ROWS = 10_000

_POLICY = """
defaults:
  windows: {length: 60s, grace: 1s, allowed_lateness: 60s, min_events: 200, max_length: 10m}
"""


class Rates(NamedTuple):
    """Events a second, by the clock and by the processor time of the process alone."""

    wall: float
    core: float


def main(*, quick: bool) -> list[Figure]:
    """Measure the JSON road, the Arrow road, stock Faust, and Quix Streams."""
    frame = people(20_000)
    windows = 4 if quick else 10
    with KafkaServer() as kafka:
        say("service: JSON ...")
        json, size, json_peak = _measure(kafka, frame, "json", windows)
        say(f"{json}; stock Faust ...")
        stock = _stock_faust(kafka, "json-predictions", 20_000 if quick else 60_000)
        say(f"{stock}; Quix Streams ...")
        quix = _quix(kafka, "json-predictions", windows * PER_WINDOW["json"] // 2)
        say(f"{quix}; Arrow ...")
        arrow, _, arrow_peak = _measure(kafka, frame, "arrow", max(4, windows * 3 // 4))
    return [
        figure("service_event_bytes", size, "bytes"),
        figure("service_json", json.wall, "events/s", 150_000),
        figure("service_arrow", arrow.wall, "events/s", 1_000_000),
        figure("stock_faust_no_op", stock.wall, "events/s"),
        figure("quix_no_op", quix.wall, "events/s"),
        figure("service_over_faust", json.wall / stock.wall, "times", 10),
        figure("service_over_quix", json.wall / quix.wall, "times", 2.5),
        figure("service_json_peak_memory", json_peak, "MiB"),
        figure("service_arrow_peak_memory", arrow_peak, "MiB"),
        figure("service_json_a_core", json.core, "events/s"),
        figure("service_arrow_a_core", arrow.core, "events/s"),
        figure("stock_faust_no_op_a_core", stock.core, "events/s"),
        figure("quix_no_op_a_core", quix.core, "events/s"),
        figure("service_over_faust_a_core", json.core / stock.core, "times"),
        figure("service_over_quix_a_core", json.core / quix.core, "times"),
    ]


def _measure(
    kafka: KafkaServer, frame: pd.DataFrame, road: str, windows: int
) -> tuple[Rates, float, float]:
    with tempfile.TemporaryDirectory() as directory:
        environment = _environment(kafka, Path(directory), f"{road}-")
        settings = load_settings(environment)
        make_topics(settings)
        _register(settings, frame)
        make = _arrow_messages if road == "arrow" else _json_messages
        size = _fill(settings, make(frame, windows * PER_WINDOW[road]), road)
        log = Path(directory) / "worker.log"
        command = [sys.executable, "-m", "monitor", "run", "--once", "--role", "stream"]
        with log.open("wb") as said:
            worker = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=said, stderr=said
            )
        try:
            # The last window stays open: nothing comes after it.
            reports = _reports(settings, windows - 1, worker.pid)
            peak = _peak_memory(worker.pid)
        finally:
            worker.terminate()
            worker.wait(60)
    first, last = reports[0], reports[-1]
    events = sum(report.n for _, _, report in reports[1:])
    return Rates(events / (last[0] - first[0]), events / (last[1] - first[1])), size, peak


def _processor_seconds(pid: int) -> float:
    """Return what a process has taken of the cores so far, all its threads together (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _environment(kafka: KafkaServer, folder: Path, prefix: str) -> dict[str, str]:
    policy = folder / "policy.yaml"
    policy.write_text(_POLICY)
    return {
        "MONITOR_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "MONITOR_TOPICS__PREFIX": prefix,
        "MONITOR_STREAM__PARTITIONS": "1",
        "MONITOR_STREAM__APP": f"{prefix}benchmark",
        "MONITOR_REGISTRY__URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MONITOR_POLICY__PATH": str(policy),
    }


def _peak_memory(pid: int) -> float:
    """Return the most memory that a process has had so far, MiB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _register(settings: Settings, frame: pd.DataFrame) -> None:
    registry = open_registry(settings)
    client = mlflow.MlflowClient()
    folder = settings.policy.path.parent / "artifacts"
    experiment = client.create_experiment("benchmark", artifact_location=folder.as_uri())
    run = client.create_run(experiment)
    client.create_registered_model(SUBJECT.model)
    client.create_model_version(SUBJECT.model, folder.as_uri(), run.info.run_id)
    policy = load_policy(settings).of(SUBJECT.model)
    baseline = make_baseline(frame, ROLES, SUBJECT, policy, created_at="")
    registry.publish_baseline(SUBJECT, encode_baseline(baseline))


def _fill(settings: Settings, messages: Iterator[bytes], road: str) -> float:
    """Publish the messages; return their mean size in bytes."""
    content = ARROW_CONTENT if road == "arrow" else JSON_CONTENT
    topic = settings.topics.names()["predictions"]
    producer = Producer(
        settings.kafka.confluent()
        | {"linger.ms": 50, "queue.buffering.max.kbytes": 1 << 20, "message.max.bytes": 4 << 20}
    )
    now = dt.datetime.now(dt.UTC)
    total = count = 0
    for number, value in enumerate(messages):
        headers = [
            *cloud_event_headers("e", now, "/benchmark", content_type=content),
            ("producer_id", b"benchmark"),
            ("sequence", str(number).encode()),
        ]
        while True:
            try:
                producer.produce(topic, value, SUBJECT.key, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        total, count = total + len(value), count + 1
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush(120)
    return total / count


def _reports(settings: Settings, wanted: int, pid: int) -> list[tuple[float, float, Report]]:
    """Return the reports, each with when it was written, and what the worker had taken of the cores when it was read."""
    consumer = Consumer(
        settings.kafka.confluent()
        | {
            "group.id": f"benchmark-{time.time()}",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([settings.topics.names()["reports"]])
    found: list[tuple[float, float, Report]] = []

    def enough() -> bool:
        message = consumer.poll(0.1)
        body = None if message is None or message.error() else message.value()
        if message is not None and body is not None:
            written, report = message.timestamp()[1] / 1000, msgspec.json.decode(body, type=Report)
            found.append((written, _processor_seconds(pid), report))
        return len(found) >= wanted

    until(enough, deadline=600, what="the reports")
    consumer.close()
    return sorted(found, key=lambda item: item[2].window)


def _stock_faust(kafka: KafkaServer, topic: str, wanted: int) -> Rates:
    script = Path(__file__).with_name("stock_faust.py")
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            str(script),
            kafka.bootstrap,
            topic,
            str(wanted),
            "worker",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return Rates(*rivals.rates(done.stdout))


def _quix(kafka: KafkaServer, topic: str, wanted: int) -> Rates:
    return Rates(*rivals.run("quixstreams", "quix_no_op.py", kafka.bootstrap, topic, str(wanted)))


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


def _features(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if name not in ROLES.named]


def _instant(event: int) -> str:
    seconds = START + event * WINDOW / PER_WINDOW["json"]
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")


def _json_messages(frame: pd.DataFrame, n: int) -> Iterator[bytes]:
    """Yield events whose bodies recur, each with an id and a time of its own."""
    features = _features(frame)
    bodies = [
        msgspec.json.encode(
            {
                "model_name": SUBJECT.model,
                "model_version": SUBJECT.version,
                "features": {name: row[name] for name in features},
                "prediction": row["prediction"],
                "score": row["score"],
                "groups": {"sex": row["sex"], "race": row["race"]},
            }
        )[1:]
        for row in frame.to_dict("records")
    ]
    for event in range(n):
        head = f'{{"event_id":"e-{event:024}","prediction_id":"p-{event}","event_time":"{_instant(event)}",'
        yield head.encode() + bodies[event % len(bodies)]


def _arrow_messages(frame: pd.DataFrame, n: int) -> Iterator[bytes]:
    """Yield Arrow streams of many events, as `PredictionPublisher.publish_batch` makes them."""
    features = _features(frame)
    rows = frame.iloc[:_ARROW_ROWS]
    columns = {f"features.{name}": pa.array(rows[name].to_numpy()) for name in features[:-1]}
    columns["features.region"] = pa.array(rows["region"].tolist()).dictionary_encode()
    columns |= {
        f"groups.{name}": pa.array(rows[name].tolist()).dictionary_encode() for name in ROLES.groups
    }
    columns["prediction"] = pa.array(rows["prediction"].to_numpy())
    columns["score"] = pa.array(rows["score"].to_numpy())
    ids = pa.array([f"e-{i:024}" for i in range(_ARROW_ROWS)])
    columns |= {"event_id": ids, "prediction_id": ids}
    for name, value in (("model_name", SUBJECT.model), ("model_version", SUBJECT.version)):
        columns[name] = pa.array([value] * _ARROW_ROWS).dictionary_encode()
    step = WINDOW / PER_WINDOW["arrow"]
    for first in range(0, n, _ARROW_ROWS):
        micros = ((START + (first + np.arange(_ARROW_ROWS)) * step) * 1e6).astype("int64")
        table = pa.table(columns | {"event_time": pa.array(micros, pa.timestamp("us", "UTC"))})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        yield sink.getvalue().to_pybytes()

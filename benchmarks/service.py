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

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks import rivals
from benchmarks.deployed import (
    ROLES,
    SUBJECT,
    Message,
    events,
    features_of,
    fill,
    make_site,
    memory,
    people,
    read_reports,
)
from benchmarks.figures import Figure, figure, say
from monitor.events import ARROW_CONTENT, JSON_CONTENT
from monitor.servers import KafkaServer

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
    content = ARROW_CONTENT if road == "arrow" else JSON_CONTENT
    make = _arrow_messages if road == "arrow" else _json_messages
    with make_site(kafka, road, _POLICY, frame) as site:
        _, size = fill(site, make(frame, windows * PER_WINDOW[road]), content)
        with site.worker() as worker:
            # The last window stays open: nothing comes after it.
            reports = read_reports(site, lambda found: len(found) >= windows - 1, worker.pid)
            peak = memory(worker.pid, "VmHWM")
    first, last = reports[0], reports[-1]
    counted = sum(one.report.n for one in reports[1:])
    rates = Rates(counted / (last.written - first.written), counted / (last.spent - first.spent))
    return rates, size, peak


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


def _json_messages(frame: pd.DataFrame, n: int) -> Iterator[Message]:
    return events(frame, (START + event * WINDOW / PER_WINDOW["json"] for event in range(n)))


def _arrow_messages(frame: pd.DataFrame, n: int) -> Iterator[Message]:
    """Yield Arrow streams of many events, as `PredictionPublisher.publish_batch` makes them."""
    features = features_of(frame)
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
        yield Message(SUBJECT, sink.getvalue().to_pybytes())

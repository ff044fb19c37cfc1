"""How many events a second one worker takes from a real Kafka broker to the reports of closed windows.

Two versions in one partition, in turn: the hottest that one partition can be. Windows of 100,000 events in JSON, of 500,000
in Arrow messages of 10,000, and of 200,000 half in one and half in the other. The topic is filled first; then
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
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

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
from monitor.events import ARROW_CONTENT, ModelVersion
from monitor.servers import KafkaServer

WINDOW = 60.0
PER_WINDOW = {"json": 100_000, "mixed": 200_000, "arrow": 500_000}
SUBJECTS = (SUBJECT, ModelVersion(SUBJECT.model, "2"))
START = 1_767_225_600.0

#: Events in one Arrow message.
_ARROW_ROWS = 10_000

_POLICY = """
defaults:
  windows: {length: 60s, grace: 1s, allowed_lateness: 60s, min_events: 200, max_length: 10m}
"""


Floats = NDArray[np.float64]


class Rates(NamedTuple):
    """Events a second, by the clock and by the processor time of the process alone."""

    wall: float
    core: float


def main(*, quick: bool) -> list[Figure]:
    """Measure the JSON road, both roads mixed, the Arrow road, stock Faust, and Quix Streams."""
    frame = people(20_000)
    windows = 8 if quick else 24
    with KafkaServer() as kafka:
        say("service: JSON ...")
        json = _measure(kafka, "json", frame, _json_messages(frame, windows), windows)
        say(f"{json.rates}; stock Faust ...")
        stock = _stock_faust(kafka, "json-predictions", 20_000 if quick else 60_000)
        say(f"{stock}; Quix Streams ...")
        quix = _quix(kafka, "json-predictions", 100_000 if quick else 250_000)
        say(f"{quix}; half of each ...")
        mixed = _measure(kafka, "mixed", frame, _mixed_messages(frame, windows // 2), windows // 2)
        say(f"{mixed.rates}; Arrow ...")
        arrow = _measure(kafka, "arrow", frame, _arrow_messages(frame, windows // 2), windows // 2)
    own, core = json.rates.wall, json.rates.core
    return [
        figure("service_event_bytes", json.size, "bytes"),
        figure("service_json", own, "events/s", 150_000),
        figure("service_arrow", arrow.rates.wall, "events/s", 1_000_000),
        figure("service_mixed", mixed.rates.wall, "events/s"),
        figure("stock_faust_no_op", stock.wall, "events/s"),
        figure("quix_no_op", quix.wall, "events/s"),
        figure("service_over_faust", own / stock.wall, "times", 10),
        figure("service_over_quix", own / quix.wall, "times", 2.5),
        figure("service_json_peak_memory", json.peak, "MiB"),
        figure("service_arrow_peak_memory", arrow.peak, "MiB"),
        figure("service_json_a_core", core, "events/s"),
        figure("service_arrow_a_core", arrow.rates.core, "events/s"),
        figure("service_mixed_a_core", mixed.rates.core, "events/s"),
        figure("stock_faust_no_op_a_core", stock.core, "events/s"),
        figure("quix_no_op_a_core", quix.core, "events/s"),
        figure("service_over_faust_a_core", core / stock.core, "times"),
        figure("service_over_quix_a_core", core / quix.core, "times"),
    ]


class Measured(NamedTuple):
    """A worker on one road.

    Attributes
    ----------
    size
        Mean bytes of a message.
    peak
        Most memory, MiB.
    """

    rates: Rates
    size: float
    peak: float


def _measure(
    kafka: KafkaServer, name: str, frame: pd.DataFrame, messages: Iterator[Message], windows: int
) -> Measured:
    with make_site(kafka, name, _POLICY, frame, subjects=SUBJECTS) as site:
        _, size = fill(site, messages)
        with site.worker() as worker:
            # The last window of each stays open: nothing comes after it.
            wanted = (windows - 1) * len(SUBJECTS)
            reports = read_reports(site, lambda found: len(found) >= wanted, worker.pid)
            peak = memory(worker.pid, "VmHWM")
    first, last = min(reports), max(reports)
    # What one transaction holds was counted before it was written.
    counted = sum(one.report.n for one in reports if one.written > first.written)
    rates = Rates(counted / (last.written - first.written), counted / (last.spent - first.spent))
    return Measured(rates, size, peak)


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


def _json_messages(frame: pd.DataFrame, windows: int) -> Iterator[Message]:
    return events(frame, _times(windows, PER_WINDOW["json"]), SUBJECTS)


def _times(windows: int, per_window: int) -> Iterator[float]:
    """Yield when events were: so many in each window, of all versions together."""
    return (START + event * WINDOW / per_window for event in range(windows * per_window))


def _mixed_messages(frame: pd.DataFrame, windows: int) -> Iterator[Message]:
    """Yield as many events in JSON as in Arrow, in turn: 10,000 of the one, a message with 10,000 of the other."""
    per_window = PER_WINDOW["mixed"]
    times = iter(_times(windows, per_window))
    turns = windows * per_window // (2 * _ARROW_ROWS)
    json = events(frame, times, SUBJECTS)
    for turn in range(turns):
        yield from islice(json, _ARROW_ROWS)
        seconds = np.fromiter(islice(times, _ARROW_ROWS), np.float64, _ARROW_ROWS)
        yield _arrow_message(frame, seconds, SUBJECTS[turn % len(SUBJECTS)])


def _arrow_messages(frame: pd.DataFrame, windows: int) -> Iterator[Message]:
    times = _times(windows, PER_WINDOW["arrow"])
    for turn in range(windows * PER_WINDOW["arrow"] // _ARROW_ROWS):
        seconds = np.fromiter(islice(times, _ARROW_ROWS), np.float64, _ARROW_ROWS)
        yield _arrow_message(frame, seconds, SUBJECTS[turn % len(SUBJECTS)])


def _arrow_message(frame: pd.DataFrame, seconds: Floats, subject: ModelVersion) -> Message:
    """Return an Arrow stream of many events, as `PredictionPublisher.publish_batch` makes it."""
    features = features_of(frame)
    rows = frame.iloc[: len(seconds)]
    columns = {f"features.{name}": pa.array(rows[name].to_numpy()) for name in features[:-1]}
    columns["features.region"] = pa.array(rows["region"].tolist()).dictionary_encode()
    columns |= {
        f"groups.{name}": pa.array(rows[name].tolist()).dictionary_encode() for name in ROLES.groups
    }
    columns["prediction"] = pa.array(rows["prediction"].to_numpy())
    columns["score"] = pa.array(rows["score"].to_numpy())
    ids = pa.array([f"e-{i:024}" for i in range(len(seconds))])
    columns |= {"event_id": ids, "prediction_id": ids}
    for name, value in (("model_name", subject.model), ("model_version", subject.version)):
        columns[name] = pa.array([value] * len(seconds)).dictionary_encode()
    micros = (seconds * 1e6).astype("int64")
    table = pa.table(columns | {"event_time": pa.array(micros, pa.timestamp("us", "UTC"))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Message(subject, sink.getvalue().to_pybytes(), ARROW_CONTENT)

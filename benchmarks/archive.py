"""How many predictions a second one core archives, and how fast one is found among a year of ten million.

Twenty features, a score, two protected attributes, ten thousand subjects: each row's attributes are sealed and its
subject pseudonymised. `values` goes from message values in memory to a commit on disk; `kafka` adds a real broker, the
consumer and its headers, from the first full commit to the last one. Processor seconds of all threads.
"""

from __future__ import annotations

import base64
import datetime as dt
import gc
import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import archive_scaling
from benchmarks.archive_scaling import produce
from benchmarks.figures import Figure, cpu_seconds, figure
from monitor.events import ARROW_CONTENT, JSON_CONTENT, PredictionEvent, encode
from monitor.kernels import compile_all
from monitor.predictionlog.archiver import MESSAGES, Archiver, BatchSize
from monitor.predictionlog.keys import KeyRing, MasterKey
from monitor.predictionlog.messages import Message
from monitor.predictionlog.query import Query, ask
from monitor.predictionlog.rows import Rows
from monitor.predictionlog.table import PredictionTable
from monitor.publish.table import messages
from monitor.servers import KafkaServer

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
SOURCE = "predictions-0"
A_DAY = 27_400
DAYS = 365

#: Commits of as many rows as an archiver writes at once unless told otherwise; a fifth of them for a first look.
COMMITS, ROWS = 5, BatchSize().rows


def main(*, quick: bool) -> list[Figure]:
    """Archive, and ask."""
    n, repeats = (20_000, 2) if quick else (100_000, 5)
    events = [_event(index) for index in range(n)]
    compile_all()
    gc.collect()
    gc.freeze()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        as_json = [_message(encode(event), offset) for offset, event in enumerate(events)]
        figures = [
            _archived("values_json", place / "json", as_json, n, repeats, 50_000),
            _archived("values_arrow", place / "arrow", _arrow(events), n, repeats, None),
        ]
        with KafkaServer() as server:
            rows = ROWS // 5 if quick else ROWS
            many = events * (COMMITS * rows // n)
            figures.append(_from_kafka(place / "kafka", server.bootstrap, many, rows))
            figures += archive_scaling.main(place / "scaling", server.bootstrap, events)
        figures.append(figure("bytes_a_row", _bytes(place / "kafka" / "log") / len(many), "bytes"))
        days = 30 if quick else DAYS
        figures += _asked(place / "year", as_json[:A_DAY], days)
    return figures


def _archived(
    name: str, place: Path, values: list[Message], n: int, repeats: int, target: float | None
) -> Figure:
    table, rows = _log(place)

    def run() -> None:
        for start in range(0, len(values), MESSAGES):
            rows.add(values[start : start + MESSAGES])
        held = table.positions([SOURCE])
        table.append(rows.take(), {SOURCE: (held[SOURCE] or 0) + n}, held)

    return figure(name, n / cpu_seconds(run, repeats), "events/s", target)


def _from_kafka(
    place: Path, bootstrap: str, events: list[PredictionEvent], rows_at_once: int
) -> Figure:
    """Return the rate from the first commit to the last full one: an archiver that keeps up was started long ago."""
    table, rows = _log(place)
    produce(bootstrap, "predictions", events, partitions=1)
    stop = threading.Event()
    archiver = Archiver(
        table,
        rows,
        {"bootstrap_servers": bootstrap},
        app="benchmark",
        size=BatchSize(rows=rows_at_once),
    )
    thread = threading.Thread(target=archiver.run, args=(stop,))
    thread.start()

    def spent_when(rows: int) -> tuple[float, int]:
        while archiver.counts.rows < rows and thread.is_alive():
            stop.wait(0.01)
        return time.process_time(), archiver.counts.rows

    start, before = spent_when(1)
    end, done = spent_when(len(events) - rows_at_once)
    # The last rows fill no batch, and wait for its seconds to pass: that is not work.
    spent_when(len(events))
    stop.set()
    thread.join()
    return figure("kafka_json", (done - before) / (end - start), "events/s", 50_000)


def _asked(place: Path, day: list[Message], days: int) -> list[Figure]:
    """Return how long a lookup takes in a log of so many days, each with as many rows."""
    table, rows = _log(place)
    rows.add(day)
    one = rows.take()
    for back in range(days):
        date = NOON.date() - dt.timedelta(days=back)
        ids = pc.binary_join_element_wise(one["prediction_id"], date.isoformat(), "/")
        columns = {"date": pa.array([date] * len(one), pa.date32()), "prediction_id": ids}
        columns["event_time"] = pc.subtract(
            one["event_time"], pa.scalar(dt.timedelta(days=back), pa.duration("us"))
        )
        of_day = one
        for name, values in columns.items():
            of_day = of_day.set_column(
                of_day.schema.get_field_index(name), of_day.schema.field(name), values
            )
        table.append(of_day, {SOURCE: back}, table.positions([SOURCE]))
    draw = random.Random(1)
    within, over = [], []
    for _ in range(20):
        date = NOON - dt.timedelta(days=draw.randrange(days))
        wanted = f"prediction-{draw.randrange(len(day))}/{date.date().isoformat()}"
        midnight = date.replace(hour=0)
        bounds = {"since": midnight, "until": midnight + dt.timedelta(days=1)}
        within.append(_seconds(table, Query(model="credit", prediction_id=wanted, **bounds)))
        if len(over) < 3:
            over.append(_seconds(table, Query(model="credit", prediction_id=wanted)))
    return [
        figure("rows", days * len(day), "rows"),
        figure("lookup_within_a_day", statistics.median(within), "s", 1.0, "at most"),
        figure("lookup_over_all_days", statistics.median(over), "s"),
    ]


def _seconds(table: PredictionTable, query: Query) -> float:
    start = time.perf_counter()
    found = ask(table, query)
    assert found.num_rows == 1, query
    return time.perf_counter() - start


def _log(place: Path) -> tuple[PredictionTable, Rows]:
    master = MasterKey(base64.b64encode(os.urandom(32)).decode())
    table = PredictionTable(str(place / "log"))
    table.create()
    return table, Rows(KeyRing(place / "keys", master))


def _event(index: int) -> PredictionEvent:
    draw = random.Random(index)
    features: dict[str, float | str] = {f"f{i:02}": draw.gauss(0, i + 1) for i in range(19)}
    features["region"] = draw.choice(["north", "south", "east", "west"])
    return PredictionEvent(
        event_id=f"0190a000-0000-7000-8000-{index:012}",
        prediction_id=f"prediction-{index}",
        event_time=NOON + dt.timedelta(milliseconds=index),
        model_name="credit",
        model_version="7",
        run_id="run-1",
        features=features,
        prediction=draw.randrange(2),
        score=round(draw.random(), 4),
        groups={"sex": draw.choice("FM"), "race": draw.choice("ABCDEF")},
        subject=f"person-{draw.randrange(10_000)}",
        session_id=f"session-{index // 3}",
    )


def _message(value: bytes, offset: int, content: bytes = JSON_CONTENT) -> Message:
    return Message("predictions", 0, offset, NOON.timestamp() + 1e6, b"credit/7", value, content)


def _arrow(events: list[PredictionEvent]) -> list[Message]:
    rows = [
        {
            "model_name": event.model_name,
            "model_version": event.model_version,
            "event_id": event.event_id,
            "prediction_id": event.prediction_id,
            "event_time": event.event_time,
            "prediction": event.prediction,
            "score": event.score,
            **{f"features.{name}": value for name, value in event.features.items()},
            **{f"groups.{name}": value for name, value in event.groups.items()},
        }
        for event in events
    ]
    table = pa.Table.from_pylist(rows)
    return [
        _message(message.value, offset, ARROW_CONTENT)
        for offset, message in enumerate(messages(table))
    ]


def _bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*.parquet"))

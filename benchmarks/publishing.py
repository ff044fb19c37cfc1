"""What `PredictionPublisher.publish` costs the thread that serves: a call a millisecond, to a real broker."""

from __future__ import annotations

import datetime as dt
import time

import numpy as np

from benchmarks.figures import Figure, figure
from monitor.events import PredictionEvent, new_event_id
from monitor.publish import PredictionPublisher
from monitor.servers import KafkaServer

#: Seconds between two predictions: a busy server's.
_PAUSE = 0.001


def main(*, quick: bool) -> list[Figure]:
    """Publish events of twenty features, at the pace of a server."""
    calls = 1_000 if quick else 10_000
    with (
        KafkaServer(properties={"auto.create.topics.enable": "true"}) as kafka,
        PredictionPublisher(kafka.bootstrap) as publisher,
    ):
        taken = [_microseconds(publisher, number) for number in range(calls)]
    half, most = np.percentile(taken[calls // 10 :], [50, 99])
    return [
        figure("publisher_us", float(half), "us", 20, "at most"),
        figure("publisher_p99_us", float(most), "us"),
    ]


def _microseconds(publisher: PredictionPublisher, number: int) -> float:
    event = PredictionEvent(
        event_id=new_event_id(),
        prediction_id=f"p-{number}",
        event_time=dt.datetime.now(dt.UTC),
        model_name="credit",
        model_version="7",
        features={f"f{i:02}": number * 0.37 + i for i in range(20)},
        prediction=1,
        score=0.5,
        groups={"sex": "F", "race": "A"},
    )
    start = time.perf_counter()
    publisher.publish(event)
    end = time.perf_counter()
    time.sleep(_PAUSE)
    return 1e6 * (end - start)

"""How the cost of an event grows: with features, versions, open windows and protected groups.

All through the very engine of a partition, JSON values to folded profiles, in fetches of 10,000 records. The first half
of the records is not timed: each version's decoder is made then.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks.figures import Figure, figure, say
from monitor.baselines import Baseline
from monitor.engine.partition import PartitionEngine, Place
from monitor.events import JSON_CONTENT, ModelVersion
from monitor.policy.load import parse_policy
from monitor.profiles.layout import FINE_BINS, Column, Kind, Layout
from monitor.profiles.profile import Profile

START = 1_767_225_600.0
_FETCH = 10_000
_POLICY = """
defaults:
  windows: {length: 60s, grace: 1h, allowed_lateness: 1h, min_events: 1, max_length: 60s}
"""


class Record(NamedTuple):
    """A Kafka message."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Shape:
    """What grows, one at a time."""

    features: int = 20
    versions: int = 1
    windows: int = 2
    groups: int = 12


def main(*, quick: bool) -> list[Figure]:
    """Measure each curve, with what does not grow as in the other benchmarks."""
    n = 20_000 if quick else 60_000
    figures = []
    for what, sizes in (
        ("features", (20, 200, 1_000)),
        ("versions", (1, 10, 100, 1_000)),
        ("windows", (1, 10, 60)),
        ("groups", (2, 20, 200)),
    ):
        for size in sizes:
            say(f"growth: {size} {what} ...")
            shape = Shape(**{what: size})
            events = n if shape.features <= 20 else n * 100 // shape.features
            spent = _microseconds(shape, events)
            figures.append(figure(f"us_an_event_at_{size}_{what}", spent, "us"))
    return figures


def _microseconds(shape: Shape, n: int) -> float:
    """Return processor time an event, the better of two runs of the engine."""
    records = _records(shape, 2 * n)
    best = float("inf")
    for _ in range(2):
        engine = PartitionEngine(
            Place("predictions", 0, lambda _: 0), parse_policy(_POLICY, where="here")
        )
        layout = _layout(shape)
        for number in range(shape.versions):
            name = ModelVersion("credit", str(number))
            engine.learn(
                name, Baseline(*name, Profile.empty(layout), "1", "", {}, sha256="benchmark")
            )
        _fold(engine, records[:n])
        start = time.process_time()
        _fold(engine, records[n:])
        best = min(best, time.process_time() - start)
        assert engine.counts["counted"] == 2 * n, engine.counts
    return 1e6 * best / n


def _fold(engine: PartitionEngine, records: Sequence[Record]) -> None:
    for first in range(0, len(records), _FETCH):
        engine.fold(records[first : first + _FETCH])
    for version in engine._versions.values():  # noqa: SLF001 - what a snapshot would fold
        for content in version.contents.values():
            content.buffer.fold()


def _layout(shape: Shape) -> Layout:
    edges = tuple(np.linspace(-4, 4, FINE_BINS).tolist())
    return Layout(
        features=tuple(
            Column(name=f"f{i}", kind=Kind.NUMERIC, edges=edges) for i in range(shape.features)
        ),
        prediction=Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1")),
        groups=("group",),
    )


def _records(shape: Shape, n: int) -> list[Record]:
    draw = np.random.default_rng(1)
    bodies = [
        msgspec.json.encode(
            {
                "features": {f"f{i}": x for i, x in enumerate(row)},
                "prediction": int(row[0] > 0),
            }
        )[1:-1]
        for row in draw.normal(size=(200, shape.features)).tolist()
    ]
    return [_record(shape, number, n, bodies[number % len(bodies)]) for number in range(n)]


def _record(shape: Shape, number: int, n: int, body: bytes) -> Record:
    version = number % shape.versions
    # In turn through all windows, so that all of them are open at once.
    place = (number // shape.versions % shape.windows) * 60 + 59 * number / n
    time_ = dt.datetime.fromtimestamp(START + place, dt.UTC).isoformat(timespec="microseconds")
    head = (
        f'{{"event_id":"e-{number}","prediction_id":"p-{number}","event_time":"{time_}",'
        f'"model_name":"credit","model_version":"{version}",'
        f'"groups":{{"group":"g{number // 7 % shape.groups}"}},'
    )
    headers = [
        *((f"ce_{i}", b"x") for i in range(5)),
        ("content-type", JSON_CONTENT),
        ("producer_id", b"benchmark"),
        ("sequence", b"%d" % number),
    ]
    arrival = int(1000 * (START + 3600))
    return Record(
        number, arrival, b"credit/%d" % version, head.encode() + body + b"}", tuple(headers)
    )

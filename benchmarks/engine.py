"""How many events a second one core takes from message values to folded profiles.

Twenty features (19 numbers of full precision, one category), a score, two protected attributes, two model versions,
two windows. Each road has its data ready in memory; decoding, splitting by window and folding are timed. The naive
fold beside it decodes the same JSON and counts in dicts, an event at a time.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import tracemalloc
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.figures import Figure, cpu_seconds, figure
from monitor.engine.state import Pieces
from monitor.events import ModelVersion
from monitor.profiles.arrow import ArrowDecoder
from monitor.profiles.buffer import RowBuffer
from monitor.profiles.codec import encode_profile
from monitor.profiles.decoder import Content, Decoded, RowDecoder
from monitor.profiles.layout import FINE_BINS, Column, Kind, Layout
from monitor.profiles.profile import Profile

WINDOW = 60.0
START = 1_767_225_600.0
NUMBERS = [f"f{i:02}" for i in range(19)]
REGIONS = ["abroad", "centre", "east", "islands", "north", "other", "south", "west"]
VERSIONS = [ModelVersion("credit", "7"), ModelVersion("credit", "8")]

Floats = NDArray[np.float64]
Keyed = tuple[ModelVersion, bytes]

#: What a record's key is, by which the engine splits what it is given.
KEYS = {version: f"{version.model}/{version.version}".encode() for version in VERSIONS}


def main(*, quick: bool) -> list[Figure]:
    """Measure each road."""
    n, repeats = (20_000, 3) if quick else (100_000, 7)
    layout = _layout()
    events = _events(n)
    as_json = [(version, msgspec.json.encode(event)) for version, event in events]
    as_msgpack = [(version, msgspec.msgpack.encode(event)) for version, event in events]
    gc.collect()
    gc.freeze()
    figures = [
        figure("event_json_bytes", sum(len(value) for _, value in as_json) / n, "bytes"),
        figure("event_msgpack_bytes", sum(len(value) for _, value in as_msgpack) / n, "bytes"),
    ]

    def rate(name: str, run: Callable[[], object], target: float | None, of: int = n) -> float:
        speed = of / cpu_seconds(run, repeats)
        figures.append(figure(name, speed, "events/s", target))
        return speed

    for batch in (10_000, 2_000, 500):
        speed = rate(f"engine_json_{batch}", _rows(layout, as_json, "json", batch), 450_000)
        if batch == 10_000:
            fastest = speed
    rate("decode_json_alone", _decode_alone(layout, as_json), None)
    for batch in (10_000, 500):
        rate(f"engine_msgpack_{batch}", _rows(layout, as_msgpack, "msgpack", batch), 700_000)
    for size, target in ((10_000, 4_500_000), (1_000, 2_500_000)):
        rate(f"engine_arrow_{size}", _arrow(layout, _streams(events, size)), target)
        rate(f"engine_arrow_{size}_zstd", _arrow(layout, _streams(events, size, "zstd")), None)
    some = as_json[: n // 10]
    naive = rate(
        "naive_python", lambda: _naive(layout, [value for _, value in some]), None, len(some)
    )
    figures.append(figure("engine_json_over_naive", fastest / naive, "times"))
    written, held = _profile_sizes(layout, as_json)
    figures += [
        figure("profile_kib", written / 1024, "KiB", 200, "at most"),
        figure("profile_held_kib", held / 1024, "KiB"),
    ]
    return figures


class _Windows:
    """The profiles of one version, by window."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.profiles: dict[int, Profile] = {}
        self._buffers: dict[int, RowBuffer] = {}

    def add(self, decoded: Decoded) -> None:
        slots = np.floor_divide(decoded.times, WINDOW).astype(np.int64)
        low, high = int(slots.min()), int(slots.max())
        present = [low] if low == high else np.unique(slots).tolist()
        for slot in present:
            if slot not in self._buffers:
                self.profiles[slot] = Profile.empty(self._layout)
                self._buffers[slot] = RowBuffer(self.profiles[slot])
            events = None if len(present) == 1 else np.flatnonzero(slots == slot)
            self._buffers[slot].append(decoded, events)

    def fold(self) -> None:
        for buffer in self._buffers.values():
            buffer.fold()


def _rows(
    layout: Layout, values: Sequence[Keyed], content: Content, batch: int
) -> Callable[[], dict[ModelVersion, _Windows]]:
    decoders = {KEYS[version]: RowDecoder(layout, version, content) for version in VERSIONS}
    records = [(KEYS[version], value) for version, value in values]

    def run() -> dict[ModelVersion, _Windows]:
        windows = {version: _Windows(layout) for version in VERSIONS}
        by_key = {KEYS[version]: one for version, one in windows.items()}
        for start in range(0, len(records), batch):
            values_of: dict[bytes, list[bytes]] = {key: [] for key in by_key}
            for key, value in records[start : start + batch]:
                values_of[key].append(value)
            for key, own in values_of.items():
                by_key[key].add(decoders[key].decode(own))
        for one in windows.values():
            one.fold()
        return windows

    return run


def _arrow(layout: Layout, streams: Sequence[Keyed]) -> Callable[[], object]:
    decoders = {version: ArrowDecoder(layout, version) for version in VERSIONS}

    def run() -> None:
        windows = {version: _Windows(layout) for version in VERSIONS}
        for version, stream in streams:
            windows[version].add(decoders[version].decode(stream))
        for one in windows.values():
            one.fold()

    return run


def _decode_alone(layout: Layout, values: Sequence[Keyed]) -> Callable[[], object]:
    """Return a loop that does nothing but turn JSON into structs: no engine in Python can be faster."""
    fields = [(name, float | None, None) for name in NUMBERS] + [("region", str | None, None)]
    features = msgspec.defstruct("Features", fields, gc=False)
    event = msgspec.defstruct(
        "Event",
        [("event_time", str), ("features", features), ("prediction", int), ("score", float)],
        gc=False,
    )
    decode = msgspec.json.Decoder(event).decode

    def run() -> None:
        for _, value in values:
            decode(value)

    assert [column.name for column in layout.features] == [*NUMBERS, "region"]
    return run


def _naive(layout: Layout, values: Sequence[bytes]) -> dict[tuple[int, str], Counter[object]]:
    """Count what a profile counts, an event at a time."""
    edges = [(column.name, column.edges) for column in layout.features if column.is_numeric]
    counts: dict[tuple[int, str], Counter[object]] = {}
    for value in values:
        event = json.loads(value)
        time = dt.datetime.fromisoformat(event["event_time"]).timestamp()
        counter = counts.setdefault((int(time // WINDOW), event["model_version"]), Counter())
        features, group = event["features"], tuple(event["groups"].items())
        for name, inner in edges:
            number = features[name]
            counter[name, bisect_right(inner, number)] += 1
            if not number:
                counter[group, name, "zero"] += 1
        counter["region", features["region"]] += 1
        counter[group, "region", features["region"]] += 1
        counter[group, event["prediction"]] += 1
        counter[group, "score", int(event["score"] * 20)] += 1
    return counts


def _profile_sizes(layout: Layout, values: Sequence[Keyed]) -> tuple[float, float]:
    """Return the mean bytes that a (version, window) takes in the state topic, and in memory once its rows are folded."""
    windows = _rows(layout, values, "json", 10_000)()
    profiles = [profile for one in windows.values() for profile in one.profiles.values()]
    written = [
        len(value or b"")
        for profile in profiles
        for value in Pieces().write(b"profile", encode_profile(profile)).values()
    ]
    tracemalloc.start()
    again = [profile.merge(Profile.empty(layout)) for profile in profiles]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return sum(written) / len(profiles), held / len(again)


def _columns(n: int, seed: int) -> list[Floats]:
    """Return numbers of three shapes: normal, long-tailed and uniform."""
    random = np.random.default_rng(seed)
    draws = (random.normal, random.lognormal, random.uniform)
    return [draws[i % 3](size=n) * (i + 1) for i in range(len(NUMBERS))]


def _layout() -> Layout:
    numbers = [
        Column(name=name, kind=Kind.NUMERIC, edges=_edges(values))
        for name, values in zip(NUMBERS, _columns(100_000, seed=9), strict=True)
    ]
    region = Column(name="region", kind=Kind.CATEGORICAL, categories=tuple(REGIONS))
    return Layout(
        features=(*numbers, region),
        prediction=Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1")),
        score=Column(
            name="score", kind=Kind.NUMERIC, edges=tuple(np.linspace(0, 1, FINE_BINS).tolist())
        ),
        groups=("sex", "race"),
    )


def _edges(values: Floats) -> tuple[float, ...]:
    return tuple(np.unique(np.quantile(values, np.linspace(0, 1, FINE_BINS + 1))).tolist())


def _events(n: int) -> list[tuple[ModelVersion, dict[str, object]]]:
    random = np.random.default_rng(1)
    columns = np.array(_columns(n, seed=1)).T.tolist()
    regions = random.choice(REGIONS, n).tolist()
    sexes, races = random.choice(["F", "M"], n).tolist(), random.choice(list("ABCDEF"), n).tolist()
    predictions = random.integers(0, 2, n).tolist()
    scores = np.round(random.random(n), 4).tolist()
    times = (START + np.sort(random.random(n)) * 2 * WINDOW).tolist()
    which = random.integers(0, len(VERSIONS), n).tolist()
    return [
        (
            VERSIONS[which[i]],
            {
                "event_id": f"01936b2e-7a3c-7000-8000-{i:012}",
                "prediction_id": f"request-{i:012}",
                "event_time": dt.datetime.fromtimestamp(times[i], dt.UTC),
                "model_name": VERSIONS[which[i]].model,
                "model_version": VERSIONS[which[i]].version,
                "features": {**dict(zip(NUMBERS, columns[i], strict=True)), "region": regions[i]},
                "prediction": predictions[i],
                "score": scores[i],
                "groups": {"sex": sexes[i], "race": races[i]},
            },
        )
        for i in range(n)
    ]


def _streams(
    events: Sequence[tuple[ModelVersion, dict[str, object]]],
    size: int,
    compression: str | None = None,
) -> list[Keyed]:
    """Return the events as Arrow streams, each of one version; texts as dictionaries, uncompressed by default."""
    streams = []
    options = pa.ipc.IpcWriteOptions(compression=compression)
    for version in VERSIONS:
        own = [_flat(event) for v, event in events if v == version]
        table = pa.Table.from_pylist(own)
        for position, field in enumerate(table.schema):
            if field.type == pa.string() and not field.name.endswith("_id"):
                encoded = table.column(position).combine_chunks().dictionary_encode()
                table = table.set_column(position, field.name, encoded)
        for start in range(0, len(own), size):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
                writer.write_table(table.slice(start, size).combine_chunks())
            streams.append((version, sink.getvalue().to_pybytes()))
    return streams


def _flat(event: dict[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in event.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": own for inner, own in value.items()}
        else:
            flat[name] = value
    return flat

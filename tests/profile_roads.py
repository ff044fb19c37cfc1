"""Events, the roads they can take, and what plain Python says the profile should be."""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_right
from collections import Counter, defaultdict
from unittest import mock

import msgspec
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from monitor.events import ModelVersion, PredictionEvent
from monitor.profiles import packing
from monitor.profiles.arrow import ArrowDecoder
from monitor.profiles.buffer import RowBuffer
from monitor.profiles.decoder import RowDecoder
from monitor.profiles.edges import LARGEST
from monitor.profiles.frames import profile_frame
from monitor.profiles.layout import MISSING, Column, Kind, Layout
from monitor.profiles.profile import Profile
from monitor.profiles.sketch import NumericSketch
from monitor.profiles.vocabulary import label_of

VERSION = ModelVersion("credit", "7")
EPOCH = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

LAYOUT = Layout(
    features=(
        Column(name="age", kind=Kind.NUMERIC, edges=(0.0, 18.0, 30.5, 65.0, 120.0)),
        Column(name="weird ' {name} - at `$", kind=Kind.NUMERIC),
        Column(name="town", kind=Kind.CATEGORICAL, categories=("Bonn", "Ulm")),
        Column(name="owner", kind=Kind.BOOLEAN, categories=("false", "true")),
    ),
    prediction=Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1")),
    score=Column(name="score", kind=Kind.NUMERIC, edges=(0.0, 0.5, 1.0)),
    groups=("sex", "origin"),
)
REGRESSION = Layout(
    features=LAYOUT.features,
    prediction=Column(name="prediction", kind=Kind.NUMERIC, edges=(-1.0, 0.0, 1.0)),
    groups=(),
)

numbers = st.one_of(
    st.none(),
    st.just(0),
    st.integers(-130, 130),
    st.floats(-200, 200).map(lambda x: x + 0.0),
    st.sampled_from([18.0, 30.5, 65.0, 1e155, -1e300]),
)
texts = st.sampled_from(["Bonn", "Ulm", "Aix", "0", "false", "ü\u2028 \"'\\", ""])
labels = st.one_of(texts, st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, 1.0, -0.0, 2.5]))


def rows(label, prediction):
    """Return a strategy of one event's varying parts."""
    features = st.fixed_dictionaries(
        {},
        optional={
            LAYOUT.features[0].name: numbers,
            LAYOUT.features[1].name: numbers,
            "town": st.none() | label,
            "owner": st.none() | st.booleans(),
        },
    )
    groups = st.fixed_dictionaries(
        {}, optional={"sex": st.none() | label, "origin": st.none() | texts}
    )
    return st.fixed_dictionaries(
        {
            "features": features,
            "prediction": prediction,
            "score": st.none() | st.floats(-0.5, 1.5),
            "groups": groups,
            "second": st.integers(0, 10**8).map(lambda micros: micros / 1e6),
        }
    )


def events(parts):
    return [
        PredictionEvent(
            event_id=f"e{i}",
            prediction_id=f"p{i}",
            event_time=EPOCH + dt.timedelta(seconds=part["second"]),
            model_name=VERSION.model,
            model_version=VERSION.version,
            features=part["features"],
            prediction=part["prediction"],
            score=part["score"],
            groups=part["groups"],
        )
        for i, part in enumerate(parts)
    ]


def cut(items, sizes):
    """Cut a list into pieces of these sizes, over and over."""
    start, i = 0, 0
    while start < len(items):
        stop = start + sizes[i % len(sizes)]
        yield items[start:stop]
        start, i = stop, i + 1


def by_rows(layout, parts, content, sizes=(100,), capacity=16, trial=1000):
    """Count by rows; after `trial` events the decoder fits itself to what came."""
    with mock.patch.object(packing, "_TRIAL", trial):
        return _by_rows(layout, parts, content, sizes, capacity)


def _by_rows(layout, parts, content, sizes, capacity):
    encode = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}[content]
    decoder, profile = RowDecoder(layout, VERSION, content), Profile.empty(layout)
    buffer = RowBuffer(profile, capacity)
    for batch in cut([encode(event) for event in events(parts)], sizes):
        decoded = decoder.decode(batch)
        assert decoded.bad == []
        buffer.append(decoded)
    buffer.fold()
    return profile


def table(parts, *, dictionaries=False):
    made = events(parts)
    columns = {
        "event_id": pa.array([e.event_id for e in made], pa.string()),
        "prediction_id": pa.array([e.prediction_id for e in made], pa.string()),
        "event_time": pa.array([e.event_time for e in made], pa.timestamp("us", "UTC")),
        "model_name": pa.array([e.model_name for e in made], pa.string()),
        "model_version": pa.array([e.model_version for e in made], pa.string()),
        "prediction": pa.array([e.prediction for e in made]),
        "score": pa.array([e.score for e in made], pa.float64()),
        "extra": pa.array([{"a": 1}] * len(made)),
    }
    for column in LAYOUT.features:
        values = [e.features.get(column.name) for e in made]
        kind = pa.float64() if column.is_numeric else None
        columns[f"features.{column.name}"] = pa.array(values, kind)
    for name in LAYOUT.groups:
        columns[f"groups.{name}"] = pa.array([e.groups.get(name) for e in made])
    if dictionaries:
        plain = {"event_id", "prediction_id", "extra"}
        columns = {
            name: array.dictionary_encode()
            if array.type == pa.string() and name not in plain
            else array
            for name, array in columns.items()
        }
    return pa.table(columns)


def ipc(table, compression=None):
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def by_arrow(layout, parts, sizes=(100,), *, dictionaries=False, compression=None):
    decoder, profile = ArrowDecoder(layout, VERSION), Profile.empty(layout)
    buffer = RowBuffer(profile, 16)
    for batch in cut(parts, sizes):
        buffer.append(decoder.decode(ipc(table(batch, dictionaries=dictionaries), compression)))
    buffer.fold()
    return profile


def frame(parts):
    data = {
        column.name: pd.Series([p["features"].get(column.name) for p in parts], dtype=object)
        for column in LAYOUT.features
    }
    for name in LAYOUT.groups:
        data[name] = pd.Series([p["groups"].get(name) for p in parts], dtype=object)
    data["answer"] = pd.Series([p["prediction"] for p in parts], dtype=object)
    data["p"] = pd.Series([p["score"] for p in parts], dtype="float64")
    return pd.DataFrame(data)


def by_frame(layout, parts):
    score = "p" if layout.score else None
    return profile_frame(frame(parts), layout, prediction="answer", score=score)


def facts(profile):
    """Return a profile as plain values, without what has no meaning (an order, a zero)."""
    return {
        "n": profile.n,
        "sketches": [_sketch_facts(sketch) for sketch in profile.sketches],
        "cells": {group: _cell_facts(cell) for group, cell in profile.cells.items()},
    }


def _sketch_facts(sketch):
    if not isinstance(sketch, NumericSketch):
        return {"counts": dict(sketch.counts), "missing": sketch.missing}
    return {
        "counts": sketch.counts.tolist(),
        "sums": sketch.sums.tolist(),
        "rest": [sketch.missing, sketch.below, sketch.above],
        "squares": sketch.sum_of_squares,
        "extremes": [sketch.minimum, sketch.maximum],
    }


def _cell_facts(cell):
    return {
        "outcomes": dict(cell.outcomes),
        "values": [cell.value_sum, cell.value_square_sum],
        "scores": {label: bins.tolist() for label, bins in cell.scores.items()},
        "score_sums": dict(cell.score_sums),
        "missing": cell.missing.tolist(),
        "zeros": cell.zeros.tolist(),
        "categories": cell.categories,
    }


def expected(layout, parts):
    """Return the facts by plain Python: one value at a time, bisect and Counter."""
    sketches = []
    for position, column in enumerate(layout.columns):
        values = [_value(layout, part, position, column.name) for part in parts]
        sketches.append(_expected_sketch(column, values))
    members = defaultdict(list)
    for part in parts:
        given = [part["groups"].get(name) for name in layout.groups]
        members[tuple(MISSING if g is None else label_of(g) for g in given)].append(part)
    cells = {group: _expected_cell(layout, inside) for group, inside in members.items()}
    return {"n": len(parts), "sketches": sketches, "cells": cells}


def _value(layout, part, position, name):
    return part["features"].get(name) if position < len(layout.features) else part[name]


def _expected_sketch(column, values):
    there = [value for value in values if value is not None]
    if not column.is_numeric:
        counts = dict(Counter(label_of(value) for value in there))
        return {"counts": counts, "missing": len(values) - len(there)}
    finite = [value for value in there if abs(value) < LARGEST]
    counts, sums = [0] * (len(column.edges) + 1), [0.0] * (len(column.edges) + 1)
    for value in finite:
        at = bisect_right(column.edges, value)
        counts[at] += 1
        sums[at] += value
    below = sum(value <= -LARGEST for value in there)
    return {
        "counts": counts,
        "sums": sums,
        "rest": [len(values) - len(there), below, len(there) - len(finite) - below],
        "squares": math.fsum(value * value for value in finite),
        "extremes": [min(finite, default=math.inf), max(finite, default=-math.inf)],
    }


def _expected_cell(layout, parts):
    classifier = layout.is_classifier
    outcomes = Counter((label_of(p["prediction"]) if classifier else "", "") for p in parts)
    given = [] if classifier else [p["prediction"] for p in parts]
    scores = [p["score"] for p in parts if p["score"] is not None and 0 <= p["score"] <= 1]
    scores = scores if layout.score else []
    bins = [0] * 20
    for score in scores:
        bins[min(int(score * 20), 19)] += 1
    cell = {
        "outcomes": dict(outcomes),
        "values": [math.fsum(given), math.fsum(value * value for value in given)],
        "scores": {"": bins} if scores else {},
        "score_sums": {"": math.fsum(scores)} if scores else {},
        "missing": [],
        "zeros": [],
        "categories": {},
    }
    for column in layout.features:
        values = [p["features"].get(column.name) for p in parts]
        there = [value for value in values if value is not None]
        cell["missing"].append(len(values) - len(there))
        if column.is_numeric:
            cell["zeros"].append(sum(value == 0 for value in there))
            continue
        found = [label_of(value) for value in there]
        cell["zeros"].append(sum(label in {"0", "false"} for label in found))
        if found:
            cell["categories"][column.name] = dict(Counter(found))
    return cell


def close(value, other):
    """Return whether two trees of facts agree: counts exactly, sums to rounding."""
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(close(value[k], other[k]) for k in value)
    if isinstance(value, list):
        return len(value) == len(other) and all(map(close, value, other))
    if isinstance(value, float) or isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-9)
    return value == other

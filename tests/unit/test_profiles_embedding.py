"""A feature that is a vector of numbers, on every road and through the engine."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from monitor.baselines import decode_baseline, encode_baseline, hash_of
from monitor.desk.baseline import make_baseline
from monitor.desk.compare import compare_frames
from monitor.desk.replay import replay_frame
from monitor.desk.tables import Roles
from monitor.errors import EventError, InputError
from monitor.profiles.arrow import ArrowDecoder
from monitor.profiles.buffer import RowBuffer
from monitor.profiles.codec import decode_profile, encode_profile
from monitor.profiles.decoder import RowDecoder
from monitor.profiles.frames import profile_frame
from monitor.profiles.profile import Profile
from tests.unit.engine_world import POLICY, START, SUBJECT

ROLES = Roles(prediction="prediction", groups=("sex",))


def people(n, seed=0, *, shift=0.0):
    draw = np.random.default_rng(seed)
    vectors = draw.normal(0, 1, (n, 6)) + shift
    return pd.DataFrame(
        {
            "income": draw.normal(0, 1, n),
            "text": list(vectors),
            "prediction": draw.integers(0, 2, n),
            "sex": draw.choice(["man", "woman"], n),
        }
    )


@pytest.fixture(scope="module")
def baseline():
    return make_baseline(people(3000, 9), ROLES, SUBJECT, POLICY.of("credit"), created_at="")


def event(row, number=0, **features):
    return {
        "event_id": str(number),
        "prediction_id": str(number),
        "event_time": "2026-01-02T03:04:05Z",
        "model_name": SUBJECT.model,
        "model_version": SUBJECT.version,
        "features": {"income": row["income"], "text": [float(x) for x in row["text"]], **features},
        "prediction": row["prediction"],
        "groups": {"sex": row["sex"]},
    }


def by_rows(baseline, frame, content="json"):
    codec = msgspec.json if content == "json" else msgspec.msgpack
    rows = [event(row, i) for i, row in enumerate(frame.to_dict("records"))]
    decoded = RowDecoder(baseline.layout, SUBJECT, content).decode([codec.encode(r) for r in rows])
    assert not decoded.bad
    return folded(baseline, decoded)


def by_columns(baseline, frame, kind):
    n = len(frame)
    batch = pa.record_batch(
        {
            "event_id": [str(i) for i in range(n)],
            "prediction_id": [str(i) for i in range(n)],
            "event_time": pa.array([0] * n, pa.timestamp("us", tz="UTC")),
            "model_name": [SUBJECT.model] * n,
            "model_version": [SUBJECT.version] * n,
            "features.income": frame["income"],
            "features.text": pa.array(
                [None if v is None else list(v) for v in frame["text"]], kind
            ),
            "prediction": frame["prediction"],
            "groups.sex": frame["sex"],
        }
    )
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return folded(baseline, ArrowDecoder(baseline.layout, SUBJECT).decode(sink.getvalue()))


def folded(baseline, decoded):
    profile = Profile.empty(baseline.layout)
    buffer = RowBuffer(profile, capacity=64)
    buffer.append(decoded)
    buffer.fold()
    return profile


def same(one, other):
    a, b = (profile.sketches[1] for profile in (one, other))
    assert (a.n, a.missing) == (b.n, b.missing)
    assert a.sums == pytest.approx(b.sums, abs=1e-9)
    assert one.sketches[0].n == other.sketches[0].n
    for group, cell in one.cells.items():
        assert cell.missing.tolist() == other.cells[group].missing.tolist()


@pytest.mark.parametrize("content", ["json", "msgpack"])
def test_rows_give_the_profile_that_the_frame_gives(baseline, content):
    frame = people(150, 1)
    same(
        by_rows(baseline, frame, content),
        profile_frame(frame, baseline.layout, prediction="prediction"),
    )


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float64(), 6), pa.list_(pa.float64()), pa.large_list(pa.float64())],
    ids=str,
)
def test_columns_give_the_profile_that_the_frame_gives(baseline, kind):
    frame = people(150, 1)
    frame["text"] = [None if i in {3, 4, 5} else v for i, v in enumerate(frame["text"])]
    same(
        by_columns(baseline, frame, kind),
        profile_frame(frame, baseline.layout, prediction="prediction"),
    )


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ([1.0] * 5, "length >= 6"),
        ([1.0] * 7, "length <= 6"),
        ([1.0, None] * 3, "null"),
        ("x", "str"),
    ],
)
def test_a_vector_that_is_none_is_set_aside_with_the_reason(baseline, vector, says):
    row = people(1).to_dict("records")[0]
    value = msgspec.json.encode(event(row, text=vector))
    ((_, error),) = RowDecoder(baseline.layout, SUBJECT).decode([value]).bad
    assert error.field.startswith("features.text")
    assert says in error.reason


def test_a_vector_with_a_nan_or_none_at_all_is_missing(baseline):
    frame = people(4)
    rows = [event(row, i) for i, row in enumerate(frame.to_dict("records"))]
    rows[0]["features"]["text"][2] = float("nan")
    rows[1]["features"]["text"] = None
    del rows[2]["features"]["text"]
    decoded = RowDecoder(baseline.layout, SUBJECT, "msgpack").decode(
        [msgspec.msgpack.encode(row) for row in rows]
    )
    sketch = folded(baseline, decoded).sketches[1]
    assert (sketch.n, sketch.missing) == (1, 3)


def test_a_column_of_vectors_of_another_length_is_refused_whole(baseline):
    frame = people(5)
    frame["text"] = [v[:4] for v in frame["text"]]
    with pytest.raises(EventError, match=r"features.text: expected 6 numbers, got 4 in 5 rows"):
        by_columns(baseline, frame, pa.list_(pa.float64()))


def test_a_file_with_vectors_of_two_lengths_is_refused_with_the_column():
    frame = people(10)
    frame["text"] = [v[:3] if i == 4 else v for i, v in enumerate(frame["text"])]
    with pytest.raises(InputError, match="text: expected lists of 6 numbers"):
        make_baseline(frame, ROLES, SUBJECT, POLICY.of("credit"), created_at="")


def test_a_profile_and_a_baseline_come_back_as_they_were_written(baseline):
    profile = profile_frame(people(100), baseline.layout, prediction="prediction")
    same(decode_profile(encode_profile(profile), baseline.layout), profile)
    data = encode_baseline(baseline)
    again = decode_baseline(data, sha256=hash_of(data))
    assert again.layout == baseline.layout
    same(again.profile, baseline.profile)


def test_profiles_add(baseline):
    frame = people(200, 4)
    whole, first, second = (
        profile_frame(part, baseline.layout, prediction="prediction")
        for part in (frame, frame[:80], frame[80:])
    )
    same(first.merge(second), whole)


@pytest.mark.parametrize(("shift", "blocks"), [(0.0, False), (1.0, True)])
def test_files_and_replayed_windows_are_judged_alike(baseline, shift, blocks):
    now = people(400, 5, shift=shift)
    compared = compare_frames(people(3000, 9), now, ROLES, POLICY.of("credit")).report
    roles = dataclasses.replace(ROLES, ignored=("at",))
    done = replay_frame(
        now.assign(at=START),
        roles,
        time_column="at",
        subject=SUBJECT,
        baseline=baseline,
        policy=POLICY,
    )
    (report,) = done.reports
    assert not done.dead_letters
    text, same_text = (r.drift[1] for r in (report, compared))
    assert (text.feature, text.kind) == ("text", "embedding")
    assert (text.mmd, text.p_value) == pytest.approx((same_text.mmd, same_text.p_value))
    assert ("mmd[text]" in {breach.rule for breach in report.breaches}) is blocks
    assert 0 < text.smallest_effect < 0.2
    assert text.psi is None

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from monitor.errors import EmptyData, InputError, MissingColumn
from monitor.profiles.frames import frame_times, infer_layout, profile_frame
from monitor.profiles.layout import FINE_BINS, Kind

FRAME = pd.DataFrame(
    {
        "age": [30, 40, 40, 50],
        "income": [1.5, 2.5, np.nan, 4.5],
        "town": ["Ulm", None, "Bonn", "Ulm"],
        "owner": [True, False, True, True],
        "sex": ["f", "m", "m", "f"],
        "answer": [1, 0, 0, 1],
        "p": [0.9, 0.1, 0.4, 0.8],
        "truth": ["good", "bad", None, "good"],
    }
)
ROLES = {"prediction": "answer", "score": "p", "groups": ["sex"], "label": "truth"}


def test_a_layout_has_the_kinds_that_the_values_have():
    layout = infer_layout(FRAME, **ROLES)
    assert [(c.name, c.kind) for c in layout.features] == [
        ("age", Kind.NUMERIC),
        ("income", Kind.NUMERIC),
        ("town", Kind.CATEGORICAL),
        ("owner", Kind.BOOLEAN),
    ]
    assert layout.features[2].categories == ("Bonn", "Ulm")
    assert layout.features[3].categories == ("false", "true")
    assert (layout.prediction.kind, layout.prediction.categories) == (Kind.CATEGORICAL, ("0", "1"))
    assert layout.score.name == "score"
    assert layout.groups == ("sex",)


def test_few_distinct_numbers_have_a_bin_each():
    profile = profile_frame(FRAME, infer_layout(FRAME, **ROLES), prediction="answer", score="p")
    assert profile.sketches[0].edges.tolist() == [30.0, 40.0, 50.0, np.nextafter(50.0, np.inf)]
    assert profile.sketches[0].counts.tolist() == [0, 1, 2, 1, 0]


def test_many_distinct_numbers_are_cut_at_quantiles_and_none_is_out_of_range():
    values = np.random.default_rng(1).lognormal(size=50_000)
    frame = pd.DataFrame({"x": values, "answer": values * 2})
    layout = infer_layout(frame, prediction="answer")
    assert len(layout.features[0].edges) == FINE_BINS + 1
    assert layout.features[0].edges[0] == values.min()
    assert layout.prediction.kind is Kind.NUMERIC
    profile = profile_frame(frame, layout, prediction="answer")
    assert profile.sketches[0].out_of_range == 0
    inner = profile.sketches[0].counts[1:-1]
    assert inner.min() >= 40
    assert inner.max() <= 60
    expected, _ = np.histogram(values, layout.features[0].edges)
    assert inner.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([True, False, True], Kind.CATEGORICAL),
        (["yes", "no", "no"], Kind.CATEGORICAL),
        ([0.0, 1.0, 2.0], Kind.CATEGORICAL),
        ([0.5, 1.0, 2.0], Kind.NUMERIC),
        (pd.Categorical(["a", "b", "a"]), Kind.CATEGORICAL),
    ],
)
def test_answers_are_classes_or_numbers(answers, kind):
    frame = pd.DataFrame({"x": [1, 2, 3], "answer": answers})
    assert infer_layout(frame, prediction="answer").prediction.kind is kind


def test_labels_are_told_apart_by_truth_in_each_group():
    layout = infer_layout(FRAME, **ROLES)
    profile = profile_frame(FRAME, layout, prediction="answer", score="p", label="truth")
    assert profile.cells["f",].outcomes == {("1", "good"): 2}
    assert profile.cells["m",].outcomes == {("0", "bad"): 1, ("0", ""): 1}
    assert profile.cells["f",].scores["good"].sum() == 2
    assert profile.cells["m",].score_sums == {"bad": 0.1, "": 0.4}


def test_a_frame_without_answers_can_still_be_compared():
    layout = infer_layout(FRAME[["age"]])
    profile = profile_frame(FRAME, layout)
    assert profile.n == 4
    assert profile.prediction.n == 0
    assert profile.prediction.missing == 4


def test_a_signature_says_which_columns_are_features_and_of_what_kind():
    layout = infer_layout(FRAME, prediction="answer", signature=[("age", Kind.CATEGORICAL)])
    assert [(c.name, c.categories) for c in layout.features] == [("age", ("30", "40", "50"))]


def test_a_constant_column_and_a_column_without_values_have_a_place():
    frame = pd.DataFrame(
        {"one": [7.0] * 3, "none": [np.nan] * 3, "nothing": [None] * 3, "answer": [0, 1, 0]}
    )
    layout = infer_layout(frame, prediction="answer")
    assert layout.features[0].edges == (7.0, np.nextafter(7.0, np.inf))
    assert layout.features[1].edges == ()
    assert layout.features[2].categories == ()
    profile = profile_frame(frame, layout, prediction="answer")
    assert [sketch.missing for sketch in profile.sketches[:3]] == [0, 3, 3]


def test_numbers_too_large_to_square_count_as_infinite():
    frame = pd.DataFrame({"x": [1.0, 2.0, np.inf, -np.inf, 1e300], "answer": [0, 1, 0, 1, 0]})
    layout = infer_layout(frame, prediction="answer")
    assert layout.features[0].edges[:2] == (1.0, 2.0)
    sketch = profile_frame(frame, layout, prediction="answer").sketches[0]
    assert (sketch.n, sketch.below, sketch.above) == (2, 1, 2)
    assert np.isfinite(sketch.variance)


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1, None, 3], dtype=object),
        pd.Series([1.0, np.nan, 3.0], dtype="Float64"),
    ],
)
def test_numbers_of_any_dtype_are_numbers(series):
    frame = pd.DataFrame({"x": series, "answer": ["a", "b", "a"]})
    sketch = profile_frame(
        frame, infer_layout(frame, prediction="answer"), prediction="answer"
    ).sketches[0]
    assert (sketch.n, sketch.missing, sketch.mean) == (2, 1, 2.0)


@pytest.mark.parametrize("dtype", ["str", "category", "string", object])
def test_texts_of_any_dtype_are_labels(dtype):
    frame = pd.DataFrame({"x": pd.Series(["a", None, "b"], dtype=dtype), "answer": [1, 0, 1]})
    sketch = profile_frame(
        frame, infer_layout(frame, prediction="answer"), prediction="answer"
    ).sketches[0]
    assert (sketch.counts, sketch.missing) == ({"a": 1, "b": 1}, 1)


@pytest.mark.parametrize("dtype", ["boolean", object])
def test_truths_with_gaps_are_truths(dtype):
    frame = pd.DataFrame({"x": pd.Series([True, None, False], dtype=dtype), "answer": [1, 0, 1]})
    sketch = profile_frame(
        frame, infer_layout(frame, prediction="answer"), prediction="answer"
    ).sketches[0]
    assert (sketch.counts, sketch.missing) == ({"true": 1, "false": 1}, 1)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["41", "42", "x", "y"], "expected numbers"),
        ([True, False, True, True], "expected numbers"),
        (pd.date_range("2026", periods=4), "Timestamp"),
    ],
)
def test_a_feature_of_another_type_than_in_the_baseline_is_named(values, says):
    layout = infer_layout(FRAME, **ROLES)
    with pytest.raises(InputError, match=says) as caught:
        profile_frame(FRAME.assign(age=values), layout, prediction="answer", score="p")
    assert caught.value.where == "age"
    assert caught.value.fix


def test_a_boolean_column_with_other_numbers_is_named():
    layout = infer_layout(FRAME, **ROLES)
    with pytest.raises(InputError, match="expected a boolean, got 2") as caught:
        profile_frame(FRAME.assign(owner=[0, 1, 2, 1]), layout, prediction="answer", score="p")
    assert caught.value.where == "owner"


def test_a_missing_answer_is_named_and_counted():
    layout = infer_layout(FRAME, **ROLES)
    with pytest.raises(InputError, match="1 of 4 predictions are missing") as caught:
        profile_frame(
            FRAME.assign(answer=[1.0, None, 0, 1]), layout, prediction="answer", score="p"
        )
    assert caught.value.where == "answer"


def test_a_missing_column_is_named_with_the_nearest_that_is_there():
    with pytest.raises(MissingColumn, match="Did you mean answer"):
        infer_layout(FRAME, prediction="answr")
    layout = infer_layout(FRAME, **ROLES)
    with pytest.raises(MissingColumn) as caught:
        profile_frame(FRAME.drop(columns="sex"), layout, prediction="answer", score="p")
    assert caught.value.where == "sex"


def test_data_without_rows_features_or_answers_is_named():
    with pytest.raises(EmptyData, match="no rows"):
        infer_layout(FRAME.iloc[:0], prediction="answer")
    with pytest.raises(EmptyData, match="no rows"):
        profile_frame(FRAME.iloc[:0], infer_layout(FRAME, **ROLES), prediction="answer", score="p")
    with pytest.raises(EmptyData, match="feature"):
        infer_layout(FRAME[["answer"]], prediction="answer")
    with pytest.raises(EmptyData, match="answer: all values are missing"):
        infer_layout(FRAME.assign(answer=None), prediction="answer")


def test_values_that_are_no_labels_are_named():
    frame = pd.DataFrame({"x": [["a"], ["b"]], "answer": [0, 1]})
    with pytest.raises(InputError, match="values of type list") as caught:
        infer_layout(frame, prediction="answer")
    assert caught.value.where == "x"


def test_a_name_that_no_event_could_carry_is_refused():
    with pytest.raises(InputError, match="cannot stand in an event"):
        infer_layout(pd.DataFrame({'say "no"': [1, 2], "answer": [0, 1]}), prediction="answer")


INSTANT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([INSTANT]),
        pd.Series([INSTANT]).dt.tz_convert("Asia/Tokyo"),
        pd.Series([INSTANT]).dt.tz_localize(None),
        [INSTANT.timestamp()],
        [int(INSTANT.timestamp())],
        ["2026-01-02T04:04:05+01:00"],
    ],
)
def test_times_are_read_however_they_are_written(values):
    assert frame_times(pd.DataFrame({"at": values}), "at").tolist() == [INSTANT.timestamp()]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["2026-01-02T04:04:05Z", None], "1 of 2 times are missing"),
        (["2026-01-02T04:04:05Z", "soon"], "row 1 holds 'soon'"),
        (["2026-01-02T04:04:05"], "RFC 3339 with an offset"),
    ],
)
def test_a_time_that_cannot_be_read_is_named(values, says):
    with pytest.raises(InputError, match=says):
        frame_times(pd.DataFrame({"at": values}), "at")

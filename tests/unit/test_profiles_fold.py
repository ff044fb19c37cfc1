from __future__ import annotations

import numpy as np
import pytest

from monitor.profiles.buffer import RowBuffer
from monitor.profiles.decoder import Decoded
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.profile import Profile
from monitor.profiles.sketch import NumericSketch
from monitor.profiles.vocabulary import Vocabulary, label_of

LAYOUT = Layout(
    features=(Column(name="x", kind=Kind.NUMERIC, edges=(0.0, 1.0)),),
    prediction=Column(name="prediction", kind=Kind.CATEGORICAL),
    groups=tuple("abcdefgh"),
)


def batch(vocabulary, n, seed=0):
    random = np.random.default_rng(seed)
    codes = [
        [known.learn(f"v{value}") for value in random.integers(0, 50, n).tolist()]
        for known in (*vocabulary.columns, *vocabulary.groups)
    ]
    rows = np.column_stack([random.normal(size=n), *codes])
    return Decoded(rows, np.zeros(n), vocabulary)


def test_many_attributes_with_many_values_do_not_overflow():
    vocabulary, profile = Vocabulary.of(LAYOUT), Profile.empty(LAYOUT)
    decoded = batch(vocabulary, 500)
    buffer = RowBuffer(profile)
    buffer.append(decoded)
    buffer.fold()
    labels = [known.labels for known in vocabulary.groups]
    found = {
        tuple(known[int(code)] for known, code in zip(labels, row[2:], strict=True))
        for row in decoded.rows
    }
    assert set(profile.cells) == found


@pytest.mark.parametrize("capacity", [1, 7, 256, 300, 5_000])
@pytest.mark.parametrize("column_major", [False, True])
def test_a_buffer_counts_each_chosen_row_once_whatever_its_size(capacity, column_major):
    vocabulary, profile = Vocabulary.of(LAYOUT), Profile.empty(LAYOUT)
    buffer = RowBuffer(profile, capacity)
    total, n = 0.0, 0
    for size in (0, 1, 300, 700):
        decoded = batch(vocabulary, size, seed=size)
        if column_major:
            columns = np.ascontiguousarray(decoded.rows.T)
            decoded = Decoded(columns.T, decoded.times, vocabulary)
        chosen = np.flatnonzero(decoded.rows[:, 0] > 0)
        total += decoded.rows[chosen, 0].sum() + decoded.rows[:, 0].sum()
        n += len(chosen) + size
        buffer.append(decoded, chosen)
        buffer.append(decoded)
    buffer.fold()
    assert buffer.waiting == 0
    assert profile.n == n
    assert profile.sketches[0].sums.sum() == pytest.approx(total)


def test_appending_leaves_the_decoded_rows_as_they_were():
    vocabulary = Vocabulary.of(LAYOUT)
    decoded = batch(vocabulary, 100)
    before = decoded.rows.copy()
    buffer = RowBuffer(Profile.empty(LAYOUT), 50)
    buffer.append(decoded)
    assert (decoded.rows == before).all()


def test_rows_of_two_vocabularies_share_a_profile():
    profile = Profile.empty(LAYOUT)
    buffer = RowBuffer(profile)
    for value in ("first", "second"):
        vocabulary = Vocabulary.of(LAYOUT)
        codes = [known.learn(value) for known in (*vocabulary.columns, *vocabulary.groups)]
        buffer.append(Decoded(np.array([[0.5, *codes]]), np.zeros(1), vocabulary))
    buffer.fold()
    assert profile.prediction.counts == {"first": 1, "second": 1}


def test_a_quiet_window_takes_little_memory():
    buffer = RowBuffer(Profile.empty(LAYOUT))
    buffer.append(batch(Vocabulary.of(LAYOUT), 10))
    assert buffer._columns.nbytes <= 256 * 10 * 8


@pytest.mark.parametrize("n", [5, 1_000])
def test_one_huge_outlier_does_not_wipe_out_the_sums_of_other_bins(n):
    values = np.linspace(0, 1, n, endpoint=False)
    sketch = NumericSketch.empty([0.0, 0.5, 1.0])
    sketch.add(np.append(values, -1e20))
    assert sketch.sums[1:3] == pytest.approx(
        [values[values < 0.5].sum(), values[values >= 0.5].sum()]
    )


def test_a_value_that_cannot_be_squared_counts_as_infinite():
    sketch = NumericSketch.empty([0.0, 1.0])
    sketch.add(np.array([1e300, -1e300, 1e308, 0.5, np.inf]))
    assert (sketch.n, sketch.below, sketch.above) == (1, 1, 3)
    assert np.isfinite(sketch.sum_of_squares)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        ("1", "1"),
        (2.5, "2.5"),
        (1e22, "1" + "0" * 22),
        (float("inf"), "inf"),
    ],
)
def test_a_value_has_one_label(value, label):
    assert label_of(value) == label

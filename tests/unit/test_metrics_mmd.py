"""Mean discrepancy of vectors: against the exact kernel, and under its null."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from monitor.metrics.drift.comparison import Comparison
from monitor.metrics.drift.mmd import MMD, eigenvalues, p_value, smallest_discrepancy, tail
from monitor.profiles.embedding import EmbeddingSketch, freeze_embedding


def sketch_of(embedding, vectors):
    sketch = EmbeddingSketch.empty(embedding)
    sketch.add(vectors.T)
    return sketch


def kernel(a, b, bandwidth):
    squares = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)
    return np.exp(-squares / (2 * bandwidth**2)).mean()


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("dimension", [1, 8, 50])
def test_the_squared_norm_is_the_exact_kernels_within_the_stated_error(dimension, shift):
    draw = np.random.default_rng(dimension)
    old = draw.normal(0, 1, (300, dimension))
    new = draw.normal(shift, 1, (250, dimension))
    embedding = freeze_embedding(old)
    a, b = sketch_of(embedding, old), sketch_of(embedding, new)
    width = embedding.bandwidth
    exact = kernel(old, old, width) + kernel(new, new, width) - 2 * kernel(old, new, width)
    # Each of D frequencies contributes |difference of characteristic functions|^2, in [0, 4].
    error = 3 * 2 * math.sqrt(exact) / math.sqrt(len(embedding.eigenvalues) / 2)
    assert float(((a.mean - b.mean) ** 2).sum()) == pytest.approx(exact, abs=error + 1e-3)


def test_without_drift_p_values_are_uniform():
    draw = np.random.default_rng(3)
    reference = draw.normal(0, 1, (4000, 5))
    embedding = freeze_embedding(reference)
    p_values = [
        p_value(
            Comparison(
                sketch_of(embedding, draw.normal(0, 1, (2000, 5))),
                sketch_of(embedding, draw.normal(0, 1, (200, 5))),
            )
        )
        for _ in range(300)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values) < 0.05) < 0.1


def test_a_shift_is_found_and_its_size_said():
    draw = np.random.default_rng(4)
    reference = draw.normal(0, 1, (4000, 5))
    embedding = freeze_embedding(reference)
    old = sketch_of(embedding, reference)
    values = []
    for shift in (0.0, 0.25, 0.5, 1.0):
        column = Comparison(old, sketch_of(embedding, draw.normal(shift, 1, (500, 5))))
        values.append(MMD.measure(column))
        assert (p_value(column) < 1e-6) is (shift > 0)
        seen = smallest_discrepancy(column, level=0.001)
        assert 0 < seen < 0.2
    assert values == sorted(values)
    assert values[0] < 0.05 < values[2]


def test_labels_may_swap_sides_and_nothing_drifts_from_itself():
    draw = np.random.default_rng(5)
    one, other = draw.normal(0, 1, (300, 3)), draw.normal(1, 1, (200, 3))
    embedding = freeze_embedding(one)
    a, b = sketch_of(embedding, one), sketch_of(embedding, other)
    assert MMD.measure(Comparison(a, b)) == MMD.measure(Comparison(b, a))
    assert MMD.measure(Comparison(a, a)) == 0.0
    assert p_value(Comparison(a, a)) == 1.0


def test_a_constant_vector_gives_sane_numbers():
    embedding = freeze_embedding(np.ones((50, 3)))
    old = sketch_of(embedding, np.ones((50, 3)))
    still = Comparison(old, sketch_of(embedding, np.ones((40, 3))))
    gone = Comparison(old, sketch_of(embedding, np.full((40, 3), 5.0)))
    assert (MMD.measure(still), p_value(still)) == (pytest.approx(0, abs=1e-9), 1.0)
    assert MMD.measure(gone) > 0.5
    assert p_value(gone) == 0.0
    assert smallest_discrepancy(gone, level=0.01) is None
    assert len(eigenvalues(gone)) == 0


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0] * 30, [5.0, 1.0, 0.2], 0.8 ** np.arange(60)], ids=len
)
def test_the_tail_is_that_of_simulated_sums(weights):
    weights = np.asarray(weights, float)
    draw = np.random.default_rng(6)
    sums = np.sort(draw.chisquare(1, (200_000, len(weights))) @ weights)
    for p in (0.5, 0.1, 0.01, 0.001):
        quantile = sums[int(len(sums) * (1 - p))]
        assert tail(weights, quantile) == pytest.approx(p, rel=0.25)

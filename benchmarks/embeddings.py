"""Vectors: false alarms without drift, what a shift shows, and what folding costs.

Windows of 16-dimensional vectors against a baseline of 20,000, judged by mean discrepancy alone.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, figure
from monitor.metrics.drift.comparison import Comparison
from monitor.metrics.drift.mmd import MMD, p_value
from monitor.policy.model import DriftRules
from monitor.profiles.embedding import EmbeddingSketch, freeze_embedding
from monitor.profiles.layout import Embedding

_DIMENSION, _REFERENCE = 16, 20_000

#: What a p-value must be below where one column is tested: q of warnings over three families.
_LEVEL = 0.005 / 3


def main(*, quick: bool) -> list[Figure]:
    """Judge windows with and without a shift."""
    draw = np.random.default_rng(20_261_121)
    reference = draw.normal(0, 1, (_REFERENCE, _DIMENSION))
    embedding = freeze_embedding(reference)
    old = _sketch(embedding, reference)
    figures: list[Figure] = []
    windows = 300 if quick else 3_000
    for n in (200, 1_000):
        columns = [_window(old, draw, n, 0.0) for _ in range(windows)]
        significant = sum(p_value(column) < _LEVEL for column in columns)
        most = 3 * windows * _LEVEL
        figures.append(
            figure(
                f"no_drift_n{n}_significant", significant, f"of {windows} windows", most, "at most"
            )
        )
        warned = sum(
            p_value(column) < _LEVEL and (MMD.measure(column) or 0) >= DriftRules().mmd.warn
            for column in columns
        )
        figures.append(
            figure(f"no_drift_n{n}_warned", warned, f"of {windows} windows", 0, "at most")
        )
    for shift, level in ((0.25, None), (0.5, DriftRules().mmd.block)):
        column = _window(old, draw, 1_000, shift)
        value = MMD.measure(column) or 0.0
        figures.append(figure(f"shift_{shift:g}_sd_n1000_mmd", value, "mmd", level))
    figures.append(_speed(draw, 1_000 if quick else 10_000))
    return figures


def _window(old: EmbeddingSketch, draw: np.random.Generator, n: int, shift: float) -> Comparison:
    vectors = draw.normal(shift, 1, (n, _DIMENSION))
    return Comparison(old, _sketch(old.embedding, vectors))


def _sketch(embedding: Embedding, vectors: NDArray[np.float64]) -> EmbeddingSketch:
    sketch = EmbeddingSketch.empty(embedding)
    sketch.add(vectors.T)
    return sketch


def _speed(draw: np.random.Generator, n: int) -> Figure:
    vectors = draw.normal(0, 1, (n, 384))
    sketch = EmbeddingSketch.empty(freeze_embedding(vectors[:1_000]))
    start = time.process_time()
    sketch.add(vectors.T)
    return figure("fold_384_dimensions", n / (time.process_time() - start), "vectors/s of CPU")

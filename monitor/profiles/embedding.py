"""What is kept of a vector column: the mean of its random Fourier features, which adds up like any count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import LayoutMismatch
from monitor.profiles.edges import LARGEST
from monitor.profiles.layout import Embedding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Frequencies drawn; each gives a cosine and a sine.
FREQUENCIES = 128

#: Vectors from which the bandwidth and the eigenvalues are estimated, at most.
_BANDWIDTH_SAMPLE, _EIGENVALUE_SAMPLE = 1_000, 20_000

#: So that the same reference data freeze the same frequencies.
_SEED = 20_261_121


def freeze_embedding(vectors: Floats) -> Embedding:
    r"""Return what a baseline freezes of a vector column.

    The kernel is Gaussian, its bandwidth the median distance between two vectors of the reference data. Frequencies
    are drawn from its spectrum, and the eigenvalues are those of the covariance of

    .. math:: z(x) = D^{-1/2} (\cos \omega_1 x, \dots, \cos \omega_D x, \sin \omega_1 x, \dots, \sin \omega_D x)

    Parameters
    ----------
    vectors
        Shape (n, d), n > 0; rows with a NaN are left out.

    References
    ----------
    Rahimi, A., and Recht, B. (2007). Random features for large-scale kernel machines. NeurIPS 20.
    Garreau, D., et al. (2017). Large sample analysis of the median heuristic.
    """
    known = vectors[_is_whole(vectors.T)]
    random = np.random.default_rng(_SEED)
    dimension = vectors.shape[1]
    bandwidth = _median_distance(_sample(known, _BANDWIDTH_SAMPLE, random))
    frequencies = random.standard_normal((FREQUENCIES, dimension)) / bandwidth
    # As they are stored: what is measured must not depend on whether a baseline was read back.
    stored = frequencies.astype("<f4")
    features = fourier_features(
        _sample(known, _EIGENVALUE_SAMPLE, random), stored.astype(np.float64)
    )
    eigenvalues: Floats = np.zeros(2 * FREQUENCIES)
    if len(features) > 1:
        eigenvalues = np.linalg.eigvalsh(np.cov(features, rowvar=False)).astype(np.float64)
    return Embedding(
        dimension=dimension,
        bandwidth=bandwidth,
        frequencies=stored.tobytes(),
        eigenvalues=tuple(np.maximum(eigenvalues[::-1], 0.0).tolist()),
    )


def fourier_features(vectors: Floats, frequencies: Floats) -> Floats:
    """Return each vector's random Fourier features, shape (n, 2 D): their inner products are about the kernel."""
    angles = vectors @ frequencies.T
    features: Floats = np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(len(frequencies))
    return features


@dataclass(slots=True)
class EmbeddingSketch:
    """Sum of the random Fourier features of a vector column.

    Attributes
    ----------
    embedding
        What the baseline froze; shared, never changed.
    frequencies
        Its frequencies, shape (D, d).
    sums
        Shape (2 D,).
    n, missing
        How many vectors were counted; how many were null, or had a component that is no finite number.

    Examples
    --------
    >>> sketch = EmbeddingSketch.empty(freeze_embedding(np.eye(3)))
    >>> sketch.add(np.array([[1.0, 0.0], [0.0, np.nan], [0.0, 0.0]])).tolist()
    [False, True]
    >>> sketch.n, sketch.missing, sketch.total
    (1, 1, 2)
    """

    embedding: Embedding
    frequencies: Floats
    sums: Floats
    n: int = 0
    missing: int = 0

    @classmethod
    def empty(cls, embedding: Embedding) -> EmbeddingSketch:
        """Return a sketch of nothing."""
        stored = np.frombuffer(embedding.frequencies, "<f4").astype(np.float64)
        frequencies = stored.reshape(-1, embedding.dimension)
        return cls(embedding, frequencies, np.zeros(2 * len(frequencies)))

    @property
    def total(self) -> int:
        """How many vectors, missing ones included."""
        return self.n + self.missing

    @property
    def mean(self) -> Floats:
        """Mean features, shape (2 D,): the kernel mean embedding; NaN of nothing."""
        return self.sums / self.n if self.n else np.full_like(self.sums, np.nan)

    def add(self, columns: Floats) -> NDArray[np.bool_]:
        """Count vectors in place, a column each, shape (d, n); return which are missing."""
        whole = _is_whole(columns)
        known = columns.T if whole.all() else columns.T[whole]
        if len(known):
            self.sums += fourier_features(known, self.frequencies).sum(axis=0)
        self.n += len(known)
        self.missing += columns.shape[1] - len(known)
        return ~whole

    def merge(self, other: EmbeddingSketch) -> EmbeddingSketch:
        """Return the sketch of both, leaving each as it was."""
        if self.embedding is not other.embedding and self.embedding != other.embedding:
            msg = "two sketches of one column have different frequencies"
            raise LayoutMismatch(msg)
        return EmbeddingSketch(
            self.embedding,
            self.frequencies,
            self.sums + other.sums,
            self.n + other.n,
            self.missing + other.missing,
        )


def _is_whole(columns: Floats) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = np.all(np.abs(columns) < LARGEST, axis=0)
    return whole


def _sample(vectors: Floats, most: int, random: np.random.Generator) -> Floats:
    if len(vectors) <= most:
        return vectors
    return vectors[random.choice(len(vectors), most, replace=False)]


def _median_distance(vectors: Floats) -> float:
    """Return the median distance of two different vectors; 1 where all are the same."""
    squares = (vectors**2).sum(axis=1)
    gaps = squares[:, None] + squares[None, :] - 2 * vectors @ vectors.T
    apart = gaps[np.triu_indices(len(vectors), 1)]
    apart = apart[apart > 1e-12 * max(float(squares.max(initial=0.0)), 1e-300)]
    return float(np.sqrt(np.median(apart))) if len(apart) else 1.0

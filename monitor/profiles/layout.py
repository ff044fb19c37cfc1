"""Which columns a model version has, and how each is counted. Frozen with the baseline."""

from __future__ import annotations

import enum
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from monitor.profiles.edges import search_edges

if TYPE_CHECKING:
    from monitor.profiles.edges import Floats

#: Fine bins of a numeric column between its smallest and its largest baseline value.
FINE_BINS = 1024

#: How many distinct categories, group combinations or classes are told apart; the rest share `OTHER`.
CATEGORY_CAP = 1000
CELL_CAP = 1000

#: Labels of one feature over all cells, about: where there are many cells, each tells fewer of them apart.
_LABELS_CAP = 50_000

OTHER = "(other)"
MISSING = "(missing)"


def cell_cap(cells: int) -> int:
    """Return how many labels of a feature, or answers, each of so many cells tells apart.

    Examples
    --------
    >>> cell_cap(1), cell_cap(50), cell_cap(500)
    (1000, 1000, 100)
    """
    return min(CATEGORY_CAP, _LABELS_CAP // max(cells, 1))


def is_nameable(name: str) -> bool:
    """Whether a column of this name can stand in an event: no quotes, backslashes or control characters.

    Examples
    --------
    >>> is_nameable("years at address"), is_nameable('"; drop')
    (True, False)
    """
    return not any(character < " " or character in '"\\' for character in name)


class Kind(enum.StrEnum):
    """How a column is counted."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    EMBEDDING = "embedding"


class Embedding(Struct, frozen=True, kw_only=True):
    """What a baseline freezes of a vector column.

    Attributes
    ----------
    dimension
        How many numbers a vector has.
    bandwidth
        Of the Gaussian kernel: the median distance between two of the baseline's vectors.
    frequencies
        Drawn from the kernel's spectrum, shape (D, dimension): little-endian 4-byte floats.
    eigenvalues
        Of the covariance of the baseline's random Fourier features, largest first, shape (2 D,).
    """

    dimension: int
    bandwidth: float
    frequencies: bytes
    eigenvalues: tuple[float, ...]


class Column(Struct, frozen=True, kw_only=True, dict=True):
    """One feature, the score, or the prediction.

    Attributes
    ----------
    name
        As the events call it.
    kind
        Numeric columns have edges, vectors an embedding, the others categories.
    edges
        Strictly increasing. Bin 0 is below ``edges[0]`` (the smallest baseline value), bin i is
        ``[edges[i-1], edges[i])``, the last bin is at or above ``edges[-1]``, which lies just beyond the largest
        baseline value: so bin 0 and the last bin are empty in the baseline and hold what is out of range.
        Empty for a version without a baseline: then there is one bin.
    categories
        Those of the baseline, sorted; any other is *unseen*. Empty without a baseline.
    embedding
        Of a vector column; features only.
    """

    name: str
    kind: Kind
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    embedding: Embedding | None = None

    @cached_property
    def search(self) -> Floats:
        """The edges as `search_edges` gives them: looked up once, and kept for the next windows."""
        return search_edges(self.edges)

    @property
    def is_numeric(self) -> bool:
        """Whether values are numbers to be binned, rather than labels to be counted."""
        return self.kind is Kind.NUMERIC

    @property
    def is_label(self) -> bool:
        """Whether values are labels to be counted."""
        return self.kind in {Kind.CATEGORICAL, Kind.BOOLEAN}

    @property
    def dimension(self) -> int:
        """How many numbers one value has: 0 if it is no vector."""
        return 0 if self.embedding is None else self.embedding.dimension


class Layout(Struct, frozen=True, kw_only=True, dict=True):
    """The columns of one model version.

    Attributes
    ----------
    features
        In the order of the model's signature.
    prediction
        Named ``prediction``: categorical for a classifier, numeric for a regression.
    score
        Named ``score``, numeric; None if the model gives none.
    groups
        Protected attributes; their combinations are the cells of the group table.
    """

    features: tuple[Column, ...]
    prediction: Column
    score: Column | None = None
    groups: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Features, then score if there is one, then prediction: the order of a profile's sketches."""
        score = (self.score,) if self.score is not None else ()
        return (*self.features, *score, self.prediction)

    @property
    def is_classifier(self) -> bool:
        """Whether predictions are classes."""
        return not self.prediction.is_numeric

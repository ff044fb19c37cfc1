"""A model whose every change is known: twenty features, a score, answers, two protected attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitor.baselines import Baseline
from monitor.events import ModelVersion
from monitor.profiles.fold import fold
from monitor.profiles.frames import infer_layout
from monitor.profiles.layout import Layout
from monitor.profiles.profile import Profile
from monitor.profiles.vocabulary import Vocabulary

Floats = NDArray[np.float64]

#: The fault that a window has: changes its table in place, given which window after the first it is.
Fault = Callable[["Table", np.random.Generator, int], None]

SUBJECT = ModelVersion("credit", "7")
REFERENCE_ROWS = 20_000

LABELS: Mapping[str, tuple[str, ...]] = {
    "job": ("clerk", "craft", "farm", "nurse", "sales", "tech"),
    "purpose": ("car", "home", "other"),
    "region": tuple(f"r{i:02}" for i in range(12)),
    "town": tuple(f"t{i:02}" for i in range(50)),
    "plan": ("basic", "rare"),
    "owner": ("false", "true"),
    "urgent": ("false", "true"),
    "flagged": ("false", "true"),
    "prediction": ("0", "1"),
    "sex": ("man", "woman"),
    "race": ("asian", "black", "native", "other", "white"),
}
GROUPS = ("sex", "race")

_SHARES: Mapping[str, tuple[float, ...]] = {
    "job": (0.3, 0.2, 0.05, 0.15, 0.15, 0.15),
    "purpose": (0.5, 0.3, 0.2),
    "plan": (0.99, 0.01),
    "owner": (0.5, 0.5),
    "urgent": (0.9, 0.1),
    "flagged": (0.997, 0.003),
    "sex": (0.5, 0.5),
    "race": (0.1, 0.2, 0.02, 0.07, 0.61),
}


@dataclass(slots=True)
class Table:
    """Columns of n events: numbers as they are, labels as positions in `LABELS`; NaN where missing.

    Attributes
    ----------
    numbers, codes
        By column, shape (n,).
    """

    n: int
    numbers: dict[str, Floats] = field(default_factory=dict)
    codes: dict[str, Floats] = field(default_factory=dict)

    def is_label(self, name: str, label: str) -> NDArray[np.bool_]:
        """Tell which events have this label, shape (n,)."""
        return self.codes[name] == LABELS[name].index(label)


def draw(n: int, random: np.random.Generator) -> Table:
    """Return n events: skewed, heavy-tailed, rare, partly missing and related columns, as real ones are."""
    table = Table(n)
    normal = random.normal
    need = normal(size=n)
    table.numbers |= {
        "income": normal(size=n),
        "debt": 0.8 * need + 0.6 * normal(size=n),
        "savings": 0.8 * need + 0.6 * normal(size=n),
        "rating": normal(600, 50, n),
        "price": random.lognormal(8, 1, n),
        "rent": random.lognormal(6, 0.5, n),
        "ratio": random.random(n),
        "change": random.standard_t(3, n),
        "paid_late": np.where(random.random(n) < 0.7, 0.0, random.exponential(200, n)),
        "age": random.integers(18, 90, n).astype(np.float64),
        "household": np.minimum(random.geometric(0.35, n), 18) - 1.0,
    }
    table.numbers["alimony"] = _with_gaps(normal(400, 100, n), 0.2, random)
    table.numbers["rent"] = _with_gaps(table.numbers["rent"], 0.03, random)
    for name, shares in _SHARES.items():
        table.codes[name] = _pick(shares, n, random)
    for name in ("region", "town"):
        table.codes[name] = _pick(_zipf(len(LABELS[name])), n, random)
    table.codes["job"] = _with_gaps(table.codes["job"], 0.01, random)
    numbers = table.numbers
    # Some race's people are selected less often in the reference too: a standing gap, and no fault of a window.
    odds = 0.8 * numbers["income"] - 0.5 * numbers["debt"] - 0.2 * table.is_label("race", "black")
    score = 1 / (1 + np.exp(-odds - 0.5 * normal(size=n)))
    table.numbers["score"] = score
    table.codes["prediction"] = (score > 0.5).astype(np.float64)
    return table


@cache
def make_layout() -> Layout:
    """Return the layout that reference data freezes, drawn from a seed of its own."""
    frame = as_frame(draw(REFERENCE_ROWS, np.random.default_rng(20_261_121)))
    return infer_layout(frame, prediction="prediction", score="score", groups=GROUPS)


def as_frame(table: Table) -> pd.DataFrame:
    """Return the events as a data frame: labels as texts, truths as booleans."""
    frame = pd.DataFrame(table.numbers)
    for name, codes in table.codes.items():
        known = ~np.isnan(codes)
        labels = np.array(LABELS[name], object)[np.where(known, codes, 0).astype(np.intp)]
        labels = np.where(known, labels, None)
        is_truth = set(LABELS[name]) == {"false", "true"}
        frame[name] = labels == "true" if is_truth else labels
    return frame


def profile(table: Table, layout: Layout) -> Profile:
    """Count the events as every road does: the same fold, fed with columns."""
    vocabulary = Vocabulary.of(layout)
    shape = vocabulary.shape
    coded = [layout.columns[index].name for index in shape.coded]
    rows = [table.numbers[layout.columns[index].name] for index in shape.numbers]
    for name, known in zip((*coded, *layout.groups), vocabulary.all, strict=True):
        code_of = np.array([known.code(None), *map(known.code, LABELS[name])], np.float64)
        codes = table.codes[name]
        rows.append(code_of[np.where(np.isnan(codes), 0, codes + 1).astype(np.intp)])
    made = Profile.empty(layout)
    fold(made, vocabulary, np.stack(rows))
    return made


@cache
def make_baseline(seed: int = 20_261_121) -> Baseline:
    """Return the baseline of reference data drawn from a seed."""
    layout = make_layout()
    reference = profile(draw(REFERENCE_ROWS, np.random.default_rng(seed)), layout)
    return Baseline(SUBJECT.model, SUBJECT.version, reference, "1", "", {}, sha256="simulated")


def _pick(shares: tuple[float, ...] | Floats, n: int, random: np.random.Generator) -> Floats:
    cuts = np.cumsum(shares)[:-1]
    return np.searchsorted(cuts, random.random(n), side="right").astype(np.float64)


def _zipf(labels: int) -> Floats:
    weights = 1.0 / np.arange(1, labels + 1)
    return weights / weights.sum()


def _with_gaps(values: Floats, share: float, random: np.random.Generator) -> Floats:
    return np.where(random.random(len(values)) < share, np.nan, values)

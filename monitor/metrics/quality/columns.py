"""Checks of a column as a whole: constant, out of range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from monitor.metrics.false_discovery import discoveries
from monitor.metrics.proportions import surge_p_value
from monitor.metrics.quality.sentences import percent
from monitor.profiles.embedding import EmbeddingSketch
from monitor.profiles.sketch import CategorySketch, NumericSketch
from monitor.reports import Finding

if TYPE_CHECKING:
    from monitor.profiles.profile import Profile, Sketch

CONSTANT = "constant"
OUT_OF_RANGE = "out_of_range"


def constant_columns(reference: Profile, current: Profile, *, q: float) -> list[Finding]:
    """Find columns that hold one value only, where the baseline held several.

    Not those where one value is so common that the window may hold it alone by chance: its share in the baseline,
    to the power of the window's values, has to stay below q over the number of columns.
    """
    findings = []
    columns = reference.layout.features
    for (column, old), (_, new) in zip(reference.features, current.features, strict=True):
        value = _only_value(new)
        if value is None:
            continue
        n = new.total - new.missing
        if n < 2 or not old.total - old.missing or _only_value(old) is not None:
            continue
        share = _share(old, value)
        if n * math.log(max(share, 1e-300)) > math.log(q / len(columns)):
            continue
        shown = value if isinstance(value, str) else f"{value:g}"
        findings.append(
            Finding(
                check=CONSTANT,
                feature=column.name,
                share=1.0,
                baseline_share=share,
                sentence=f"feature {column.name} is constant: {shown} in all {n:,} values "
                f"({percent(share)} in the baseline)",
            )
        )
    return findings


def out_of_range_columns(
    reference: Profile, current: Profile, *, level: float, q: float
) -> list[Finding]:
    """Find numeric columns with more values outside the baseline's range than the level allows, and than chance."""
    asked = list(_outside(reference, current))
    if not asked:
        return []
    old, old_n, new, new_n = np.array([numbers for _, _, numbers in asked], np.float64).T
    stands = discoveries(surge_p_value(old, old_n, new, new_n), q)
    findings = []
    for (name, sketch, numbers), significant in zip(asked, stands, strict=True):
        count, n = numbers[2:]
        before = numbers[0] / numbers[1]
        if significant and count / n - before >= level:
            low, high = float(sketch.edges[0]), float(sketch.edges[-1])
            lowest = -math.inf if sketch.below else sketch.minimum
            highest = math.inf if sketch.above else sketch.maximum
            findings.append(
                Finding(
                    check=OUT_OF_RANGE,
                    feature=name,
                    share=count / n,
                    baseline_share=before,
                    sentence=f"feature {name} is outside the baseline's range, {low:g} to {high:g}, "
                    f"in {percent(count / n)} of {n:,} values: they reach from {lowest:g} to {highest:g}",
                )
            )
    return findings


def _outside(
    reference: Profile, current: Profile
) -> Iterator[tuple[str, NumericSketch, tuple[int, int, int, int]]]:
    for (column, old), (_, new) in zip(reference.features, current.features, strict=True):
        if not (isinstance(old, NumericSketch) and isinstance(new, NumericSketch)):
            continue
        old_n, new_n = old.total - old.missing, new.total - new.missing
        if old_n and new_n and len(old.edges):
            yield column.name, new, (old.out_of_range, old_n, new.out_of_range, new_n)


def _only_value(sketch: Sketch) -> float | str | None:
    """Return the one value that a sketch holds; None if it holds several, or none."""
    if isinstance(sketch, CategorySketch):
        held = [label for label, count in sketch.counts.items() if count]
        return held[0] if len(held) == 1 else None
    if isinstance(sketch, EmbeddingSketch):
        return None
    infinite = sketch.below or sketch.above
    return sketch.minimum if sketch.minimum == sketch.maximum and not infinite else None


def _share(sketch: Sketch, value: float | str) -> float:
    """Return a value's share, for a number that of its bin: at least its own."""
    if isinstance(sketch, CategorySketch):
        return sketch.counts.get(str(value), 0) / sketch.n
    assert isinstance(sketch, NumericSketch)  # of vectors no single value is known
    position = int(sketch.edges.searchsorted(float(value), side="right"))
    return int(sketch.counts[position]) / (sketch.total - sketch.missing)

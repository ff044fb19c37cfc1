"""Sketches and profiles for the tests of metrics, made as a baseline makes them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from monitor.profiles.cells import Cell
from monitor.profiles.layout import FINE_BINS, Column, Kind, Layout
from monitor.profiles.profile import Profile
from monitor.profiles.sketch import CategorySketch, NumericSketch

ANSWERS = Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1"))


def edges_of(values, bins=FINE_BINS):
    """Distinct quantiles of the finite values, the last one just beyond the largest."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    quantiles = np.unique(np.quantile(finite, np.linspace(0, 1, bins + 1)))
    distinct = np.unique(finite)
    inner = distinct if len(distinct) <= bins else quantiles[:-1]
    return tuple(np.append(inner, np.nextafter(finite.max(), np.inf)).tolist())


def numbers(edges, values):
    sketch = NumericSketch.empty(edges)
    sketch.add(np.array(values, float))
    return sketch


def number_pair(reference, current):
    edges = edges_of(reference)
    return numbers(edges, reference), numbers(edges, current)


def labels(categories, values, missing=0):
    sketch = CategorySketch(tuple(categories))
    sketch.add(Counter(values), missing)
    return sketch


def profile_of(layout, rows):
    """Count rows (dicts with every column's name and every protected attribute's) one by one, slowly and plainly."""
    sketches = []
    for column in layout.columns:
        values = [row[column.name] for row in rows]
        known = [value for value in values if value is not None]
        sketches.append(
            numbers(column.edges, [np.nan if value is None else value for value in values])
            if column.is_numeric
            else labels(column.categories, known, len(values) - len(known))
        )
    profile = Profile(layout, tuple(sketches), {}, len(rows))
    for row in rows:
        cell: Cell = profile.cell(tuple(row[attribute] for attribute in layout.groups))
        cell.add_outcomes({(row["prediction"], ""): 1})
        for position, column in enumerate(layout.features):
            value = row[column.name]
            cell.missing[position] += value is None
            cell.zeros[position] += value in (0, "0", "false")
            if value is not None and not column.is_numeric:
                cell.add_categories(column.name, {value: 1})
    return profile


def layout_of(*features, groups=()):
    return Layout(features=features, prediction=ANSWERS, groups=groups)

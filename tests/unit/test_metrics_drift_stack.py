"""Columns that are measured together, against each measured alone."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.baselines import Baseline
from monitor.metrics.drift import METRICS, ks, measure_drift
from monitor.metrics.drift.comparison import Comparison
from monitor.metrics.drift.psi import smallest_index
from monitor.metrics.drift.stack import stacks
from monitor.metrics.frozen import columns_of
from monitor.profiles.layout import Column, Kind
from monitor.profiles.profile import Profile
from tests.metrics_samples import ANSWERS, labels, layout_of, number_pair

N = 3_000


def pairs(rng, n):
    """Baseline and window of columns that a thousand, a hundred and forty bins, few quantile cells and infinities make unlike."""
    spiked = np.where(rng.random(N) < 0.6, 0.0, rng.exponential(size=N))
    columns = {
        "normal": (rng.normal(size=N), rng.normal(0.3, 1.2, n)),
        "wide": (rng.normal(size=N), rng.normal(0, 10, n)),
        "whole": (rng.integers(0, 100, N), rng.integers(0, 140, n)),
        "narrow": (rng.integers(0, 40, N), rng.integers(0, 30, n)),
        "spiked": (spiked, rng.permutation(spiked)[:n]),
        "infinite": (
            np.append(rng.normal(size=N), [np.inf, -np.inf]),
            np.append(rng.normal(size=n), [np.inf] * 9),
        ),
        "late": (1.7e9 + rng.random(N), 1.7e9 + rng.random(n)),
        "codes": (rng.integers(0, 5, N), rng.integers(0, 5, n)),
    }
    return {name: number_pair(*sides) for name, sides in columns.items()}


@pytest.mark.parametrize("n", [20, 2_000])
def test_columns_measured_together_have_the_numbers_that_each_has_alone(n):
    sides = pairs(np.random.default_rng(7), n)
    layout = layout_of(
        *(
            Column(name=name, kind=Kind.NUMERIC, edges=tuple(old.edges.tolist()))
            for name, (old, _) in sides.items()
        )
    )
    answers = labels(ANSWERS.categories, ["0", "1"] * 50)
    reference, current = (
        Profile(layout, (*(pair[side] for pair in sides.values()), answers), {}, 100)
        for side in (0, 1)
    )
    together, _ = measure_drift(reference, current, q=0.01)
    for column in together:
        alone = Comparison(*sides[column.feature])
        for name, metric in METRICS.items():
            if metric.applies(Kind.NUMERIC):
                expected = metric.measure(alone)
                assert getattr(column, name) == pytest.approx(expected, rel=1e-9, abs=1e-12), name
        assert column.p_value == pytest.approx(ks.p_value(alone), rel=1e-9)
        assert column.smallest_effect == pytest.approx(
            smallest_index(alone, level=0.01 / len(sides))
        )


def test_what_needs_its_cells_joined_or_has_a_cell_per_value_is_measured_alone():
    sides = pairs(np.random.default_rng(7), 2_000)
    columns = enumerate(Comparison(*pair) for pair in sides.values())
    laid = {list(sides)[number] for numbers, _ in stacks(columns) for number in numbers}
    assert laid == sides.keys() - {"codes"}
    few = enumerate(Comparison(*pair) for pair in pairs(np.random.default_rng(7), 20).values())
    assert list(stacks(few)) == []


def test_a_baseline_keeps_what_is_made_of_its_columns():
    old, _ = pairs(np.random.default_rng(7), 20)["normal"]
    column = Column(name="normal", kind=Kind.NUMERIC, edges=tuple(old.edges.tolist()))
    profile = Profile(layout_of(column), (old, labels(("0", "1"), "01")), {}, N)
    baseline = Baseline("credit", "1", profile, "1", "", {})
    assert columns_of(baseline) is columns_of(baseline)
    assert columns_of(baseline)[0].starts is columns_of(baseline)[0].starts
    assert baseline == Baseline("credit", "1", profile, "1", "", {})

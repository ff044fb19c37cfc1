"""The compiled count of numbers is the one that NumPy makes, whatever the edges."""

from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monitor.profiles import fold
from monitor.profiles.edges import LARGEST, search_edges
from monitor.profiles.grid import Grid, count, grid_of
from monitor.profiles.sketch import NumericSketch
from tests.profile_roads import LAYOUT, by_rows, close, labels, rows
from tests.profile_roads import facts as profile_facts

ordinary = st.floats(-1e6, 1e6)
finite = st.floats(allow_nan=False, allow_infinity=False)
edges = st.one_of(
    st.lists(st.integers(-8, 8).map(float) | ordinary, max_size=12),
    st.lists(finite.filter(lambda x: abs(x) < LARGEST), max_size=60),
    st.integers(1, 500).map(lambda n: np.linspace(-3, 3, n).tolist()),
    st.integers(1, 500).map(lambda n: np.exp(np.linspace(-50, 50, n)).tolist()),
).map(lambda numbers: sorted({number + 0.0 for number in numbers}))


@st.composite
def columns(draw):
    """Draw edges and values, of which some are edges, or next to one."""
    inner = draw(edges)
    near = [np.nextafter(edge, way) for edge in inner[:50] for way in (-np.inf, edge, np.inf)]
    odd = [np.nan, np.inf, -np.inf, LARGEST, -2 * LARGEST, 0.0, -0.0]
    values = draw(st.lists(ordinary | finite | st.sampled_from([*near, *odd]), max_size=80))
    return inner, np.array(values)


def facts(sketch):
    return [
        sketch.counts.tolist(),
        [sketch.missing, sketch.below, sketch.above],
        [sketch.minimum, sketch.maximum],
    ]


@example(([0.0, 5e-324, 1e-320], np.array([0.0, 5e-324, 1e-322, 1.0])))  # no step is so small
@example(([-1e308, 0.0, 1e308], np.array([0.0, 1.0, -1.0])))  # nor so large
@given(columns())
def test_each_number_is_in_its_bin(drawn):
    inner, values = drawn
    quick, plain = NumericSketch.empty(inner), NumericSketch.empty(inner)
    cell_of = np.arange(len(values)) % 3
    missing, zeros = sum(count([quick], values[None], cell_of, 3)[0] for _ in range(2))
    plain.add(values.copy())
    plain.add(values.copy())
    assert facts(quick) == facts(plain)
    rounding = 1e-12 * np.abs(values[np.abs(values) < LARGEST]).sum()
    np.testing.assert_allclose(quick.sums, plain.sums, rtol=0, atol=2 * rounding)
    np.testing.assert_allclose(quick.sum_of_squares, plain.sum_of_squares, rtol=1e-9)
    for cell in range(3):
        own = values[cell_of == cell]
        assert missing[cell] == 2 * np.isnan(own).sum()
        assert zeros[cell] == 2 * (own == 0).sum()


@given(arrays(np.float64, st.integers(500, 1600), elements=st.floats(-4, 4) | st.just(np.nan)))
def test_blocks_make_one_column(values):
    quick, plain = (NumericSketch.empty(np.linspace(-3, 3, 300)) for _ in range(2))
    count([quick], values[None], np.zeros(len(values), np.int64), 1)
    plain.add(values.copy())
    assert facts(quick) == facts(plain)


def test_the_edges_of_a_long_tail_are_found_in_few_steps():
    random = np.random.default_rng(3)
    for values in (random.normal(size=10**5), random.lognormal(size=10**5), random.random(10**5)):
        inner = np.unique(np.quantile(values, np.linspace(0, 1, 1025)))
        assert Grid.of(search_edges(inner)).half <= 8


def test_a_grid_is_forgotten_with_its_edges():
    search = np.array([-LARGEST, 0.5, 7.25, LARGEST, np.nan])
    first = grid_of(search)
    assert grid_of(search) is first
    search = np.array([-LARGEST, 0.5, 2.0, 7.25, LARGEST, np.nan])
    assert grid_of(search).half == Grid.of(search).half
    assert len(grid_of(search).starts) == 6


@given(st.lists(rows(labels, labels), min_size=1, max_size=40))
def test_without_numba_numbers_are_counted_as_before(parts):
    assert fold._compiled() is count
    quick = by_rows(LAYOUT, parts, "json")
    with mock.patch.object(fold, "_compiled", return_value=None):
        plain = by_rows(LAYOUT, parts, "json")
    assert close(profile_facts(quick), profile_facts(plain))

"""A creep is found, whenever it was; noise, a spike and a standing level are none."""

from __future__ import annotations

import numpy as np
import pytest
from river.drift import ADWIN, PageHinkley

from monitor.metrics.trend import RECENT, find_creep

CLEAN = 30


@pytest.fixture
def rng():
    return np.random.default_rng(20_261_121)


def found_after(reference, later, **rules):
    """How many later windows it takes; None if never."""
    for n in range(RECENT, len(later) + 1):
        if find_creep(reference, later[:n], **{"level": 0.5, **rules}) is not None:
            return n
    return None


def test_a_creep_of_a_twentieth_of_a_deviation_a_window_is_found_within_sixty(rng):
    found = [
        found_after(rng.normal(size=CLEAN), rng.normal(size=80) + 0.05 * np.arange(80))
        for _ in range(12)
    ]
    assert None not in found
    assert 25 <= np.median(found) <= 50
    assert max(found) <= 65


def test_noise_is_no_creep(rng):
    alarms = sum(
        find_creep(rng.normal(size=CLEAN), rng.normal(size=270), level=0.1) is not None
        for _ in range(300)
    )
    assert alarms <= 1


def test_one_wild_window_is_no_creep(rng):
    later = rng.normal(size=60)
    later[40] = 1e12
    assert found_after(rng.normal(size=CLEAN), later) is None


def test_a_creep_below_the_level_is_not_told(rng):
    reference = rng.normal(0, 0.01, CLEAN)
    later = rng.normal(0, 0.01, 100) + np.linspace(0, 0.2, 100)
    assert find_creep(reference, later, level=0.25) is None
    assert find_creep(reference, later, level=0.15) is not None


def test_a_level_that_changed_long_ago_and_stayed_is_still_told(rng):
    reference, later = rng.normal(size=CLEAN), rng.normal(4, 1, 270)
    creep = find_creep(reference, later, level=1)
    assert creep is not None
    assert creep.now - creep.before == pytest.approx(4, abs=1.2)
    assert creep.windows > 250


def test_a_creep_that_went_back_is_over(rng):
    away, back = rng.normal(4, 1, 60), rng.normal(size=RECENT)
    reference = rng.normal(size=CLEAN)
    assert find_creep(reference, away, level=1) is not None
    assert find_creep(reference, [*away, *back], level=1) is None


def test_a_fall_counts_only_where_it_matters(rng):
    reference, later = rng.normal(size=CLEAN), rng.normal(-4, 1, 60)
    assert find_creep(reference, later, level=1, both_ways=False) is None
    assert find_creep(reference, later, level=1) is not None


def test_a_series_that_never_moved_while_clean_has_no_infinite_score():
    assert find_creep([0.0] * CLEAN, [0.0] * 50, level=0.01) is None
    creep = find_creep([0.0] * CLEAN, [0.0] * 20 + [0.02] * 30, level=0.01)
    assert creep is not None
    assert (creep.before, creep.now) == (0.0, 0.02)


@pytest.mark.parametrize(("reference", "later"), [(9, 50), (30, 9), (0, 0)])
def test_too_few_windows_say_nothing(reference, later):
    assert find_creep([0.0] * reference, [5.0] * later, level=1) is None


def test_it_is_first_noticed_where_rivers_detectors_first_fire(rng):
    reference, later = rng.normal(size=CLEAN), rng.normal(size=90) + 0.06 * np.arange(90)
    creep = find_creep(reference, later, level=1)
    low, middle, high = np.quantile(reference, [0.16, 0.5, 0.84])
    spread = max((high - low) / 2, reference.std(ddof=1))
    first = []
    for detector in (
        ADWIN(clock=1, grace_period=5, min_window_length=3),
        PageHinkley(min_instances=10, delta=0.5, threshold=10, alpha=1),
    ):
        for position, value in enumerate([*reference, *later]):
            detector.update(min(max((value - middle) / spread, -4), 4))
            if position >= CLEAN and detector.drift_detected:
                first.append(position)
                break
    assert creep is not None
    assert creep.windows == CLEAN + 90 - min(first)


def test_shift_and_unit_of_a_series_do_not_matter(rng):
    reference, later = rng.normal(size=CLEAN), rng.normal(size=70) + 0.06 * np.arange(70)
    plain = find_creep(reference, later, level=0.5)
    moved = find_creep(reference * 8 + 64, later * 8 + 64, level=4)
    assert plain is not None
    assert moved is not None
    assert moved.windows == plain.windows
    assert moved.now == pytest.approx(plain.now * 8 + 64)

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monitor.metrics.false_discovery import discoveries
from monitor.metrics.proportions import surge_p_value


@pytest.mark.parametrize("q", [0.001, 0.05, 0.2])
def test_the_same_p_values_stand_as_with_scipys_adjustment(q):
    rng = np.random.default_rng(5)
    for size in (1, 7, 40):
        for _ in range(50):
            p = rng.beta(0.3, 1, size)
            adjusted = stats.false_discovery_control(p, method="bh")
            assert discoveries(p, q).tolist() == (adjusted <= q).tolist()


def test_of_no_tests_none_stands():
    assert discoveries([], 0.05).tolist() == []
    assert discoveries([1.0, 0.9], 0.05).tolist() == [False, False]


def test_a_clean_window_of_twenty_alarms_in_a_share_q():
    rng = np.random.default_rng(7)
    alarms = np.mean([discoveries(rng.random(20), 0.05).any() for _ in range(4000)])
    assert alarms == pytest.approx(0.05, abs=0.015)


def test_a_surge_has_scipys_binomial_tail():
    old, old_n, new, n = 12, 5000, 9, 400
    truth = stats.binomtest(new, old + new, n / (old_n + n), alternative="greater").pvalue
    assert float(surge_p_value(old, old_n, new, n)) == pytest.approx(truth)


def test_a_surge_of_nothing_is_none():
    assert surge_p_value([0, 5], [100, 100], [0, 0], [100, 100]).tolist() == [1.0, 1.0]


def test_a_surge_is_seldom_seen_where_there_is_none():
    rng = np.random.default_rng(11)
    for share in (0.001, 0.05, 0.5):
        old, new = rng.binomial(10_000, share, 20_000), rng.binomial(200, share, 20_000)
        assert (surge_p_value(old, 10_000, new, 200) < 0.01).mean() < 0.0115

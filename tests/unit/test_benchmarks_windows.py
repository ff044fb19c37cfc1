"""What the benchmarks plant is what they say, and what they judge goes through the engine."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.faults import (
    SCORE_DEVIATION,
    Planted,
    creep,
    lose_category,
    lose_values,
    null_as_zero,
    parity_gap,
    shift,
)
from benchmarks.judged import judged_windows
from benchmarks.world import GROUPS, draw, make_baseline, profile
from monitor.reports import Severity, Status

N = 50_000


@pytest.fixture
def table():
    return draw(N, np.random.default_rng(5))


def plant(fault, table, window=0):
    fault(table, np.random.default_rng(6), window)
    return table


def test_the_world_has_twenty_features_a_score_and_two_attributes():
    layout = make_baseline().layout
    assert len(layout.features) == 20
    assert layout.score is not None
    assert layout.groups == GROUPS


def test_a_table_is_counted_as_it_was_drawn(table):
    counted = profile(table, make_baseline().layout)
    assert counted.n == sum(cell.n for cell in counted.cells.values()) == N
    sketches = {column.name: sketch for column, sketch in counted.features}
    assert sketches["income"].mean == pytest.approx(table.numbers["income"].mean())
    assert sketches["alimony"].missing == np.isnan(table.numbers["alimony"]).sum()
    assert sketches["job"].counts["sales"] == table.is_label("job", "sales").sum()
    assert counted.prediction.counts["1"] == table.is_label("prediction", "1").sum()
    women = sum(cell.n for (sex, _), cell in counted.cells.items() if sex == "woman")
    assert women == table.is_label("sex", "woman").sum()


def test_faults_have_the_size_that_they_say(table):
    mean = table.numbers["income"].mean()
    assert plant(shift(0.5), table).numbers["income"].mean() == pytest.approx(mean + 0.5)
    savings = plant(lose_values, table).numbers["savings"]
    assert np.isnan(savings).mean() == pytest.approx(0.05, abs=0.005)
    assert not plant(lose_category, table).is_label("job", "sales").any()
    women = table.is_label("sex", "woman")
    rate = table.codes["prediction"][women].mean()
    plant(parity_gap(0.2), table)
    assert table.codes["prediction"][women].mean() == pytest.approx(rate - 0.2, abs=0.01)
    assert table.numbers["score"].std() == pytest.approx(SCORE_DEVIATION, abs=0.005)


def test_a_creep_grows_with_the_window(table):
    mean = table.numbers["score"].mean()
    assert plant(creep(0.01), table).numbers["score"].mean() == mean
    plant(creep(0.01), table, window=10)
    assert table.numbers["score"].mean() == pytest.approx(mean + 0.1 * SCORE_DEVIATION, abs=0.003)


def test_a_null_sent_as_zero_by_one_group_is_found_in_the_first_window_and_named():
    fault = Planted(null_as_zero, "alimony", {"race": "not white"})
    (judged,) = judged_windows(make_baseline(), 1000, 1, seed=3, fault=fault.fault)
    assert fault.warned(judged)
    assert not fault.told(judged)
    surge = next(f for f in judged.report.quality if f.feature == "alimony")
    assert "surge of value 0 in feature alimony among race = not white" in surge.sentence


def test_a_shift_is_told_in_its_third_window():
    fault = Planted(shift(1.0), "income")
    windows = [*judged_windows(make_baseline(), 1000, 3, seed=3, fault=fault.fault)]
    assert [fault.told(judged) for judged in windows] == [False, False, True]


def test_windows_without_a_fault_pass():
    windows = [*judged_windows(make_baseline(), 1000, 12, seed=3)]
    assert {judged.report.status for judged in windows} == {Status.OK}
    assert [judged.report.severity for judged in windows] == [Severity.PASS] * 12

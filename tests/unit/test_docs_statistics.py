"""docs/statistics.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy import special

from monitor.metrics.drift import METRICS
from monitor.metrics.fairness.measures import CALIBRATION, IMPACT, MEAN_GAPS, SHARE_GAPS
from monitor.metrics.performance import Outcome, measure_performance
from monitor.metrics.quality.columns import CONSTANT, OUT_OF_RANGE
from monitor.metrics.quality.events import ABSENT, DUPLICATES, FOREIGN, TYPE_CHANGE
from monitor.metrics.quality.questions import CATEGORY_SURGE, MISSING_SURGE, UNSEEN, ZERO_SURGE
from monitor.policy.model import ModelPolicy
from monitor.reports import ColumnDrift

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "statistics.md").read_text()
NO_MEASURE = {"feature", "kind", "severity", "significant", "p_value", "warn", "block"}


def performance_measures() -> set[str]:
    texts, numbers, scores = np.array(["1", "0", "1", "0"]), np.arange(4.0), np.full(4, 0.5)
    classifier = Outcome(texts, texts, scores, ("0", "1"), "1")
    regression = Outcome(numbers, numbers + 1, None, (), None)
    return {*measure_performance(classifier, 1.96), *measure_performance(regression, 1.96)}


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            *METRICS,
            *(field.name for field in msgspec.structs.fields(ColumnDrift)),
            *SHARE_GAPS,
            *(IMPACT, CALIBRATION, *MEAN_GAPS),
            *(TYPE_CHANGE, ABSENT, FOREIGN, DUPLICATES),
            *(CONSTANT, OUT_OF_RANGE, CATEGORY_SURGE, MISSING_SURGE, UNSEEN, ZERO_SURGE),
            *performance_measures(),
        }
        - NO_MEASURE
    ),
)
def test_every_measure_is_explained(name):
    assert f"`{name}`" in PAGE


def test_the_levels_are_the_defaults():
    policy = ModelPolicy()
    levels = [
        policy.drift.psi,
        policy.drift.ks,
        policy.drift.mmd,
        policy.drift.prediction_psi,
        policy.fairness.demographic_parity_difference,
        policy.fairness.difference,
        policy.quality.missing_surge,
        policy.quality.zero_surge,
        policy.quality.unseen,
        policy.quality.out_of_range,
        policy.quality.type_change,
        policy.quality.duplicates,
        policy.performance.drop,
        policy.performance.growth,
    ]
    table = PAGE.partition("## When is it called a breach?")[2].partition("\n## ")[0]
    for level in levels:
        assert f"{level.warn:g} / {level.block:g}" in table
    trend = policy.trend
    assert f"severe {policy.drift.prediction_severe:g}" in table
    assert f"below {policy.fairness.disparate_impact:g}" in table
    for value in (trend.mean, trend.feature_psi, trend.prediction_psi, trend.missing):
        assert f"{value:g}" in table
    rates = policy.false_discovery
    assert f"{rates.warn:g} for warnings and {rates.block:g} for blocks" in table
    assert f"`minimum_group_size` ({policy.fairness.minimum_group_size})" in table
    assert f"`min_events` ({policy.windows.min_events})" in table


def test_the_smallest_effects_are_what_the_formula_gives():
    q, cells, columns, reference = ModelPolicy().false_discovery.warn / 3, 10, 20, 20_000
    least = float(special.chdtri(cells - 1, q / columns)) - (cells - 1)
    said = re.search(r"that is ([\d.]+) for 200 events, ([\d.]+) for 1,000, ([\d.]+) for", PAGE)
    assert said is not None
    for number, n in zip(said.groups(), (200, 1_000, 10_000), strict=True):
        assert float(number) == pytest.approx(least * (1 / n + 1 / reference), rel=0.03)


def test_the_files_that_it_names_are_there():
    places = re.findall(r"`((?:monitor|tests)/[\w/.*]+)`", PAGE)
    places += [f"docs/{link}" for link in re.findall(r"\]\(([\w/.-]+\.md)\)", PAGE)]
    assert places
    for place in places:
        assert list(REPOSITORY.glob(place.rstrip("/"))), place

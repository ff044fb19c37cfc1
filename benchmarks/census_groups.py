"""How often the fairness rules alarm for nothing, and how often they find a fault.

Part of ``python -m benchmarks false_alarms``: the census data's nine raw RAC1P groups in windows of 1,500 rows,
shuffled within year, clean and with the demo's fault (MIL is 0 for all whose RAC1P is not 1); then two simulated groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.figures import Figure, Want, figure
from monitor.metrics.fairness import ExcessGap, excess_gap, measure_fairness
from monitor.policy.model import FalseDiscovery
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.profile import Profile

CENSUS = Path(__file__).parents[1] / "examples" / "census"
FEATURES = [
    *("AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT"),
    *("MIG", "MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM"),
]
WINDOW = 1500
WARN, BLOCK, CONSECUTIVE = 0.05, 0.15, 3
#: Of one window: the policy's rate of false discoveries, shared by parity and impact; and of a streak's proof.
CONFIDENCE, PROOF = 1 - FalseDiscovery().warn / 2, 1 - FalseDiscovery().rollback
RACE = ("RAC1P",)
PREDICTION = Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1"))
LAYOUT = Layout(features=(), prediction=PREDICTION, groups=RACE)

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Census:
    """The reference's profile, and production's groups with the model's answers, clean and with the fault."""

    reference: Profile
    year: Integers
    group: Integers
    clean: Integers
    faulty: Integers


@dataclass(frozen=True, slots=True)
class Windows:
    """What was measured in the windows of one stream, in order.

    Attributes
    ----------
    excess, judged
        Of each window: at 95 %, and at the confidence of the rule for one window by itself.
    merged
        Of each run of three, at the confidence of a rollback's proof.
    """

    plain: NDArray[np.float64]
    excess: list[ExcessGap]
    judged: list[ExcessGap]
    merged: list[ExcessGap]

    @property
    def alone(self) -> int:
        """How many windows' own lower limit of the excess is above the block level."""
        return sum((gap.lower or 0.0) > BLOCK for gap in self.excess)

    @property
    def blocked(self) -> int:
        """How many windows pass the rule for one window by itself: estimate past block, limit past warn."""
        return sum((g.value or 0.0) >= BLOCK and (g.lower or 0.0) > WARN for g in self.judged)

    @property
    def rollbacks(self) -> int:
        """How many runs of windows pass the whole rule: each estimate past the block level, merged limit past warn."""
        return sum(
            min(run) > BLOCK and (merged.lower or 0.0) > WARN
            for run, merged in zip(self._runs(), self.merged, strict=True)
        )

    def _runs(self) -> Iterator[list[float]]:
        values = [gap.value or 0.0 for gap in self.excess]
        for last in range(CONSECUTIVE, len(values) + 1):
            yield values[last - CONSECUTIVE : last]


def load_census() -> Census:
    """Train the demo's model on the even ids of 2015, and let it answer for everyone."""
    reference = pd.read_parquet(CENSUS / "reference.parquet")
    production = pd.read_parquet(CENSUS / "production.parquet")
    train, held_out = reference[reference.id % 2 == 0], reference[reference.id % 2 == 1]
    model = HistGradientBoostingClassifier(max_iter=80, random_state=0)
    model.fit(train[FEATURES], train.employed)
    broken = production[FEATURES].copy()
    broken.loc[production.RAC1P != 1, "MIL"] = 0
    return Census(
        profile_of(held_out.RAC1P.to_numpy(np.int64), model.predict(held_out[FEATURES])),
        production.year.to_numpy(np.int64),
        production.RAC1P.to_numpy(np.int64),
        model.predict(production[FEATURES]).astype(np.int64),
        model.predict(broken).astype(np.int64),
    )


def profile_of(groups: Integers, answers: NDArray[np.integer]) -> Profile:
    """Count people by group and answer."""
    profile = Profile.empty(LAYOUT)
    counts = np.bincount(groups * 2 + answers)
    for code in np.flatnonzero(counts).tolist():
        group, answer = divmod(code, 2)
        profile.cell((str(group),)).add_outcomes({(str(answer), ""): int(counts[code])})
    profile.n = len(groups)
    return profile


def windows_of(census: Census, answers: Integers, seed: int) -> Windows:
    """Cut production into windows, shuffled within year, and measure each, and each run of three merged."""
    random = np.random.default_rng(seed)
    order = np.concatenate(
        [random.permutation(np.flatnonzero(census.year == year)) for year in np.unique(census.year)]
    )
    starts = range(0, len(order) - WINDOW + 1, WINDOW)
    profiles = [
        profile_of(census.group[rows], answers[rows])
        for rows in (order[start : start + WINDOW] for start in starts)
    ]
    pairs = [first.merge(second) for first, second in pairwise(profiles)]
    runs = [pair.merge(third) for pair, third in zip(pairs, profiles[2:], strict=False)]
    return Windows(
        np.array([_plain_gap(profile) for profile in profiles]),
        [excess_gap(census.reference, profile, RACE) for profile in profiles],
        [excess_gap(census.reference, p, RACE, confidence=CONFIDENCE) for p in profiles],
        [excess_gap(census.reference, profile, RACE, confidence=PROOF) for profile in runs],
    )


def _plain_gap(profile: Profile, minimum: int = 30) -> float:
    rates = [cell.count("1") / cell.n for cell in profile.cells.values() if cell.n >= minimum]
    return max(rates) - min(rates)


def figures_of_census(*, quick: bool) -> Iterator[Figure]:
    """Measure the census's nine groups, then two simulated ones."""
    yield from _census(range(1 if quick else 8))
    yield from _two_group_rule(100 if quick else 1000)
    yield from _ratio_rule(100 if quick else 500)


def _census(seeds: Sequence[int]) -> Iterator[Figure]:
    census = load_census()
    clean = [windows_of(census, census.clean, seed) for seed in seeds]
    faulty = [windows_of(census, census.faulty, seed) for seed in seeds]
    plain = np.concatenate([stream.plain for stream in clean])
    windows, runs = len(plain), sum(len(stream.merged) for stream in clean)

    def share(name: str, count: int, of: int, target: float) -> Figure:
        want: Want = "at least" if target else "at most"
        return figure(f"census_{name}", count / of, f"of {of:,}", target, want)

    yield figure("census_clean_plain_gap_past_block", float((plain > BLOCK).mean()), "share")
    yield figure("census_clean_plain_gap_median", float(np.median(plain)), "gap")
    yield share("clean_excess_limit_past_block", sum(s.alone for s in clean), windows, 0)
    yield share("fault_excess_limit_past_block", sum(s.alone for s in faulty), windows, 1)
    yield share("clean_blocked", sum(s.blocked for s in clean), windows, 0)
    yield share("fault_blocked", sum(s.blocked for s in faulty), windows, 1)
    yield share("clean_rollbacks", sum(s.rollbacks for s in clean), runs, 0)
    yield share("fault_rollbacks", sum(s.rollbacks for s in faulty), runs, 1)


def _two_group_rule(trials: int) -> Iterator[Figure]:
    random = np.random.default_rng(1)
    reference = _two_groups(random, (27_000, 6_000), (0.5, 0.5))
    wanted: tuple[tuple[float, float, Want], ...] = (
        (0.20, 0.75, "at least"),
        (0.10, 0.005, "at most"),
        (0.0, 0.0, "at most"),
    )
    for gap, target, want in wanted:
        found = 0
        for _ in range(trials):
            run = [_two_groups(random, (1224, 276), (0.5, 0.5 - gap)) for _ in range(CONSECUTIVE)]
            values = [excess_gap(reference, window, RACE).value or 0.0 for window in run]
            if min(values) > BLOCK:
                merged = run[0].merge(run[1]).merge(run[2])
                proof = excess_gap(reference, merged, RACE, confidence=PROOF)
                found += (proof.lower or 0.0) > WARN
        unit = f"of {trials:,} runs"
        yield figure(f"two_groups_rollback_gap_{gap:.2f}", found / trials, unit, target, want)


def _ratio_rule(trials: int) -> Iterator[Figure]:
    random = np.random.default_rng(2)
    plain = breaches = 0
    for _ in range(trials):
        window = _two_groups(random, (1200, 300), (0.01, 0.01))
        impact = measure_fairness(None, window)[1]
        plain += impact.value is not None and impact.value < 0.8
        breaches += impact.upper is not None and impact.upper < 0.8
    unit = f"of {trials:,}"
    yield figure("equal_rates_plain_ratio_below_0.8", plain / trials, unit)
    yield figure("equal_rates_ratio_limit_below_0.8", breaches / trials, unit, 0, "at most")


def _two_groups(
    random: np.random.Generator, sizes: tuple[int, int], rates: tuple[float, float]
) -> Profile:
    answers = [random.random(size) < rate for size, rate in zip(sizes, rates, strict=True)]
    return profile_of(np.repeat([1, 2], sizes), np.concatenate(answers).astype(np.int64))

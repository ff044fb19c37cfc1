"""How many windows it takes until a planted fault is found, by window size.

The world of `false_alarms`, each window with the fault, through the engine's own state machine. *Warned* is the first
report that warns of the fault by name; *told* is the first verdict about it that notifies people or rolls back. Both are
medians over trials, each against a baseline of its own; infinite (null in JSON) where half of them found nothing within
the windows looked at. The creep comes after the clean windows that are the version's own normal. A change below the
policy's levels is to be significant and recorded, and to alarm nobody. Last, the same single windows judged by this
monitor, Evidently and NannyML as they come, the two in environments of their own under build/venvs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator

from benchmarks.census_drift import figures_of_raw_order
from benchmarks.faults import Planted, creep, planted
from benchmarks.figures import Figure, figure
from benchmarks.judged import Judged, judged_windows
from benchmarks.peers.compare import figures_of_peers
from benchmarks.world import make_baseline
from monitor.policy.model import TrendRules
from monitor.reports import Severity

SIZES = (200, 1_000, 10_000)

#: Windows looked at, with a sudden fault and with a creep.
SUDDEN, SLOW = 12, 90

#: Of the score's standard deviation, a window: the warn level of one window is 45 windows away.
STEP = 0.005


def main(*, quick: bool) -> list[Figure]:
    """Plant each fault in windows of each size."""
    figures: list[Figure] = []
    trials = 3 if quick else 12
    for name, fault in planted():
        for size in SIZES:
            runs = [_run(fault, size, trial) for trial in range(trials)]
            figures += _figures(f"{name}_n{size}", fault, runs, asked=size >= fault.needs)
    # Only as a trend: that one window's score is past the warn level by chance is no detection.
    slow = Planted(creep(STEP), "trend[", found_within=60)
    for size in SIZES[:1] if quick else SIZES:
        runs = [_run(slow, size, trial, slow=True) for trial in range(1 if quick else 5)]
        figures += _figures(f"creep_{STEP:g}_sd_a_window_n{size}", slow, runs, asked=True)
    figures += figures_of_raw_order(quick=quick)
    figures += figures_of_peers(quick=quick)
    return figures


def _run(fault: Planted, size: int, trial: int, *, slow: bool = False) -> list[Judged]:
    """Return the windows up to the first that people are told of."""
    windows = judged_windows(
        make_baseline(trial),
        size,
        SLOW if slow else SUDDEN,
        seed=1_000 + trial,
        fault=fault.fault,
        clean=TrendRules().reference if slow else 0,
    )
    run: list[Judged] = []
    for judged in windows:
        run.append(judged)
        if fault.told(judged):
            break
    return run


def _figures(
    name: str, fault: Planted, runs: list[list[Judged]], *, asked: bool
) -> Iterator[Figure]:
    windows = [judged for run in runs for judged in run]
    if fault.found_within is None:
        of = f"of {len(windows)}"
        yield figure(f"{name}_significant", _share(map(fault.significant, windows)), of)
        yield figure(f"{name}_warned", _share(map(fault.warned, windows)), of)
        blocked = _share(judged.report.severity is Severity.BLOCK for judged in windows)
        yield figure(f"{name}_blocked", blocked, of, 0 if asked else None, "at most")
        yield figure(f"{name}_told", _share(map(fault.told, windows)), of, 0, "at most")
        return
    warned = statistics.median(_first(map(fault.warned, run)) for run in runs)
    told = statistics.median(_first(map(fault.told, run)) for run in runs)
    target = fault.found_within if asked else None
    yield figure(f"{name}_warned", warned, "windows", target, "at most")
    yield figure(f"{name}_told", told, "windows")


def _first(found: Iterable[bool]) -> float:
    return next((number for number, is_found in enumerate(found, start=1) if is_found), math.inf)


def _share(answers: Iterable[bool]) -> float:
    return statistics.fmean(answers)

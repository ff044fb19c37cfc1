"""How often the monitor alarms where nothing is wrong, beside what fixed thresholds would have done.

Without drift: twenty features (some skewed, heavy-tailed, rare, related or partly missing), a score, two protected
attributes with a standing gap, a baseline of 20,000 events; each window goes through the engine's own state machine, so
streaks and slow trends are judged as in production. Each size's windows come against four baselines of their own, since
a baseline is a sample too. Then the census's nine groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.census_groups import figures_of_census
from benchmarks.figures import Figure, figure
from benchmarks.judged import Judged, judged_windows
from benchmarks.world import make_baseline
from monitor.policy.severity import is_block
from monitor.reports import Action, ColumnDrift, Family, Severity

BASELINES = 4

#: Windows of each size; together at least 10,000.
FULL = {200: 4_000, 1_000: 4_000, 10_000: 2_000}
QUICK = {200: 60, 1_000: 60, 10_000: 20}


def main(*, quick: bool) -> list[Figure]:
    """Judge windows without drift, and the census's."""
    figures: list[Figure] = []
    total: Counter[str] = Counter()
    for size, windows in (QUICK if quick else FULL).items():
        counts = _count(size, windows)
        total += counts
        figures += _rates(f"n{size}", counts)
    figures += _rates("all", total)
    figures.append(figure("all_windows", total["windows"], "windows", None if quick else 10_000))
    figures += figures_of_census(quick=quick)
    return figures


def _count(size: int, windows: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in range(BASELINES):
        baseline = make_baseline(seed)
        for judged in judged_windows(baseline, size, windows // BASELINES, seed=seed):
            counts["windows"] += 1
            counts.update(_alarms(judged))
    return counts


def _alarms(judged: Judged) -> Iterator[str]:
    report = judged.report
    if judged.asks_for(Action.ROLLBACK):
        yield "rollback"
    if judged.asks_for(Action.NOTIFY):
        yield "notify"
    if is_block(report.severity):
        yield "block"
    if report.severity is Severity.WARN:
        yield "warn"
    if any(breach.family is Family.TREND for breach in report.breaches):
        yield "trend"
    yield from fixed_thresholds(report.drift)


def fixed_thresholds(columns: Sequence[ColumnDrift]) -> Iterator[str]:
    """Judge the numeric features as tools with fixed thresholds do: PSI over ten bins, KS at 5 % each."""
    numbers = [column for column in columns if column.ks is not None]
    if any((column.psi_plain or 0.0) > 0.1 for column in numbers):
        yield "plain_psi"
    if any((column.p_value or 0.0) < 0.05 for column in numbers):
        yield "plain_ks"


def _rates(name: str, counts: Counter[str]) -> Iterator[Figure]:
    def share(alarm: str, target: float | None = None) -> Figure:
        unit = f"of {counts['windows']:,}"
        return figure(f"{name}_{alarm}", counts[alarm] / counts["windows"], unit, target, "at most")

    yield share("rollback", 0.0)
    yield share("notify", 0.0)
    yield share("block", 0.001)
    yield share("warn", 0.01)
    yield share("trend")
    yield share("plain_psi")
    yield share("plain_ks")

"""What is remembered of a version's windows to see it creep, and what creeps."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from monitor.baselines import Baseline
from monitor.metrics.fairness.measures import PARITY
from monitor.metrics.trend import find_creep
from monitor.policy.evidence import favourable
from monitor.policy.grading import fairness_rule
from monitor.policy.model import ModelPolicy, TrendRules
from monitor.policy.severity import worst
from monitor.profiles.profile import Profile
from monitor.profiles.sketch import NumericSketch
from monitor.reports import Breach, ColumnDrift, Family, Report, Severity, Status, Window

#: Windows remembered after the reference ones.
REMEMBERED = 270

SCORE, ANSWER, SELECTION = "score_mean", "prediction_mean", "selection_rate"
FEATURE_PSI, PREDICTION_PSI, MISSING = "feature_psi", "prediction_psi", "missing"

_MEANS = frozenset({SCORE, ANSWER, SELECTION})

#: Whose breach says of one window what the series says of many; of all other series it is fairness.
_FAMILIES = {
    **dict.fromkeys(_MEANS, Family.PREDICTION),
    PREDICTION_PSI: Family.PREDICTION,
    FEATURE_PSI: Family.DRIFT,
    MISSING: Family.QUALITY,
}


class Point(Struct, frozen=True):
    """One window's part of every series.

    Attributes
    ----------
    values
        Means in the baseline's standard deviations from its mean; PSI above noise in nats; shares in [0, 1].
    """

    window: Window
    values: dict[str, float]


class History(Struct, frozen=True):
    """A version's first clean windows and its last ones: all that is needed to see a creep again after a restart.

    Attributes
    ----------
    reference
        The first windows that passed, as many as the policy asks for.
    later
        Windows since then, oldest first, the last few hundred of them.
    """

    reference: tuple[Point, ...] = ()
    later: tuple[Point, ...] = ()

    def add(self, point: Point, *, clean: bool, reference: int) -> History:
        """Return the history with a window in it, in place of an earlier revision or of windows merged into it."""
        first, later = _without(self.reference, point.window), _without(self.later, point.window)
        if len(first) < reference:
            return History(_in_order(*first, point), later) if clean else History(first, later)
        return History(first, _in_order(*later, point)[-REMEMBERED:])

    def until(self, window: Window) -> History:
        """Return the history as of the end of a window."""
        return History(
            tuple(point for point in self.reference if point.window.end <= window.end),
            tuple(point for point in self.later if point.window.end <= window.end),
        )


def remember(
    history: History,
    report: Report,
    current: Profile,
    baseline: Baseline | None,
    policy: ModelPolicy,
) -> History:
    """Return the history with the report's window, if it was judged."""
    if baseline is None or report.status is not Status.OK:
        return history
    point = Point(report.window, dict(_values(report, current, baseline, policy)))
    clean = report.severity is Severity.PASS
    return history.add(point, clean=clean, reference=policy.trend.reference)


def with_trends(report: Report, history: History, policy: ModelPolicy) -> Report:
    """Return the report with a warning for each series that has crept away by the end of its window.

    A series is left out where the window breaks a rule of its family by itself: that is told already.
    """
    past = history.until(report.window)
    if report.status is not Status.OK or len(past.reference) < policy.trend.reference:
        return report
    found = tuple(_creeping(report, past, policy.trend))
    if not found:
        return report
    return replace(
        report,
        breaches=(*report.breaches, *found),
        severity=worst((report.severity, Severity.WARN)),
    )


def _creeping(report: Report, past: History, rules: TrendRules) -> Iterator[Breach]:
    told = {breach.family for breach in report.breaches}
    for name in past.later[-1].values if past.later else ():
        level, family = _level(name, rules), _FAMILIES.get(name, Family.FAIRNESS)
        if family in told:
            continue
        creep = find_creep(
            _series(past.reference, name),
            _series(past.later, name),
            level=level,
            both_ways=name in _MEANS,
        )
        if creep is not None:
            yield Breach(
                rule=f"trend[{name}]",
                family=Family.TREND,
                severity=Severity.WARN,
                value=abs(creep.now - creep.before),
                threshold=level,
                sentence=f"{name} has crept from {creep.before:.3f} to {creep.now:.3f}"
                f"{_behind(name, report)}, first noticed {creep.windows} windows ago",
            )


def _behind(name: str, report: Report) -> str:
    """Return what a sentence adds: the unit, or the feature that stands out today."""
    if name in _MEANS:
        return " baseline standard deviations"
    if name == FEATURE_PSI and report.drift:
        return f", most in {max(report.drift, key=lambda column: column.psi or 0.0).feature}"
    if name == MISSING and report.drift:
        return f", most in {max(report.drift, key=_missing_growth).feature}"
    return ""


def _values(
    report: Report, current: Profile, baseline: Baseline, policy: ModelPolicy
) -> Iterator[tuple[str, float]]:
    yield from _means(current, baseline, policy)
    for name, columns in (
        (FEATURE_PSI, report.drift),
        (PREDICTION_PSI, report.prediction_drift),
    ):
        yield name, max((column.psi or 0.0 for column in columns), default=0.0)
    yield MISSING, max((_missing_growth(column) for column in report.drift), default=0.0)
    for measure in report.fairness:
        alone = len(measure.attributes) == 1 and measure.metric.startswith(PARITY)
        if alone and measure.value is not None:
            yield fairness_rule(measure), measure.value


def _means(
    current: Profile, baseline: Baseline, policy: ModelPolicy
) -> Iterator[tuple[str, float]]:
    """Return the mean answer's distance from the baseline's mean: of the score if there is one."""
    then, now = baseline.profile, current
    for name, old, new in (
        (SCORE, then.score, now.score),
        (ANSWER, then.prediction, now.prediction),
    ):
        if isinstance(old, NumericSketch) and isinstance(new, NumericSketch):
            if new.n and old.n and old.variance > 0:
                yield name, (new.mean - old.mean) / old.variance**0.5
            return
    wanted = favourable(baseline, policy)
    if wanted is None or not now.n:
        return
    before, rate = _rate(then, wanted), _rate(now, wanted)
    if 0 < before < 1:
        yield SELECTION, (rate - before) / (before * (1 - before)) ** 0.5


def _missing_growth(column: ColumnDrift) -> float:
    return (column.missing_current or 0.0) - (column.missing_reference or 0.0)


def _rate(profile: Profile, wanted: str) -> float:
    return sum(cell.count(wanted) for cell in profile.cells.values()) / profile.n


def _level(name: str, rules: TrendRules) -> float:
    if name in _MEANS:
        return rules.mean
    levels = {
        FEATURE_PSI: rules.feature_psi,
        PREDICTION_PSI: rules.prediction_psi,
        MISSING: rules.missing,
    }
    return levels.get(name, rules.demographic_parity_difference)


def _series(points: tuple[Point, ...], name: str) -> list[float]:
    return [point.values[name] for point in points if name in point.values]


def _without(points: tuple[Point, ...], window: Window) -> tuple[Point, ...]:
    return tuple(
        point
        for point in points
        if point.window.end <= window.start or point.window.start >= window.end
    )


def _in_order(*points: Point) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.window))

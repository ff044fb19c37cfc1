"""The fairness measures by name, and the numbers per group that each compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from monitor.metrics.fairness.gaps import Gap, Side, judged_groups, largest_gap, pair_count, worst
from monitor.metrics.fairness.outcomes import classes_of, outcomes_of
from monitor.metrics.fairness.statistics import (
    MEANS,
    SHARES,
    GroupStatistic,
    Means,
    answer_deviation,
    calibration_errors,
    count_shares,
    group_means,
)
from monitor.metrics.intervals import critical_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.metrics.fairness.outcomes import Outcomes
    from monitor.profiles.profile import Profile

PARITY = "demographic_parity_difference"
IMPACT = "disparate_impact"
ACCURACY = "accuracy_difference"
CALIBRATION = "calibration_difference"

#: Differences of shares: each is the largest gap between groups in any of its shares.
SHARE_GAPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        PARITY: ("selection_rate",),
        "equal_opportunity_difference": ("true_positive_rate",),
        "equalized_odds_difference": ("true_positive_rate", "false_positive_rate"),
        "predictive_parity_difference": ("precision",),
        "false_positive_rate_difference": ("false_positive_rate",),
        "false_negative_rate_difference": ("false_negative_rate",),
        ACCURACY: ("accuracy",),
    }
)

#: Differences of a regression's means, in standard deviations of the reference's answers.
MEAN_GAPS: Mapping[str, str] = MappingProxyType({f"{name}_difference": name for name in MEANS})
MEAN_ANSWER = "mean_prediction_difference"

#: Measures that are the same whichever answer is favourable: said once.
CLASS_FREE = frozenset({ACCURACY, CALIBRATION, *MEAN_GAPS})


@dataclass(frozen=True, slots=True)
class Sample:
    """One side of a comparison: people by group, and how to measure them.

    Attributes
    ----------
    unit
        In what a regression's answers are measured: the reference's standard deviation.
    scored
        The class whose probability the score is; None if there is no such score.
    measured
        Numbers per group that fairlearn gave; what is not among them is counted with NumPy.
    """

    outcomes: Outcomes
    unit: float = 1.0
    scored: str | None = None
    measured: Mapping[str, GroupStatistic] = field(default_factory=dict)

    def sides(self, metric: str, wanted: str) -> tuple[Side, ...]:
        """Return the numbers per group that a measure compares; none if it does not apply.

        Parameters
        ----------
        wanted
            The favourable answer.
        """
        return tuple(
            Side(self.outcomes.groups, statistic) for statistic in self._statistics(metric, wanted)
        )

    def mean(self, name: str) -> Means:
        """Return each group's mean in the sample's unit, with its error, as NumPy has it."""
        return group_means(self.outcomes, MEANS[name]).scaled(self.unit)

    def _statistics(self, metric: str, wanted: str) -> tuple[GroupStatistic, ...]:
        if metric in MEAN_GAPS:
            return (self.measured.get(MEAN_GAPS[metric]) or self.mean(MEAN_GAPS[metric]),)
        if metric == CALIBRATION:
            return (calibration_errors(self.outcomes, self.scored),) if self.scored else ()
        return tuple(
            self.measured.get(name)
            or count_shares(self.outcomes, SHARES[name](self.outcomes, wanted))
            for name in SHARE_GAPS[metric]
        )


def samples_of(
    reference: Profile | None, current: Profile, attributes: tuple[str, ...]
) -> tuple[Sample | None, Sample | None]:
    """Return both profiles' people by these attributes; None for one that does not know them all."""
    yardstick = current if reference is None else reference
    unit = 1.0 if current.layout.is_classifier else answer_deviation(yardstick)
    scored = _scored_class(reference, current)
    then, now = (
        None if profile is None else outcomes_of(profile, attributes)
        for profile in (reference, current)
    )
    return (
        None if then is None else Sample(then, unit, scored),
        None if now is None else Sample(now, unit, scored),
    )


def compare(
    now: Sequence[Side], then: Sequence[Side] | None, *, minimum: int, confidence: float
) -> Gap:
    """Return the largest gap in any of the statistics, with limits that hold for all their pairs at once."""
    judged = [judged_groups(side.statistic, minimum) for side in now]
    z = critical_value(sum(pair_count(len(groups)) for groups in judged), confidence)
    return worst(
        [
            largest_gap(side, None if then is None else then[number], judged[number], z)
            for number, side in enumerate(now)
        ]
    )


def _scored_class(reference: Profile | None, current: Profile) -> str | None:
    """Return the class whose probability the score is: the last of two, as scikit-learn has it.

    None if the model gives no score, if there are more classes, or if a score is no probability.
    """
    profiles = [current] if reference is None else [reference, current]
    for profile in profiles:
        score = profile.score
        if score is None or score.below or score.above:
            return None
        if score.n and not 0.0 <= score.minimum <= score.maximum <= 1.0:
            return None
    classes = classes_of(profiles[0])
    return classes[-1] if len(classes) == 2 else None

"""What speaks for and against acting on a streak."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.baselines import Baseline
from monitor.metrics.fairness import excess_gap
from monitor.policy.grading import fairness_rule, gap_levels
from monitor.policy.model import ModelPolicy
from monitor.policy.severity import is_block
from monitor.policy.streak import Streak
from monitor.profiles.profile import Profile
from monitor.reports import Report


def explaining_features(reports: Iterable[Report], policy: ModelPolicy) -> tuple[str, ...]:
    """Return the features past their block level in any of the windows that the target version uses too.

    Any one of the windows is enough: a rollback waits for N windows that nothing but the model explains.
    """
    return tuple(
        sorted(
            {
                column.feature
                for report in reports
                for column in report.drift
                if is_block(column.severity) and column.feature not in policy.target_lacks
            }
        )
    )


def fairness_bound(
    streak: Streak, merged: Profile, baseline: Baseline | None, policy: ModelPolicy
) -> tuple[float | None, float]:
    """Return the lower bound of the excess gap that the merged windows prove, and the level that it must pass.

    The bound holds for all pairs of groups at once. A ratio is judged by the difference behind it: far below the
    level of a difference, a ratio is about very few people.

    Parameters
    ----------
    merged
        Profile of the streak's last N windows together.

    Returns
    -------
    tuple
        The bound, in [0, 1], None where no two groups are large enough, or known to the reference: a gap that
        may have stood all along is no reason to go back; and the warn level.
    """
    broken = next(m for m in streak.reports[-1].fairness if fairness_rule(m) == streak.rule)
    level = gap_levels(broken, policy.fairness).warn
    if baseline is None:
        return None, level
    excess = excess_gap(
        baseline.profile,
        merged,
        broken.attributes,
        metric=broken.metric,
        favourable=favourable(baseline, policy),
        minimum_group_size=policy.fairness.minimum_group_size,
        confidence=1 - policy.false_discovery.rollback,
    )
    return excess.lower, level


def favourable(baseline: Baseline | None, policy: ModelPolicy) -> str | None:
    """Return the answer that people want: what the policy says, else what the baseline does."""
    if policy.fairness.favourable is not None or baseline is None:
        return policy.fairness.favourable
    return baseline.favourable

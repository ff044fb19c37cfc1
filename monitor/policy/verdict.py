"""What to do about a model version, from its last windows' reports.

Each rule, with its reason:

- N breaching windows in a row are asked for: one odd window is not a fault.
- A window too small to judge neither counts nor resets a streak: it says nothing either way.
- Only fairness, prediction drift and labelled performance roll back. Feature drift and quality tell people: the
  earlier version meets the same people and the same feed, so going back would cure nothing.
- Fairness rolls back only if the N windows together prove an excess over the reference's gap: estimates of one
  window wander, and a gap that the reference has too is not a fault of today.
- A fairness streak that chance explains is put on record only: with many small groups there always is one.
- Prediction drift does not roll back while features that the target version uses too are past their block level in
  one of those windows: a change of people explains a change of answers.
- Severe prediction drift acts at once: such a jump is no noise.
- A slow trend tells people, and no more: it is a warning about many windows, none of which is at fault.
- A policy's `action` caps what is asked for, whatever the rule.
- People are told once a streak, and once more when more is asked for. A rollback stays asked for while its streak
  lasts: who acts knows what has been done, and may have been unable to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from monitor.baselines import Baseline
from monitor.policy.evidence import explaining_features, fairness_bound
from monitor.policy.model import ModelPolicy
from monitor.policy.severity import rank
from monitor.policy.streak import Streak, find_streaks, latest_revisions
from monitor.profiles.profile import Profile
from monitor.reports import Action, Family, Report, Severity, Status, Verdict, Window

Merged = Callable[[Sequence[Window]], Profile | None]

_STRENGTH = {action: strength for strength, action in enumerate(Action)}

#: Which of two rules that ask for the same is named: whom it harms comes first.
_FAMILIES = (
    Family.FAIRNESS,
    Family.PERFORMANCE,
    Family.PREDICTION,
    Family.QUALITY,
    Family.DRIFT,
    Family.TREND,
)

_NOTIFY_ONLY = {
    Family.DRIFT: "an earlier version would meet the same people",
    Family.QUALITY: "an earlier version would get the same feed",
    Family.TREND: "a slow trend is for people to look at",
}


def decide(
    reports: Sequence[Report],
    merged: Merged,
    baseline: Baseline | None,
    policy: ModelPolicy,
    *,
    policy_sha256: str,
    news: Window | None = None,
) -> Verdict:
    """Return what the policy makes of a version's last windows.

    Parameters
    ----------
    reports
        Of one version, at least one; all that a streak may reach back to, in any order and any revision.
    merged
        Gives the merged profile of some of those windows; None if it is no longer kept.
    policy_sha256
        Of the policy in force.
    news
        The window whose report is new; the newest one if not said. A late revision of an earlier window may
        complete a streak that nobody was told of.

    Raises
    ------
    IndexError
        If there is no report.
    """
    latest = latest_revisions(reports)
    newest = latest[-1]
    bench = _Bench(merged, baseline, policy)
    is_late = news is not None and news != newest.window
    claims = [bench.claim(streak, is_late=is_late) for streak in find_streaks(latest, policy)]
    verdict = Verdict(
        model=newest.model,
        version=newest.version,
        window=newest.window,
        revision=newest.revision,
        severity=newest.severity,
        action=Action.NONE,
        reason=_nothing_to_do(newest),
        findings=tuple(
            finding.sentence
            for finding in newest.quality
            if finding.sentence and finding.severity is not Severity.PASS
        ),
        dry_run=policy.dry_run,
        policy_sha256=policy_sha256,
        baseline_sha256=newest.baseline_sha256,
        closed_at=newest.closed_at,
        basis=newest.basis,
    )
    return max(claims, key=lambda claim: claim.precedence).on(verdict) if claims else verdict


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one streak asks for."""

    streak: Streak
    action: Action
    reason: str
    lower_bound: float | None = None

    @property
    def precedence(self) -> tuple[float, ...]:
        """The greatest speaks for the version."""
        breach = self.streak.last
        return (
            _STRENGTH[self.action],
            self.streak.is_proven,
            rank(breach.severity),
            -_FAMILIES.index(breach.family),
            len(self.streak),
            # One attribute says more plainly than an intersection whom it is about.
            -breach.rule.count(" & "),
        )

    def on(self, verdict: Verdict) -> Verdict:
        """Return the verdict with this claim upon it."""
        breach = self.streak.last
        return msgspec.structs.replace(
            verdict,
            severity=breach.severity if self.streak.is_proven else verdict.severity,
            action=self.action,
            rule=breach.rule,
            family=breach.family,
            streak=len(self.streak),
            windows=self.streak.windows(),
            values=tuple(breach.value for breach in self.streak.breaches),
            threshold=breach.threshold,
            groups=breach.groups,
            harm=breach.sentence if breach.family is Family.FAIRNESS else "",
            lower_bound=self.lower_bound,
            reason=self.reason,
        )


@dataclass(frozen=True, slots=True)
class _Bench:
    """Judges one streak at a time."""

    merged: Merged
    baseline: Baseline | None
    policy: ModelPolicy

    def claim(self, streak: Streak, *, is_late: bool) -> _Claim:
        """Return what is to be done now: people are told when a streak first asks for it, or asks for more."""
        claim = self._standing(streak)
        if claim.action in {Action.NONE, Action.ROLLBACK} or is_late:
            return claim
        earlier = streak.before()
        if earlier is None or (streak.is_severe and not earlier.is_severe):
            return claim
        told = self._standing(earlier)
        if _STRENGTH[told.action] < _STRENGTH[claim.action]:
            return claim
        reason = f"already said: {claim.reason}"
        return replace(claim, action=Action.NONE, reason=reason)

    def _standing(self, streak: Streak) -> _Claim:
        """Return what the streak asks for, said before or not, within the policy's cap."""
        needed = self.policy.consecutive
        if len(streak) < needed and not streak.is_severe:
            return _Claim(streak, Action.NONE, f"{len(streak)} of {needed} windows in a row")
        claim = self._asked(streak)
        if _STRENGTH[claim.action] <= _STRENGTH[self.policy.action]:
            return claim
        reason = f"{claim.reason}; the policy allows no more than to {self.policy.action}"
        return replace(claim, action=self.policy.action, reason=reason)

    def _asked(self, streak: Streak) -> _Claim:
        family = streak.last.family
        if family is Family.FAIRNESS:
            return self._fairness(streak)
        if family is Family.PREDICTION:
            return self._prediction(streak)
        if family in _NOTIFY_ONLY:
            return _Claim(streak, Action.NOTIFY, f"{_story(streak)}; {_NOTIFY_ONLY[family]}")
        return _Claim(streak, Action.ROLLBACK, _story(streak))

    def _fairness(self, streak: Streak) -> _Claim:
        windows = streak.windows(self.policy.consecutive)
        profile = self.merged(windows)
        story = _story(streak)
        if profile is None:
            reason = f"{story}; the windows are no longer kept, so nothing can be proven"
            return _Claim(streak, Action.NOTIFY if streak.is_proven else Action.RECORD, reason)
        bound, level = fairness_bound(streak, profile, self.baseline, self.policy)
        if bound is not None and bound > level:
            reason = f"{story}; together they prove an excess of at least {bound:.3f}"
            return _Claim(streak, Action.ROLLBACK, reason, bound)
        shown = "no bound" if bound is None else f"only {bound:.3f}"
        reason = f"{story}; together they prove {shown}, {level:g} is asked for"
        # What no window shows beyond chance, nor all of them together, is nobody's business at 3 a.m.
        return _Claim(streak, Action.NOTIFY if streak.is_proven else Action.RECORD, reason, bound)

    def _prediction(self, streak: Streak) -> _Claim:
        features = explaining_features(streak.reports[-self.policy.consecutive :], self.policy)
        if not features:
            return _Claim(streak, Action.ROLLBACK, _story(streak))
        names = ", ".join(features)
        reason = f"{_story(streak)}; what people bring changed too ({names}), which explains it"
        return _Claim(streak, Action.NOTIFY, reason)


def _story(streak: Streak) -> str:
    breach = streak.last
    if streak.is_severe and len(streak) == 1:
        return f"{breach.rule} is severe, {breach.value:.3f} against {breach.threshold:g}"
    count = len(streak)
    return f"{breach.rule} past {breach.threshold:g} in {count} windows in a row"


def _nothing_to_do(newest: Report) -> str:
    if newest.status is Status.NO_BASELINE:
        return "the version has no baseline: it is profiled, and never acted upon"
    if newest.status is Status.INSUFFICIENT:
        return f"{newest.n} events are too few to judge"
    return "no rule is past its block level"

"""How often in a row a rule was broken. A pure function of the windows' latest revisions: there is no counter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.policy.model import ModelPolicy
from monitor.policy.severity import is_block
from monitor.reports import Breach, Family, Report, Severity, Status, Window


@dataclass(frozen=True, slots=True)
class Streak:
    """Consecutive windows that break one rule.

    Attributes
    ----------
    reports
        Of those windows, oldest first; they need not touch: windows that could not be judged lie between.
    breaches
        The rule's breach in each.
    """

    rule: str
    reports: tuple[Report, ...]
    breaches: tuple[Breach, ...]

    def __len__(self) -> int:
        return len(self.reports)

    @property
    def last(self) -> Breach:
        """The newest window's breach."""
        return self.breaches[-1]

    @property
    def is_severe(self) -> bool:
        """Whether the newest window breaks the rule severely."""
        return self.last.severity is Severity.SEVERE

    @property
    def is_proven(self) -> bool:
        """Whether each window shows the breach beyond chance by itself."""
        return all(
            breach in report.breaches
            for breach, report in zip(self.breaches, self.reports, strict=True)
        )

    def windows(self, last: int | None = None) -> tuple[Window, ...]:
        """Return the windows, or the last so many, oldest first."""
        chosen = self.reports if last is None else self.reports[-last:]
        return tuple(report.window for report in chosen)

    def before(self) -> Streak | None:
        """Return the streak as it was one window earlier."""
        if len(self) == 1:
            return None
        return Streak(self.rule, self.reports[:-1], self.breaches[:-1])


def latest_revisions(reports: Iterable[Report]) -> list[Report]:
    """Return each window's report of the highest revision, oldest first; a merged window after its parts."""
    latest: dict[Window, Report] = {}
    for report in reports:
        known = latest.get(report.window)
        if known is None or report.revision > known.revision:
            latest[report.window] = report
    return sorted(latest.values(), key=lambda report: (report.window.end, -report.window.start))


def find_streaks(reports: Sequence[Report], policy: ModelPolicy) -> list[Streak]:
    """Return the streaks that the newest window continues or begins.

    - A window that could not be judged neither counts nor resets: it says nothing.
    - Windows count once: one that overlaps a newer one was merged into it.
    - Windows that were measured against another baseline are another matter.
    - Any N windows of a streak lie within N times the longest window: an older breach has lapsed.

    Parameters
    ----------
    reports
        Of one version, one a window, oldest first.
    """
    if not reports or reports[-1].status is not Status.OK:
        return []
    judged = [
        report
        for report in reversed(reports)
        if report.status is Status.OK and report.baseline_sha256 == reports[-1].baseline_sha256
    ]
    return [_streak(rule, judged, policy) for rule in sorted(_broken(judged[0]))]


def _streak(rule: str, newest_first: Sequence[Report], policy: ModelPolicy) -> Streak:
    span = policy.consecutive * policy.windows.max_length
    found: list[tuple[Report, Breach]] = []
    for report in newest_first:
        if found and report.window.end > found[-1][0].window.start:
            continue
        breach = _broken(report).get(rule)
        if breach is None:
            break
        newer = found[-max(policy.consecutive - 1, 1) :]
        if newer and newer[0][0].window.end - report.window.start > span:
            break
        found.append((report, breach))
    found.reverse()
    return Streak(rule, tuple(r for r, _ in found), tuple(b for _, b in found))


def _broken(report: Report) -> dict[str, Breach]:
    """Return what a streak is made of: rules past their block level, and trends, which only ever warn."""
    breaches = (*report.suspected, *report.breaches)
    return {
        breach.rule: breach
        for breach in breaches
        if is_block(breach.severity) or breach.family is Family.TREND
    }

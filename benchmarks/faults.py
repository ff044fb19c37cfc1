"""Faults to plant, and what a report must say of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.judged import Judged
from benchmarks.world import LABELS, Fault, Table
from monitor.policy.severity import rank
from monitor.reports import Action, Family, Severity

#: Standard deviation of the score where nothing is wrong.
SCORE_DEVIATION = 0.22


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault and the names under which a report may find it.

    Attributes
    ----------
    about
        Part of the rule, the feature or the attribute that a warning must name.
    group
        Among whom a finding must say that it is; None if that does not matter.
    found_within
        Windows within which half of the trials must have warned of it; None where no alarm is wanted, since the
        change is below the levels.
    needs
        Events that a window must have to tell it from chance, or from more; with fewer it is measured, and nothing
        is asked.
    """

    fault: Fault
    about: str
    group: dict[str, str] | None = None
    found_within: int | None = 3
    needs: int = 0

    def warned(self, judged: Judged) -> bool:
        """Whether the window's report warns of it by name."""
        report = judged.report
        warns = rank(Severity.WARN)
        if any(self.about in b.rule for b in report.breaches if b.family is Family.TREND):
            return True
        if self.group is not None:
            return any(
                self.about == finding.feature
                and finding.group == self.group
                and rank(finding.severity) >= warns
                for finding in report.quality
            )
        named = (
            *((m.feature, m.severity) for m in (*report.drift, *report.prediction_drift)),
            *((" & ".join(m.attributes), m.severity) for m in report.fairness),
            *((m.feature, m.severity) for m in report.quality),
        )
        return any(name == self.about and rank(severity) >= warns for name, severity in named)

    def significant(self, judged: Judged) -> bool:
        """Whether the report records the column's change as no chance, however small."""
        return any(m.feature == self.about and m.significant for m in judged.report.drift)

    def told(self, judged: Judged) -> bool:
        """Whether people are told of it, or the version is rolled back for it."""
        verdict = judged.verdict
        return (
            verdict is not None
            and verdict.action in {Action.NOTIFY, Action.ROLLBACK}
            and self.about in (verdict.rule or "")
        )


def shift(by: float) -> Fault:
    """Move the mean of income by so many standard deviations."""

    def plant(table: Table, _: np.random.Generator, __: int) -> None:
        table.numbers["income"] += by

    return plant


def scale(table: Table, _: np.random.Generator, __: int) -> None:
    """Spread rating half as wide again around the same mean."""
    table.numbers["rating"] = 600 + 1.5 * (table.numbers["rating"] - 600)


def lose_category(table: Table, _: np.random.Generator, __: int) -> None:
    """Send all who sell (15 %) as clerks."""
    sells = table.is_label("job", "sales")
    table.codes["job"][sells] = LABELS["job"].index("clerk")


def lose_values(table: Table, random: np.random.Generator, _: int) -> None:
    """Leave 5 % of savings out."""
    table.numbers["savings"][random.random(table.n) < 0.05] = np.nan


def null_as_zero(table: Table, _: np.random.Generator, __: int) -> None:
    """Send alimony as 0 where it is missing, but not for the largest race: a fifth of those people."""
    alimony = table.numbers["alimony"]
    alimony[np.isnan(alimony) & ~table.is_label("race", "white")] = 0.0


def parity_gap(gap: float) -> Fault:
    """Refuse so many more women who would have been accepted."""

    def plant(table: Table, random: np.random.Generator, _: int) -> None:
        answers = table.codes["prediction"]
        accepted = table.is_label("sex", "woman") & (answers == 1)
        rate = accepted.sum() / max(table.is_label("sex", "woman").sum(), 1)
        answers[accepted & (random.random(table.n) < gap / max(rate, gap))] = 0

    return plant


def creep(step: float) -> Fault:
    """Let the score rise by so many standard deviations a window; the answers stay."""

    def plant(table: Table, _: np.random.Generator, window: int) -> None:
        score = table.numbers["score"]
        table.numbers["score"] = np.clip(score + step * window * SCORE_DEVIATION, 0, 1)

    return plant


def planted() -> Iterator[tuple[str, Planted]]:
    """Return every fault but the creep, by name."""
    for by in (0.1, 0.25):
        yield f"mean_shift_{by:g}_sd", Planted(shift(by), "income", found_within=None, needs=1_000)
    for by in (0.5, 1.0):
        yield f"mean_shift_{by:g}_sd", Planted(shift(by), "income")
    yield "scale_1.5", Planted(scale, "rating", needs=1_000)
    yield "category_lost", Planted(lose_category, "job")
    yield "null_surge_5_percent", Planted(lose_values, "savings")
    yield "null_as_zero_in_group", Planted(null_as_zero, "alimony", {"race": "not white"})
    for gap, needs in ((0.05, 10_000), (0.1, 10_000), (0.2, 200)):
        yield f"parity_gap_{gap:g}", Planted(parity_gap(gap), "sex", needs=needs)

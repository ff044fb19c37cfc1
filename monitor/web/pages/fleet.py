"""What the first page shows: every model, who wants attention on top. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.desk.fleet import URGENT, Standing, heard, stand
from monitor.web.pages import links
from monitor.web.pages.answers import gravest
from monitor.web.pages.words import ago, broke, harmed, instant

if TYPE_CHECKING:
    from monitor.policy.model import Policy
    from monitor.reports import Decision, Report, Severity

#: Windows in a model's strip.
STRIP = 24

#: How grave a state is, as the tone that it is shown in, and the mark that says so without colour.
TONES = {
    "person needed": ("block", "✖"),
    "rolling back": ("block", "↺"),
    "breach": ("block", "■"),
    "warning": ("warn", "▲"),
    "rolled back": ("pass", "↺"),
    "no baseline": ("insufficient", "○"),
    "too few": ("insufficient", "○"),
    "silent": ("warn", "◌"),
    "well": ("pass", "●"),
}


@dataclass(frozen=True, slots=True)
class State:
    """How a model stands: a word, a mark and a tone."""

    word: str

    @property
    def tone(self) -> str:
        """The class of its colours."""
        return TONES[self.word][0]

    @property
    def mark(self) -> str:
        """A sign of its own."""
        return TONES[self.word][1]


@dataclass(frozen=True, slots=True)
class Tick:
    """One window in a model's strip."""

    severity: Severity
    version: str
    end: float


@dataclass(frozen=True, slots=True)
class Row:
    """One model.

    Attributes
    ----------
    serves
        The version that answers, and whether the registry says so; else it is the newest seen.
    said
        The worst of it, in one sentence; of a model that is well, that it is.
    harmed
        Who is harmed; empty where nobody is.
    """

    model: str
    href: str
    state: State
    serves: str
    is_known: bool
    said: str
    harmed: str
    end: float
    age: str
    n: int
    strip: tuple[Tick, ...]
    rollback: str
    rollback_href: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """The page: one sentence over all, and a row for each model."""

    title: str
    rows: tuple[Row, ...]


def fleet_of(
    reports: Mapping[str, Sequence[Report]],
    decisions: Sequence[Decision],
    serves: Callable[[str], str | None],
    policy: Policy,
    *,
    now: float,
) -> Fleet:
    """Return the first page.

    Parameters
    ----------
    reports
        The newest windows of each model, oldest first.
    decisions
        The newest steps, oldest first.
    serves
        Which version a model's alias names; None if the registry does not say.
    """
    standings = stand(
        (report for some in reports.values() for report in some), decisions, serves, now=now
    )
    rows = [_row(one, reports[one.model], now) for one in heard(standings, policy)]
    return Fleet(_title(rows), tuple(rows))


def shown_report(one: Standing, reports: Sequence[Report]) -> Report:
    """Return the window that a standing speaks of."""
    return next(r for r in reversed(reports) if r.version == one.version)


def _row(one: Standing, reports: Sequence[Report], now: float) -> Row:
    report = shown_report(one, reports)
    state = State(one.state)
    breaches = gravest(report.breaches)
    whom = [sentence for breach in breaches for sentence in harmed(report, breach)[:1]]
    made = one.rollback
    told = ""
    if made is not None:
        told = f"version {made.from_version} → {made.to_version}, {ago(now - made.at)}"
    return Row(
        model=one.model,
        href=links.model(one.model),
        state=state,
        serves=one.serves or one.version,
        is_known=one.serves is not None,
        said=broke(breaches[0]) if breaches else _quietly(state.word, one, now),
        harmed=whom[0] if whom else "",
        end=one.window_end,
        age=ago(one.age_seconds),
        n=one.n,
        strip=tuple(Tick(r.severity, r.version, r.window.end) for r in reports[-STRIP:]),
        rollback=told,
        rollback_href=links.decision(made) if made is not None else "",
    )


def _quietly(state: str, one: Standing, now: float) -> str:
    said = {
        "well": "Nothing is past its level.",
        "warning": "Something changed beyond chance; no rule is broken.",
        "rolled back": "Fair again since it was rolled back.",
        "no baseline": "It has no baseline: it is counted, and never judged.",
        "too few": "Too few predictions to judge.",
        "silent": f"No new window since {instant(now - one.age_seconds, now)} UTC.",
        "person needed": "Its last rollback failed.",
        "rolling back": "A rollback is under way.",
    }
    return said.get(state, "")


def _title(rows: Sequence[Row]) -> str:
    if not rows:
        return "No window has closed yet"
    urgent = sum(row.state.word in URGENT for row in rows)
    count = f"{len(rows)} models" if len(rows) > 1 else "the only model"
    if not urgent:
        return (
            f"None of {count} needs you now"
            if len(rows) > 1
            else "The only model does not need you now"
        )
    return f"{urgent} of {count} {'needs' if urgent == 1 else 'need'} you now"

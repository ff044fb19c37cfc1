"""How every model stands, a line each: what `monitor top` shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from monitor.policy.severity import rank
from monitor.reports import Breach, Decision, Report, Severity, Stage, Status

if TYPE_CHECKING:
    from monitor.policy.model import Policy

#: What a person should see to now; silence is no excuse for it.
URGENT = ("person needed", "rolling back", "breach")


class Standing(Struct, frozen=True, kw_only=True):
    """One model as it stands.

    Attributes
    ----------
    serves
        The version that the alias names; None if the registry does not say.
    version
        Of the window shown: the serving version's, or the newest where that has none.
    state
        ``person needed``, ``rolling back``, ``breach``, ``warning``, ``rolled back`` (and well since), ``no baseline``,
        ``too few`` or ``well``; and ``silent`` once `heard` was asked.
    window_end
        Seconds since 1970 UTC, event time.
    age_seconds
        Since that window closed.
    worst
        The gravest breach of that window, or None.
    rollback
        The last rollback that was made, or None.
    """

    model: str
    serves: str | None
    version: str
    state: str
    window_end: float
    age_seconds: float
    n: int
    worst: Breach | None = None
    rollback: Decision | None = None


def stand(
    reports: Iterable[Report],
    decisions: Iterable[Decision],
    serves: Callable[[str], str | None],
    *,
    now: float,
) -> list[Standing]:
    """Return how each model stands, those that want attention first.

    Parameters
    ----------
    reports, decisions
        The newest of all models, oldest first.
    serves
        The version that a model's alias names.
    now
        Seconds since 1970 UTC.

    Examples
    --------
    >>> from monitor.reports import Window
    >>> report = Report(model="credit", version="2", window=Window(0.0, 300.0), revision=0, status=Status.OK,
    ...                 severity=Severity.PASS, n=900, n_reference=9000, closed_at=330.0)
    >>> (line,) = stand([report], [], lambda model: "2", now=400.0)
    >>> line.state, line.age_seconds
    ('well', 70.0)
    """
    latest: dict[str, dict[str, Report]] = {}
    for report in reports:
        latest.setdefault(report.model, {})[report.version] = report
    made: dict[str, Decision] = {}
    last: dict[str, Decision] = {}
    for decision in decisions:
        last[decision.model] = decision
        if decision.stage is Stage.DONE and not decision.dry_run:
            made[decision.model] = decision
    lines = []
    for model, versions in latest.items():
        named = serves(model)
        newest = max(versions.values(), key=lambda report: report.closed_at)
        shown = versions.get(named or "", newest)
        lines.append(
            Standing(
                model=model,
                serves=named,
                version=shown.version,
                state=_state(shown, last.get(model), made.get(model)),
                window_end=shown.window.end,
                age_seconds=round(max(now - shown.closed_at, 0.0), 1),
                n=shown.n,
                worst=max(shown.breaches, key=_gravity, default=None),
                rollback=made.get(model),
            )
        )
    return sorted(lines, key=lambda line: (_ORDER.index(line.state), line.model))


def heard(standings: Iterable[Standing], policy: Policy) -> list[Standing]:
    """Return the same with those ``silent`` whose next window is long due, unless more than that is wrong with them.

    Due are three window lengths, or the longest that a merged window may be.

    Examples
    --------
    >>> from monitor.policy.model import Policy
    >>> line = Standing(model="credit", serves="2", version="2", state="well", window_end=300.0, age_seconds=9e4, n=900)
    >>> [one.state for one in heard([line], Policy())]
    ['silent']
    """
    lines = [
        replace(line, state="silent")
        if line.state not in URGENT and line.age_seconds > _due(line, policy)
        else line
        for line in standings
    ]
    return sorted(lines, key=lambda line: (_ORDER.index(line.state), line.model))


def _due(line: Standing, policy: Policy) -> float:
    rules = policy.of(line.model).windows
    return max(3 * rules.length + rules.grace, rules.max_length)


#: What wants attention first.
_ORDER = (
    "person needed",
    "rolling back",
    "breach",
    "warning",
    "rolled back",
    "no baseline",
    "too few",
    "silent",
    "well",
)


def _state(report: Report, last: Decision | None, made: Decision | None) -> str:
    if last is not None and last.stage is Stage.FAILED:
        return "person needed"
    if last is not None and last.stage is Stage.INTENT:
        return "rolling back"
    by_status = {Status.NO_BASELINE: "no baseline", Status.INSUFFICIENT: "too few"}
    if report.status in by_status:
        return by_status[report.status]
    if report.breaches and rank(report.severity) >= rank(Severity.BLOCK):
        return "breach"
    if report.severity is Severity.WARN:
        return "warning"
    return "rolled back" if made is not None and made.to_version == report.version else "well"


def _gravity(breach: Breach) -> tuple[int, float]:
    return rank(breach.severity), abs(breach.value - breach.threshold)

"""Severities put in order."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.policy.model import Levels
from monitor.reports import Severity

_RANK = {severity: rank for rank, severity in enumerate(Severity)}


def rank(severity: Severity) -> int:
    """Return its place in the order, 0 for `PASS`."""
    return _RANK[severity]


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the gravest; `PASS` of none.

    Examples
    --------
    >>> worst([Severity.WARN, Severity.PASS]).value
    'warn'
    """
    return max(severities, key=_RANK.__getitem__, default=Severity.PASS)


def is_block(severity: Severity) -> bool:
    """Whether it is past the block level."""
    return _RANK[severity] >= _RANK[Severity.BLOCK]


def grade(value: float | None, levels: Levels) -> Severity:
    """Return how far a value is past its levels; a level is reached from its own value on.

    Examples
    --------
    >>> grade(0.15, Levels(warn=0.1, block=0.2)).value
    'warn'
    """
    if value is None or value < levels.warn:
        return Severity.PASS
    return Severity.BLOCK if value >= levels.block else Severity.WARN

"""What is due to be deleted: by the policy, by the day, and by no legal hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.policy.retention import first_kept

if TYPE_CHECKING:
    from monitor.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Due:
    """What of a model's log is past its time.

    Attributes
    ----------
    days
        Days whose rows are to be deleted, oldest first.
    rows
        How many rows those are.
    keys
        Days whose key is to be destroyed, oldest first.
    held
        Days that would be due, but for a legal hold.
    """

    model: str
    days: tuple[dt.date, ...]
    rows: int
    keys: tuple[dt.date, ...]
    held: tuple[dt.date, ...]

    def __bool__(self) -> bool:
        return bool(self.days or self.keys)


def due(
    model: str,
    policy: Policy,
    today: dt.date,
    *,
    rows: Iterable[tuple[dt.date, int]],
    keys: Iterable[dt.date],
) -> Due:
    """Return what of a model is due.

    Parameters
    ----------
    today
        In UTC.
    rows
        The days in the table, each with its number of rows.
    keys
        The days that have a key.

    Examples
    --------
    >>> from monitor.policy.model import Policy
    >>> found = due("credit", Policy(), dt.date(2026, 3, 1), rows=[(dt.date(2025, 1, 31), 12)],
    ...             keys=[dt.date(2025, 1, 31), dt.date(2025, 12, 1)])
    >>> found.rows, [str(day) for day in found.keys]
    (12, ['2025-01-31'])
    """
    rules = policy.of(model).retention
    kept, readable = first_kept(rules.predictions, today), first_kept(rules.protected, today)
    old_rows = {date: number for date, number in rows if date < kept}
    old_keys = {date for date in keys if date < max(kept, readable)}
    held = {date for date in old_rows.keys() | old_keys if rules.held_by(date) is not None}
    days = tuple(sorted(old_rows.keys() - held))
    return Due(
        model,
        days,
        sum(old_rows[date] for date in days),
        tuple(sorted(old_keys - held)),
        tuple(sorted(held)),
    )

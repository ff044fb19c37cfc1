"""How long predictions are kept, and what must not be deleted."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: A span of the calendar: ``30d``, ``26w``, ``13M``, ``7y``. Not in seconds: months differ, and so does what is owed.
Kept = Annotated[str, Field(pattern=r"^[1-9]\d{0,3}[dwMy]$")]

#: Least span by risk class. High: Regulation (EU) 2024/1689, Art. 19(1) and 26(6), at least six months.
FLOORS = {"high": "6M"}

#: Spans are compared on a day that the longest six months (184 days) end on.
_COMPARED_ON = dt.date(2023, 9, 1)


class Hold(BaseModel):
    """Predictions of these days must not be deleted, whatever else is asked: a case is open.

    Attributes
    ----------
    since, until
        First and last day, UTC; left out, all before or after.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Annotated[str, Field(min_length=1)]
    since: dt.date | None = None
    until: dt.date | None = None

    def covers(self, date: dt.date) -> bool:
        """Whether a day is held.

        Examples
        --------
        >>> Hold(reason="case 12", since=dt.date(2026, 3, 1)).covers(dt.date(2026, 2, 28))
        False
        """
        return (self.since is None or self.since <= date) and (
            self.until is None or date <= self.until
        )


class RetentionRules(BaseModel):
    """How long the prediction log keeps what, by the day of the prediction (UTC).

    Attributes
    ----------
    predictions
        After that the rows are deleted.
    protected
        After that the key of the protected attributes is destroyed: nobody can read them any more.
    hold
        Legal holds; they beat everything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    predictions: Kept = "13M"
    protected: Kept = "6M"
    hold: tuple[Hold, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> RetentionRules:
        if not _at_least(self.predictions, self.protected):
            msg = f"protected ({self.protected}) must not outlast predictions ({self.predictions})"
            raise ValueError(msg)
        return self

    def check_floor(self, risk: str) -> None:
        """Refuse a span under what the risk class asks for.

        Raises
        ------
        ValueError
            Naming both.
        """
        floor = FLOORS.get(risk)
        if floor is not None and not _at_least(self.predictions, floor):
            msg = f"retention.predictions ({self.predictions}) is under {floor}, the least for risk: {risk}"
            raise ValueError(msg)

    def held_by(self, date: dt.date) -> Hold | None:
        """Return a hold that covers a day; None if there is none."""
        return next((hold for hold in self.hold if hold.covers(date)), None)


def first_kept(span: str, today: dt.date) -> dt.date:
    """Return the first day that is still within a span that ends today.

    Examples
    --------
    >>> first_kept("13M", dt.date(2026, 3, 31)), first_kept("1M", dt.date(2026, 3, 31))
    (datetime.date(2025, 2, 28), datetime.date(2026, 2, 28))
    """
    number, unit = _parts(span)
    if unit in "dw":
        return today - dt.timedelta(days=number * (7 if unit == "w" else 1))
    months = today.year * 12 + today.month - 1 - number * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    if year < dt.MINYEAR:
        return dt.date.min
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, min(today.day, last))


def _parts(span: str) -> tuple[int, str]:
    found = re.fullmatch(r"(\d+)([dwMy])", span)
    assert found is not None, "the policy let it through"
    return int(found[1]), found[2]


def _at_least(span: str, other: str) -> bool:
    return first_kept(span, _COMPARED_ON) <= first_kept(other, _COMPARED_ON)

"""What a row can hold, where the contract allows more: the rest is refused by name, so that no event stops the archiver."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from monitor.errors import EventError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: From 1970 to the last day that every time zone has, seconds since 1970 UTC: what lies outside no reader can show.
EARLIEST, LATEST = 0.0, 253_402_214_400.0

_OUTSIDE = "lies before 1970-01-01 or after 9999-12-30 UTC"

#: A model's name is a directory of the table, quoted twice: file systems take 255 bytes.
_LONGEST_NAME = 240


def check_time(field: str, seconds: float) -> None:
    """Refuse a time, in seconds since 1970 UTC, that tables and their readers have no name for.

    Raises
    ------
    EventError
        If it lies before 1970-01-01 or after 9999-12-30 UTC.

    Examples
    --------
    >>> check_time("event_time", 1.7e9)
    >>> check_time("event_time", -1.0)
    Traceback (most recent call last):
    monitor.errors.EventError: event_time: lies before 1970-01-01 or after 9999-12-30 UTC
    """
    if not EARLIEST <= seconds < LATEST:
        raise EventError(field, _OUTSIDE)


def wrong_times(field: str, seconds: NDArray[np.float64]) -> dict[int, EventError]:
    """Return what `check_time` says of many times, by position; NaN is none either.

    Examples
    --------
    >>> wrong_times("event_time", np.array([1.7e9, -1.0]))
    {1: EventError('event_time: lies before 1970-01-01 or after 9999-12-30 UTC')}
    """
    wrong = np.flatnonzero(~((seconds >= EARLIEST) & (seconds < LATEST)))
    return {row: EventError(field, _OUTSIDE) for row in wrong.tolist()}


def check_model(name: str) -> None:
    """Refuse a model whose name no directory can bear.

    Raises
    ------
    EventError
        If it is too long.
    """
    if len(quote(quote(name, safe=""), safe="")) > _LONGEST_NAME:
        raise EventError("model_name", "is too long to name a directory of the log")


def number_of(field: str, answer: float | str) -> float | None:
    """Return an answer as a number; None if it is a text.

    Raises
    ------
    EventError
        If it is an integer that no float comes near.

    Examples
    --------
    >>> number_of("label", True), number_of("label", "good")
    (1.0, None)
    """
    if isinstance(answer, str):
        return None
    try:
        return float(answer)
    except OverflowError:
        raise EventError(field, "is too large for a number") from None

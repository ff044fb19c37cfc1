"""What tests of this package, and of code that uses it, may lean on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def until(
    condition: Callable[[], Value], *, deadline: float = 120.0, pause: float = 0.02, what: str = ""
) -> Value:
    """Wait until a condition holds; its first true value.

    Parameters
    ----------
    condition
        Asked again and again; anything true ends the waiting.
    deadline
        Longest wait, in seconds: generous, since a machine that builds is slow, and only a failure waits so long.
    pause
        Between two questions, in seconds.
    what
        What is waited for, for the error.

    Raises
    ------
    TimeoutError
        When the deadline passes; with the last value seen.

    Examples
    --------
    >>> answers = iter([0, 0, 7])
    >>> until(lambda: next(answers))
    7
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            name = what or getattr(condition, "__name__", "the condition")
            raise TimeoutError(f"{name} did not come true in {deadline:g} s; last: {value!r}")
        time.sleep(pause)

"""What a benchmark returns, and how it is shown."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

Want = Literal["at least", "at most"]


class Figure(Struct, frozen=True):
    """One measured number.

    Attributes
    ----------
    target
        What was asked for; None if nothing was.
    met
        Whether the value is at least, or at most, the target; None without one.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    met: bool | None = None


def figure(
    name: str,
    value: float,
    unit: str,
    target: float | None = None,
    want: Want = "at least",
) -> Figure:
    """Return a figure, judged."""
    if target is None:
        return Figure(name, value, unit)
    return Figure(
        name, value, unit, target, value >= target if want == "at least" else value <= target
    )


def cpu_seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the processor seconds that a call takes, after one to warm up: the median of several.

    Processor seconds, of all threads together, are what a core can carry, whatever else the machine does meanwhile.
    """
    run()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def say(sentence: str) -> None:
    """Tell of progress, beside what is printed."""
    print(sentence, file=sys.stderr, flush=True)


def show(figures: Sequence[Figure], *, as_json: bool) -> None:
    """Print the figures, as a table or as a JSON list."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(figures)).decode())
        return
    width = max(len(line.name) for line in figures)
    for line in figures:
        target = "" if line.target is None else f"target {line.target:,.4g}"
        met = {None: "", True: "met", False: "NOT met"}[line.met]
        print(
            f"{line.name:{width}}  {line.value:>14,.4g} {line.unit:10} {target:18} {met}".rstrip()
        )

"""A fault, and what became of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monitor.servers import InfluxServer
from tests.world import Tally


@dataclass(frozen=True, slots=True)
class Servers:
    """The real servers that all faults share; one that has to be stopped is the fault's own."""

    kafka: str
    mlflow: str
    influx: InfluxServer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a fault.

    Attributes
    ----------
    tried
        How often the fault was made.
    events
        What had to be counted once: predictions, reports, rollbacks or notices, as `what` says.
    revised
        Reports with a later revision.
    recovered_s
        Longest time, in seconds, from the fault's end until what had come in meanwhile was dealt with.
    kills
        Processes killed.
    wrong
        What is not as it must be, beside events lost and doubled.
    """

    tried: int
    events: int
    lost: int
    doubled: int
    recovered_s: float
    revised: int = 0
    kills: int = 0
    what: str = "predictions"
    wrong: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


#: Makes a fault, often: given the servers, a folder of its own, and its dice.
Fault = Callable[[Servers, Path, random.Random], Outcome]


def outcome_of(tally: Tally, *, tried: int, recovered_s: float, kills: int = 0) -> Outcome:
    """The outcome of a fault under the traffic of a world."""
    return Outcome(
        tried=tried,
        events=tally.events,
        lost=tally.lost,
        doubled=tally.doubled,
        recovered_s=recovered_s,
        revised=tally.revised,
        kills=kills,
        wrong=tally.wrong,
    )

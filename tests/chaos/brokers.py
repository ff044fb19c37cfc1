"""Kafka restarted, killed, and away for a minute: a broker of the fault's own, and a publisher with a spool."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from monitor.servers import KafkaServer
from monitor.testing import until
from tests.chaos.outcome import Fault, Outcome, Servers, outcome_of
from tests.chaos.recovery import Recovery
from tests.chaos.workers import PATIENCE, under_load

Blow = Callable[[KafkaServer, random.Random], None]


def broken(blow: Blow, times: int, servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Strike the broker under load, again and again; workers and publisher live through it by themselves."""
    with (
        KafkaServer(folder / "kafka") as kafka,
        under_load(replace(servers, kafka=kafka.bootstrap), folder, dice) as world,
    ):
        for _ in range(2):
            world.deployment.run("stream")
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        for _ in range(times):
            threading.Event().wait(dice.uniform(2, 5))
            blow(kafka, dice)
            recovery.mark()
            steps = world.traffic.steps
            until(lambda since=steps: world.traffic.steps > since + 40, deadline=PATIENCE)
        world.finish()
        return outcome_of(world.tally(), tried=times, recovered_s=recovery.end())


def restart(kafka: KafkaServer, _: random.Random) -> None:
    """Shut down in order, and start again."""
    kafka.restart()


def kill(kafka: KafkaServer, _: random.Random) -> None:
    """SIGKILL, as a power cut, and start again."""
    kafka.kill()
    kafka.start()


def away(kafka: KafkaServer, _: random.Random) -> None:
    """Nobody answers for a minute."""
    kafka.stop()
    gone = time.monotonic()
    until(lambda: time.monotonic() > gone + 60, deadline=120, pause=0.5)
    kafka.start()


FAULTS: dict[str, Fault] = {
    "Kafka restarts": partial(broken, restart, 2),
    "Kafka is killed": partial(broken, kill, 2),
    "Kafka away for a minute": partial(broken, away, 1),
}

"""Workers killed at named moments and at random ones, stopped politely, frozen, joined by others and left."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from monitor.servers import Process
from monitor.testing import until
from tests.chaos.doomed import Doomed
from tests.chaos.outcome import Fault, Outcome, Servers, outcome_of
from tests.chaos.recovery import Recovery
from tests.deployment import Deployment, kill_worker
from tests.traffic import PARTITIONS
from tests.world import POLICY, World

#: Seconds that anything may take before it is taken to hang.
PATIENCE = 240.0

SESSION = 6.0


#: Of the traffic, at least: some five windows, two of which late events revise.
STEPS = 200


@contextmanager
def under_load(
    servers: Servers, folder: Path, dice: random.Random, *, own: bool = False, **more: str
) -> Iterator[World]:
    """A deployment of its own on these servers; of versions of its own, if they are to be spoilt."""
    deployment = Deployment(
        servers.kafka,
        servers.mlflow,
        folder,
        POLICY,
        MONITOR_STREAM__PARTITIONS=str(PARTITIONS),
        MONITOR_STREAM__IDLE_SECONDS="3",
        MONITOR_STREAM__SESSION_SECONDS=str(SESSION),
        **more,
    )
    seed, spool = dice.randrange(1 << 31), folder / "spool"
    world = World(deployment, servers.mlflow, seed, spool=spool, enough=STEPS, own=own)
    try:
        yield world
    finally:
        world.traffic.over.set()
        deployment.stop()


def doomed(deployment: Deployment, moment: str, nth: int, role: str) -> Doomed:
    """Start the monitor in a process that kills itself at the moment's nth time."""
    words = ["run", "--once", "--role", role]
    return Doomed(moment, nth, words, deployment.environment, deployment.folder / "doomed.log")


#: Moments of counting, and how often each may pass before it is the last.
MOMENTS = {
    "mid-fold": 30,
    "in the transaction": 5,
    "after the commit": 5,
    "taking over": 1,
    "judging": 6,
}


def killed_at_moments(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Beside a worker that stays, one after the other dies, seven at each moment."""
    blows = [moment for moment in MOMENTS for _ in range(7)]
    dice.shuffle(blows)
    with under_load(servers, folder, dice) as world:
        world.deployment.run("stream")
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        for moment in blows:
            nth = dice.randint(1, MOMENTS[moment])
            print(f"          {moment}, time {nth}", flush=True)
            doomed(world.deployment, moment, nth, "stream").wait(PATIENCE)
            recovery.mark()
        world.finish()
        longest = recovery.end()
        return outcome_of(world.tally(), tried=len(blows), recovered_s=longest, kills=len(blows))


def killed_at_random(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Worker alone, which its parent starts again; and all of it, as if the machine were gone."""
    times = 6
    with under_load(servers, folder, dice) as world:
        workers = [world.deployment.run("stream"), world.deployment.run("stream")]
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        for blow in range(times):
            threading.Event().wait(dice.uniform(1, 6))
            place = dice.randrange(2)
            if blow % 2:
                kill_worker(workers[place])
            else:
                workers[place].kill()
                workers[place] = world.deployment.run("stream")
            recovery.mark()
        world.finish()
        longest = recovery.end()
        return outcome_of(world.tally(), tried=times, recovered_s=longest, kills=times)


def stopped(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """SIGTERM: drains, writes what it has, leaves the group, ends with 0."""
    times = 3
    with under_load(servers, folder, dice) as world:
        world.deployment.run("stream")
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        wrong = []
        for _ in range(times):
            worker = world.deployment.run("stream")
            until(partial(has_taken_over, worker), deadline=PATIENCE)
            threading.Event().wait(dice.uniform(0.5, 3))
            worker.stop(grace_seconds=PATIENCE)
            recovery.mark()
            if worker.exit_code != 0:
                wrong.append(f"SIGTERM ended it with {worker.exit_code}")
        world.finish()
        made = outcome_of(world.tally(), tried=times, recovered_s=recovery.end())
        return replace(made, wrong=(*made.wrong, *wrong))


def joined_and_left(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """A second and a third worker join under load; the first and the second leave."""
    with under_load(servers, folder, dice) as world:
        first = world.deployment.run("stream")
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        workers = [first]
        for _ in range(2):
            workers.append(world.deployment.run("stream"))
            until(partial(has_taken_over, workers[-1]), deadline=PATIENCE)
            recovery.mark()
        for worker in workers[:2]:
            worker.stop(grace_seconds=PATIENCE)
            recovery.mark()
        world.finish()
        return outcome_of(world.tally(), tried=4, recovered_s=recovery.end())


def frozen(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """SIGSTOP past the session, then SIGCONT: the one that wakes is fenced, and writes nothing."""
    times = 3
    with under_load(servers, folder, dice) as world:
        workers = [world.deployment.run("stream"), world.deployment.run("stream")]
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        for blow in range(times):
            worker = workers[blow % 2]
            until(partial(has_taken_over, worker), deadline=PATIENCE)
            worker.send(signal.SIGSTOP)
            frozen_at = time.monotonic()
            recovery.mark()  # the others go on without it
            until(lambda since=frozen_at: time.monotonic() > since + SESSION + 3, pause=0.2)
            worker.send(signal.SIGCONT)
            recovery.mark()
        world.finish()
        return outcome_of(world.tally(), tried=times, recovered_s=recovery.end())


def two_monitors(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Two deployments, of other names, on the same topics by mistake: they fence each other, and each event counts once."""
    with under_load(servers, folder, dice) as world:
        world.deployment.run("stream")
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        other = world.deployment.run(
            "stream", MONITOR_STREAM__APP=f"other-{dice.randrange(1 << 31)}"
        )
        until(partial(has_taken_over, other), deadline=PATIENCE)
        threading.Event().wait(15)
        other.stop(grace_seconds=PATIENCE)
        recovery.mark()
        world.finish()
        return outcome_of(world.tally(), tried=1, recovered_s=recovery.end())


def has_taken_over(worker: Process) -> bool:
    """Whether it has partitions, and so hears signals."""
    return "partitions taken over" in worker.log.read_text()


FAULTS: dict[str, Fault] = {
    f"killed {len(MOMENTS)} ways while counting": killed_at_moments,
    "killed at random": killed_at_random,
    "stopped politely": stopped,
    "rebalance": joined_and_left,
    "frozen past its session": frozen,
    "two monitors count": two_monitors,
}

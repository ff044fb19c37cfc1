"""Whatever happens to the workers, the reports say what an offline computation over all events says."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from monitor.testing import until
from tests.deployment import Deployment, kill_worker
from tests.traffic import PARTITIONS
from tests.world import POLICY, World

pytestmark = pytest.mark.kafka

#: Seconds that a slow machine is given to end in order.
PATIENCE = 120.0


@pytest.fixture
def world(kafka, mlflow_uri, tmp_path):
    seed = int(os.environ.get("WORKERS_SEED", "5"))
    sys.stdout.write(f"WORKERS_SEED={seed}\n")
    deployment = Deployment(
        kafka.bootstrap, mlflow_uri, tmp_path, POLICY,
        MONITOR_STREAM__PARTITIONS=str(PARTITIONS), MONITOR_STREAM__IDLE_SECONDS="3",
    )  # fmt: skip
    made = World(deployment, mlflow_uri, seed)
    yield made
    made.traffic.over.set()
    deployment.stop()


def check(world: World) -> None:
    """Every event counts once, every report is right, and the traffic was as odd as it should be."""
    tally = world.tally()
    assert (tally.lost, tally.doubled, tally.wrong) == (0, 0, ())
    assert tally.revised > 0
    kinds = world.traffic.kinds
    assert kinds["twice"] > 100
    assert min(kinds[kind] for kind in ("late", "2099", "mis-keyed", "garbled")) > 0, kinds
    assert len({report.partition for report in world.reports}) > 1
    for line in world.lines:  # the sparsest version's windows are two or three of the clock's
        assert len(world.latest(line, world.reports)) > 2


def test_reports_equal_the_offline_computation_though_workers_are_killed_under_load(world):
    deployment, dice = world.deployment, world.dice
    workers = [deployment.run("stream"), deployment.run("stream")]
    world.begin()
    for blow in range(4):
        threading.Event().wait(dice.uniform(2, 6))
        place = dice.randrange(2)
        if blow % 2:
            kill_worker(workers[place])  # its parent starts it again
        else:
            workers[place].kill()  # as if the machine were gone
            workers[place] = deployment.run("stream")
    world.finish()
    for worker in workers:
        worker.stop(grace_seconds=PATIENCE)
    assert "the worker failed; it is started again" in deployment.logs()
    check(world)


def test_reports_equal_the_offline_computation_though_a_worker_joins_and_another_leaves(world):
    deployment = world.deployment
    first = deployment.run("stream")
    world.begin()
    second = deployment.run("stream")
    until(lambda: "partitions taken over" in second.log.read_text(), deadline=240)
    shared = len(world.reports)
    until(lambda: len(world.reports) > shared + 20, deadline=240, pause=0.5)
    first.stop(grace_seconds=PATIENCE)
    assert first.exit_code == 0
    world.finish()
    second.stop(grace_seconds=PATIENCE)
    check(world)

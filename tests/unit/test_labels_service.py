"""`monitor labels judge` as a service: killed it comes back, and it says how it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

from monitor.errors import StoreError
from monitor.health import Health
from monitor.outcomes.judge import LabelJudge
from monitor.servers import free_ports
from monitor.testing import until
from tests.archive import TODAY
from tests.conftest import REPOSITORY
from tests.labels import LabelWorld, people


def answers(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status
    except URLError as error:
        return getattr(error, "code", 0)


def child_of(process: subprocess.Popen) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else 0


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who the child is")
def test_a_judge_that_is_killed_is_started_again_and_one_that_is_asked_to_ends(tmp_path):
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "MONITOR_KAFKA__BOOTSTRAP": "127.0.0.1:1",  # without labels nothing is said
        "MONITOR_STORE__PATH": str(tmp_path / "reports.db"),
        "MONITOR_LOG__PATH": str(tmp_path / "log"),
        "MONITOR_LOG__MASTER_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "MONITOR_HEALTH__PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "labels", "judge"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(port, "/readyz") == 200, what="the judge is ready", deadline=120)
        first = child_of(process)
        os.kill(first, signal.SIGKILL)
        until(
            lambda: child_of(process) not in {0, first} and answers(port, "/readyz") == 200,
            what="another one is ready",
            deadline=120,
        )
        process.terminate()
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()


def test_what_a_judge_waits_for_is_said_and_is_over_when_it_is(tmp_path, monkeypatch):
    world, health, stop = LabelWorld(tmp_path), Health(), threading.Event()
    world.label(world.serve(people(300, 7)))
    pulse = health.pulse("judge")
    judge = LabelJudge(
        world.log,
        world.store,
        world,
        world.policy,
        world.ear,
        patience=3600.0,
        now=TODAY.timestamp,
        pulse=pulse,
    )
    said: list[str] = []
    models = world.log.models

    def away_at_first():
        said.append(pulse.waits_for)
        if len(said) == 1:
            raise StoreError("the bucket is away")
        if len(said) == 3:
            stop.set()
        return models()

    monkeypatch.setattr(world.log, "models", away_at_first)
    judge.run(stop, seconds=0.01)
    assert said == ["it has just started", "the bucket is away", ""]
    assert len(world.ear.reports) == 1
    world.close()

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from monitor.supervise import supervise

CHILD = """
import os, pathlib, sys, time
runs = pathlib.Path(sys.argv[1])
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
sys.exit(int(sys.argv[2]) if len(runs.read_text()) < 3 else 0)
"""

PARENT = """
import os, sys
from monitor.supervise import supervise
sys.exit(supervise([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], environment=os.environ))
"""

FOLLOWER = """
import os, pathlib, signal, sys, threading
from monitor.supervise import follow_parent
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
follow_parent(os.environ)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
while not ended.wait(0.05): pass
pathlib.Path(sys.argv[1]).write_text("ended")
"""


def run(status: int, runs: Path) -> int:
    command = [sys.executable, "-c", CHILD, str(runs), str(status)]
    return supervise(command, environment=os.environ, first_wait=0.01)


def wait_for(path: Path, text: str | None = None) -> str:
    end = time.monotonic() + 120
    while not path.exists() or not path.read_text() or (text and path.read_text() != text):
        assert time.monotonic() < end, f"{path} never said {text or 'anything'}"
        threading.Event().wait(0.02)
    return path.read_text()


def test_a_worker_that_fails_is_started_again_until_it_ends_well(tmp_path):
    assert run(70, tmp_path / "runs") == 0
    assert (tmp_path / "runs").read_text() == "xxx"


CROSS = """
import pathlib, sys, time
runs = pathlib.Path(sys.argv[1])
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
if len(runs.read_text()) <= 5: sys.exit(70)
while not runs.with_name("told").exists(): time.sleep(0.05)
"""


def test_who_is_on_call_hears_once_of_a_worker_that_keeps_failing_and_once_that_it_is_well(
    tmp_path,
):
    told = []

    def tell(alive):
        told.append(alive)
        if alive:
            (tmp_path / "told").touch()  # the worker ends when it was said to be well

    command = [sys.executable, "-c", CROSS, str(tmp_path / "runs")]
    # Long enough for the five that fail to do so, whatever the machine is busy with.
    status = supervise(command, environment=os.environ, first_wait=0.01, tell=tell, well_after=5.0)
    assert (status, told) == (0, [False, True])


def test_bad_settings_are_not_tried_again(tmp_path):
    assert run(2, tmp_path / "runs") == 2
    assert (tmp_path / "runs").read_text() == "x"


def follow(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PARENT, FOLLOWER, str(path)], cwd=Path.cwd())


def test_a_request_to_end_is_handed_on_and_nothing_is_restarted(tmp_path):
    parent = follow(tmp_path / "child")
    wait_for(tmp_path / "child")
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(120) == 0
    assert (tmp_path / "child").read_text() == "ended"


def test_a_child_ends_in_order_when_its_parent_is_killed(tmp_path):
    parent = follow(tmp_path / "child")
    wait_for(tmp_path / "child")
    parent.kill()
    parent.wait(120)
    wait_for(tmp_path / "child", "ended")

"""Keeps a worker running: the parent of its process."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

import structlog

log = structlog.get_logger(__name__)

#: Names, in the child's environment, the pipe whose end means that the parent is gone.
LIFELINE = "MONITOR_LIFELINE"

FIRST_WAIT, LAST_WAIT = 1.0, 60.0

#: Seconds after which a worker that ran is taken to be well again.
WELL_AFTER = 120.0

#: Failures in a row after which it is called dead.
DEAD_AFTER = 3

#: Exit status after an error that nobody expected (EX_SOFTWARE): worth a restart.
FAILED = 70

#: Exit statuses that a restart does not cure: bad input at the desk, and bad settings.
HOPELESS = frozenset({2, 78})


def supervise(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    first_wait: float = FIRST_WAIT,
    random_: Callable[[], float] = random.random,
    tell: Callable[[bool], None] = lambda _: None,
    well_after: float = WELL_AFTER,
) -> int:
    """Run a command until it ends well, or is asked to end; restart it, with growing pauses, when it fails.

    SIGTERM and SIGINT are handed on to the child, and then nothing is restarted. The child hears of the parent's
    death, however sudden, through a pipe: see `follow_parent`.

    Parameters
    ----------
    environment
        Of the child; the lifeline is added.
    first_wait
        Seconds before the first restart; doubled for each further one, up to a minute, and spread at random.
    tell
        Called with False once it has failed `DEAD_AFTER` times in a row, and with True once it is well again.
    well_after
        Seconds after which a child that runs is taken to be well.

    Returns
    -------
    int
        The child's last exit status; 128 + N after signal N.
    """
    asked = threading.Event()
    child: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, _: FrameType | None) -> None:
        asked.set()
        if child is not None and child.poll() is None:
            child.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    wait, health = first_wait, _Health(tell, well_after)
    try:
        while True:
            started = time.monotonic()
            reading, writing = os.pipe()
            try:
                child = subprocess.Popen(
                    command, pass_fds=[reading], env={**environment, LIFELINE: str(reading)}
                )
                os.close(reading)
                if asked.is_set():
                    child.terminate()
                status = health.wait_for(child)
            finally:
                os.close(writing)
            status = 128 - status if status < 0 else status
            if asked.is_set() or status == 0 or status in HOPELESS:
                return status
            if time.monotonic() - started > well_after:
                wait = first_wait
            health.failed()
            pause = wait * (0.5 + random_())
            log.error(
                "the worker failed; it is started again", status=status, seconds=round(pause, 1)
            )
            if asked.wait(pause):
                return status
            wait = min(2 * wait, LAST_WAIT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Health:
    """Tells once that a worker keeps failing, and once that it is well again."""

    def __init__(self, tell: Callable[[bool], None], well_after: float) -> None:
        self._tell = tell
        self._well_after = well_after
        self._failures = 0

    def wait_for(self, child: subprocess.Popen[bytes]) -> int:
        """Wait for the child's end; return its status."""
        if self._failures:
            try:
                return child.wait(self._well_after)
            except subprocess.TimeoutExpired:
                if self._failures >= DEAD_AFTER:
                    self._tell(True)
                self._failures = 0
        return child.wait()

    def failed(self) -> None:
        """It failed once more."""
        self._failures += 1
        if self._failures == DEAD_AFTER:
            self._tell(False)


def follow_parent(environment: Mapping[str, str]) -> None:
    """In the child: ask this process to end, in order, once the parent is gone. Without a lifeline, nothing."""
    if LIFELINE in environment:
        lifeline = int(environment[LIFELINE])
        threading.Thread(target=_hold, args=(lifeline,), name="lifeline", daemon=True).start()


def _hold(lifeline: int) -> None:
    # Nobody ever writes: this returns when the other end is closed, by the parent's death if by nothing else.
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)

"""One server process: started, waited for, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from monitor.errors import MonitorError
from monitor.servers import guard

_POLL_SECONDS = 0.05


class Process:
    """A command in a process group of its own, that ends when its owner ends.

    Leaving the ``with`` block stops it. So does the end of this Python process in any way, SIGKILL
    included: see :mod:`monitor.servers.guard`.

    Parameters
    ----------
    name
        What to call it in errors, such as ``Kafka``.
    command
        Program and arguments.
    log
        File that gets its standard output and error, appended.
    env
        Variables set beside those of this process.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command = [str(part) for part in command]
        self._env = {**os.environ, **(env or {})}
        self._guard: subprocess.Popen[bytes] | None = None
        self._gone = False  # and its process id may be another's by now

    def start(self) -> None:
        """Start the command; returns at once."""
        if self.running:
            raise MonitorError("it runs already", where=self.name, fix="Stop it first.")
        self.kill()  # what an earlier start may have left
        self._gone = False
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the command was started and has not ended."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code of the command, 128 + n for signal n; None while it runs."""
        return None if self._guard is None else self._guard.poll()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until `ready` says yes.

        Raises
        ------
        MonitorError
            When the command ends first, or `seconds` pass; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise self._failure(f"ended with exit code {self.exit_code} while starting")
            if time.monotonic() > deadline:
                self.kill()
                raise self._failure(f"did not answer within {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)

    def wait(self, *, seconds: float) -> int:
        """Wait until the command ends by itself; its exit code."""
        self.wait_until(lambda: not self.running, seconds=seconds)
        code = self.exit_code
        assert code is not None
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command and all that it has started."""
        if self._guard is not None and not self._gone:
            with contextlib.suppress(ProcessLookupError):  # all of them have ended already
                os.killpg(self._guard.pid, number)

    def stop(self, *, grace_seconds: float = guard.GRACE_SECONDS) -> None:
        """SIGTERM, and SIGKILL for whatever is left after `grace_seconds`."""
        if self._guard is None or self._gone:
            return
        self.send(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(grace_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL: no goodbye. Returns when the command is gone, and its ports are free."""
        if self._guard is None or self._gone:
            return
        assert self._guard.stdin is not None
        if self._guard.poll() is None:
            with contextlib.suppress(ProcessLookupError, BrokenPipeError):  # it ends just now
                self._guard.send_signal(
                    signal.SIGCONT
                )  # the guard's alone; the rest may be stopped
                os.write(self._guard.stdin.fileno(), guard.KILL)
            self._guard.wait()
        self.send(signal.SIGKILL)  # for what the command itself has started
        self._guard.stdin.close()
        self._gone = True

    def tail(self, *, lines: int = 15) -> str:
        """Last lines of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _failure(self, what: str) -> MonitorError:
        tail = self.tail() or "(nothing)"
        return MonitorError(
            f"{what}. The end of its log:\n{tail}\n",
            where=self.name,
            fix=f"The whole log is in {self.log}.",
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

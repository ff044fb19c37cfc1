"""Runs one command, and takes it along when whoever asked for it is gone.

Started as a script by :class:`monitor.servers.process.Process`, at the head of a process group of
its own. Its standard input is a pipe from the owner: when the other end closes, for whatever reason (even
SIGKILL), the whole group is stopped. Only the standard library, so that it starts fast.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 10.0
#: What the owner writes to have the command killed, and reaped: only then are its ports surely free.
KILL = b"k"


def main(command: list[str]) -> int:
    """Run the command to its end, or to the end of standard input; its exit code."""
    # The group's SIGTERM is for the command. A handler and not SIG_IGN: a child inherits that.
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    orphaned, ended = threading.Event(), threading.Event()

    def listen() -> None:
        if os.read(0, 1) == KILL:
            child.kill()
            return
        orphaned.set()
        os.killpg(0, signal.SIGTERM)
        if not ended.wait(GRACE_SECONDS):
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=listen, daemon=True).start()
    code = child.wait()
    ended.set()
    if orphaned.is_set():  # nobody is left to look after what the command itself has started
        os.killpg(0, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What the commands that last have in common: who starts them again, and what ends them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

import click

from monitor.cli.options import SETTINGS_FILE
from monitor.supervise import supervise


def supervised(
    context: click.Context, *words: str, tell: Callable[[bool], None] = lambda _: None
) -> int:
    """Run `monitor` with these words, started again when it fails; return its last exit status.

    Parameters
    ----------
    context
        Its settings file goes to the child.
    tell
        As of `monitor.supervise.supervise`.
    """
    command = [sys.executable, "-m", "monitor", *words]
    file = context.meta.get(SETTINGS_FILE)
    if file is not None:
        command += ["--settings", str(file)]
    return supervise(command, environment=os.environ, tell=tell)


def asked_to_stop() -> threading.Event:
    """Return what SIGTERM and Ctrl-C set from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop

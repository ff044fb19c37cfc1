"""`monitor archive`: writes every prediction into the prediction log."""

from __future__ import annotations

import signal
import threading

import click

from monitor.bootstrap import run_archiver
from monitor.cli.options import settings_option
from monitor.cli.run import log_as_json
from monitor.settings import Settings


@click.command()
@settings_option
def archive(settings: Settings) -> None:
    """Copy topic `predictions` into the prediction log, each event once; until SIGTERM or Ctrl-C.

    Start several to share the partitions. It needs `pip install 'model-monitor[log]'` and a master key.
    """
    log_as_json()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_archiver(settings, stop)

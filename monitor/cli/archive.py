"""`monitor archive`: writes every prediction into the prediction log."""

from __future__ import annotations

import os

import click

from monitor.bootstrap import run_archiver, shown_health
from monitor.cli.options import settings_option
from monitor.cli.run import log_as_json
from monitor.cli.supervised import asked_to_stop, supervised
from monitor.errors import KafkaError, StoreError
from monitor.settings import Settings
from monitor.supervise import FAILED, follow_parent


@click.command()
@click.option("--once", is_flag=True, help="Do not start it again when it fails.")
@settings_option
@click.pass_context
def archive(context: click.Context, settings: Settings, *, once: bool) -> None:
    """Copy topic `predictions` into the prediction log, each event once; until SIGTERM or Ctrl-C.

    Start several to share the partitions. One that fails is started again, with growing pauses. It needs
    `pip install 'model-monitor[worker,log]'` and a master key.
    """
    log_as_json()
    if once:
        follow_parent(os.environ)
        context.exit(_work(settings))
    context.exit(supervised(context, "archive", "--once"))


def _work(settings: Settings) -> int:
    """Archive; what may be cured by waiting ends with a status that has the parent try again."""
    stop = asked_to_stop()
    try:
        with shown_health(settings) as health:
            run_archiver(settings, stop, health)
    except (KafkaError, StoreError) as error:
        click.echo(f"monitor: {error}", err=True)
        return FAILED
    return 0

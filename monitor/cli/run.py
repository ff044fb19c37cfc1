"""`monitor run`: the monitor itself."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import click
import structlog

from monitor.actions.notice import Kind, Notice
from monitor.actions.outbox import Refused
from monitor.bootstrap import open_pager
from monitor.cli.options import settings_option
from monitor.cli.supervised import supervised
from monitor.errors import KafkaError, RegistryUnavailable, StoreError, without_credentials
from monitor.settings import Settings
from monitor.supervise import FAILED, follow_parent

#: A worker has a core. Work as small as a window's costs BLAS more to hand to its threads than to do; each library
#: reads its variable when it is loaded.
_ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@click.command()
@click.option(
    "--role",
    type=click.Choice(["act", "all", "stream"]),
    default="all",
    show_default=True,
    help="stream counts and judges; act rolls back, tells, and fills the store.",
)
@click.option("--once", is_flag=True, help="Do not start it again when it fails.")
@settings_option
@click.pass_context
def run(context: click.Context, role: str, settings: Settings, *, once: bool) -> None:
    """Count predictions, judge windows, act on verdicts; until SIGTERM or Ctrl-C.

    A worker that fails is started again, with growing pauses. Start several to share the load.
    """
    log_as_json()
    if once:
        follow_parent(os.environ)
        context.exit(_work(settings, role))
    context.exit(supervised(context, "run", "--once", "--role", role, tell=_pager(settings)))


def _pager(settings: Settings) -> Callable[[bool], None]:
    """Return what wakes somebody when the worker keeps failing: a dead worker cannot do that itself."""
    incident = f"monitor:{settings.stream.app}:{socket.gethostname()}"

    def tell(alive: bool) -> None:  # noqa: FBT001 - the supervisor's own
        pager = open_pager(settings)
        if pager is None:
            return
        state = "runs again" if alive else "fails again and again: nothing is watched"
        notice = Notice(
            key=f"{incident}:{time.time():.0f}",
            kind=Kind.ALIVE if alive else Kind.DEAD,
            incident=incident,
            title=f"The monitor {settings.stream.app} on {socket.gethostname()} {state}",
            steps=("monitor doctor",),
        )
        try:
            pager.send(notice)
        except Refused as refused:
            structlog.get_logger(__name__).warning("nobody could be woken", error=str(refused))

    return tell


def _work(settings: Settings, role: str) -> int:
    """Work; what may be cured by waiting ends with a status that has the parent try again."""
    for library, threads in _ONE_CORE.items():
        os.environ.setdefault(library, threads)
    from monitor.work import work  # Faust, MLflow and pandas: the parent lives without them

    try:
        return work(settings, role)
    except (KafkaError, RegistryUnavailable, StoreError) as error:
        click.echo(f"monitor: {error}", err=True)
        return FAILED


def _conceal_credentials(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Leave out of the log who may get in at an address, whatever library named it."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = without_credentials(value)
    return event


def log_as_json() -> None:
    """Let this process write its log to stderr, a JSON object a line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _conceal_credentials,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )

"""The command `monitor`: one file a command, loaded when it is called."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

import click

from monitor import __version__
from monitor.cli.extras import end_if_not_installed
from monitor.cli.group import LazyGroup
from monitor.errors import MonitorError

#: Exit codes; `contents.EXIT_CODES` says what they mean. A worker that ends with `BROKEN` is started again.
OK, BREACH, BAD_INPUT, BROKEN, INTERRUPTED = 0, 1, 2, 70, 130

#: Command to the place of its click object.
COMMANDS = {
    "archive": "monitor.cli.archive:archive",
    "audit": "monitor.cli.audit:audit",
    "backtest": "monitor.cli.backtest:backtest",
    "baseline": "monitor.cli.baseline:baseline",
    "compare": "monitor.cli.compare:compare",
    "decisions": "monitor.cli.records:decisions",
    "demo": "monitor.cli.demo:demo",
    "doctor": "monitor.cli.doctor:doctor",
    "explain": "monitor.cli.explain:explain",
    "labels": "monitor.cli.labels:labels",
    "log": "monitor.cli.log:log",
    "policy": "monitor.cli.policy:policy",
    "replay": "monitor.cli.replay:replay",
    "reports": "monitor.cli.records:reports",
    "rollback": "monitor.cli.rollback:rollback",
    "run": "monitor.cli.run:run",
    "status": "monitor.cli.status:status",
    "top": "monitor.cli.top:top",
    "web": "monitor.cli.web:web",
}


@click.group(
    cls=LazyGroup,
    places=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, prog_name="monitor")
def cli() -> None:
    """Watch served models, see them turn unfair, and undo it.

    Settings come from MONITOR_* variables, secrets from them or from files named by MONITOR_*_FILE.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; a wrong input ends with one sentence and exit code 2."""
    colour = False if os.environ.get("NO_COLOR") else None  # no-color.org; rich knows it by itself
    try:
        # Without its own handling of errors, click returns the code of `Context.exit`.
        code = cli.main(args=arguments, prog_name="monitor", standalone_mode=False, color=colour)
    except MonitorError as error:
        click.echo(f"monitor: {error}", err=True)
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        error.show()
        sys.exit(BAD_INPUT)
    except click.Abort:
        click.echo("monitor: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last place where it can be told from a breach
        if isinstance(error, ModuleNotFoundError):
            end_if_not_installed(error)
        traceback.print_exc()
        click.echo("monitor: this is a fault of the monitor. Please report it.", err=True)
        sys.exit(BROKEN)
    sys.exit(code if isinstance(code, int) else OK)

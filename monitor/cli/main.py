"""The command `monitor`: one file a command, loaded when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from monitor import __version__
from monitor.errors import MonitorError

#: Exit codes: all is well; a breach was found, or a check failed; the input or a setting is wrong.
OK, BREACH, BAD_INPUT = 0, 1, 2

#: As shells have it for Ctrl-C.
INTERRUPTED = 130

#: Command to the place of its click object.
COMMANDS = {
    "archive": "monitor.cli.archive:archive",
    "audit": "monitor.cli.audit:audit",
    "baseline": "monitor.cli.baseline:baseline",
    "compare": "monitor.cli.compare:compare",
    "decisions": "monitor.cli.records:decisions",
    "demo": "monitor.cli.demo:demo",
    "doctor": "monitor.cli.doctor:doctor",
    "explain": "monitor.cli.explain:explain",
    "log": "monitor.cli.log:log",
    "policy": "monitor.cli.policy:policy",
    "replay": "monitor.cli.replay:replay",
    "reports": "monitor.cli.records:reports",
    "rollback": "monitor.cli.rollback:rollback",
    "run": "monitor.cli.run:run",
    "status": "monitor.cli.status:status",
}


class LazyGroup(click.Group):
    """Imports a command's module when it is asked for: `monitor --help` needs no pandas."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the commands' names."""
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Return a command by name."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="monitor")
def cli() -> None:
    """Watch served models, see them turn unfair, and undo it.

    Settings come from MONITOR_* variables, secrets from them or from files named by MONITOR_*_FILE.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; a wrong input ends with one sentence and exit code 2."""
    try:
        # Without its own handling of errors, click returns the code of `Context.exit`.
        code = cli.main(args=arguments, prog_name="monitor", standalone_mode=False)
    except MonitorError as error:
        click.echo(f"monitor: {error}", err=True)
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        error.show()
        sys.exit(BAD_INPUT)
    except click.Abort:
        click.echo("monitor: interrupted", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else OK)

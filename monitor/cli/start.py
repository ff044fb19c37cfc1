"""Where the console script begins: before anything is imported that the plain install does not have."""

from __future__ import annotations

from typing import NoReturn

from monitor.cli.extras import end_if_not_installed


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line, if it is installed."""
    try:
        from monitor.cli.main import main as run
    except ModuleNotFoundError as error:
        end_if_not_installed(error)
        raise
    run(arguments)

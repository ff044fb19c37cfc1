"""`monitor web`: the page and the HTTP interface."""

from __future__ import annotations

from collections.abc import Mapping

import click
from pydantic import ValidationError

from monitor.cli.options import settings_option
from monitor.cli.run import log_as_json
from monitor.errors import SettingsError
from monitor.settings import Settings, Web


@click.command()
@click.option("--host", help="Address to listen on, instead of web.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port, instead of web.port; 0: any.")
@settings_option
def web(host: str | None, port: int | None, settings: Settings) -> None:
    """Serve the page and the HTTP interface, until SIGTERM or Ctrl-C.

    Without web.auth only this machine is listened to, and everybody on it is a reader.
    """
    from monitor.web.server import serve

    log_as_json()
    said = {"host": host, "port": port}
    given = {name: value for name, value in said.items() if value is not None}
    serve(settings.model_copy(update={"web": _with(settings.web, given)}))


def _with(web: Web, given: Mapping[str, object]) -> Web:
    """Return the settings with what was given on the command line, all that goes together checked."""
    try:
        return Web.model_validate(
            {**{name: getattr(web, name) for name in Web.model_fields}, **given}
        )
    except ValidationError as error:
        sentence = "; ".join(str(fault["msg"]) for fault in error.errors())
    raise SettingsError(sentence.removeprefix("Value error, "), where="web")

"""The application, listening."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import structlog
import uvicorn

from monitor.errors import SettingsError
from monitor.web.app import create_app

if TYPE_CHECKING:
    from monitor.settings import Settings

log = structlog.get_logger(__name__)

#: Seconds that answers under way are given when the server is told to end.
_GRACE = 10

#: Connections at once; more are told to come again.
_CONNECTIONS = 200


def serve(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT.

    Raises
    ------
    SettingsError
        If the address cannot be listened on.
    """
    web = settings.web
    app = create_app(settings)
    listener = _listen(web.host, web.port)
    host, port = listener.getsockname()[:2]
    log.info("listening", url=f"http://{host}:{port}", auth=web.auth)
    config = uvicorn.Config(
        app,
        # It would write what stands after the question mark, which may name a person.
        access_log=False,
        log_level="warning",
        log_config=None,
        server_header=False,
        # Whose address a proxy claims to speak for is of no use here, and could be made up.
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}",
            where="web.host, web.port",
            fix="Choose another port, or end what listens there.",
        ) from error

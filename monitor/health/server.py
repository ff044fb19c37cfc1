"""`/metrics`, `/livez` and `/readyz` of one process."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
import structlog
from prometheus_client import make_wsgi_app

from monitor.errors import SettingsError
from monitor.health.health import Health

log = structlog.get_logger(__name__)

Start = Callable[[str, list[tuple[str, str]]], Any]


class HealthServer:
    """Answers in threads of its own; where the port is taken, on a free one, which it says.

    Nothing here is secret, but model names are there to be read: it listens on this machine only, unless told else.

    Parameters
    ----------
    host, port
        Where to listen; port 0 is any free one.

    Raises
    ------
    SettingsError
        If nobody can listen there.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> with HealthServer(Health(), "127.0.0.1", 0) as server:
    ...     urlopen(f"{server.address}/livez").read()
    b'{"alive":true,"hangs":{}}'
    """

    def __init__(self, health: Health, host: str, port: int) -> None:
        self._health = health
        self._metrics = make_wsgi_app(health.registry)
        self._server = self._listen(host, port)
        self.address = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="health", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _listen(self, host: str, port: int) -> WSGIServer:
        try:
            return make_server(host, port, self._answer, _Threads, _Quiet)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port:
                # A second worker on the same machine; its work is worth more than its port.
                log.warning("the health port is taken; another is used", port=port)
                return self._listen(host, 0)
            raise SettingsError(
                f"nobody can listen on {host}:{port} ({error.strerror})",
                where="health.host, health.port",
                fix="Name an address of this machine, and a port that this user may open.",
            ) from error

    def _answer(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        if path == "/livez":
            hangs = self._health.hangs
            return _json(start, {"alive": not hangs, "hangs": hangs}, well=not hangs)
        if path == "/readyz":
            waits = self._health.waits_for
            return _json(start, {"ready": not waits, "waits_for": waits}, well=not waits)
        start("404 Not Found", [("Content-Type", "text/plain")])
        return [b"there are /metrics, /livez and /readyz\n"]


def _json(start: Start, said: dict[str, Any], *, well: bool) -> list[bytes]:
    start(
        "200 OK" if well else "503 Service Unavailable",
        [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")],
    )
    return [msgspec.json.encode(said)]


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    #: Seconds: a client that says nothing does not hold a thread for ever.
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is theirs
        """Say nothing: a probe every few seconds is no news."""

"""A server in front of a real one: it passes everything on, or answers as a server in trouble does."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

#: Of one hop alone, or computed anew.
_HOPS = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said in place of the real server's answer; status 0 hangs up without a word."""

    status: int
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


#: What is answered to a request; None passes it on.
Mood = Callable[[Request], Answer | None]


def passing(_: Request) -> None:
    """All is well."""


def gone(_: Request) -> Answer:
    """Nobody is there."""
    return Answer(0)


def answering(status: int, body: bytes = b"{}", **headers: str) -> Mood:
    """Every request is answered so."""
    return lambda _: Answer(status, body, {k.replace("_", "-"): v for k, v in headers.items()})


def slow(seconds: float) -> Mood:
    """The real answer, late."""

    def mood(_: Request) -> None:
        threading.Event().wait(seconds)

    return mood


class Proxy:
    """Stands in front of the server at an address, on an address of its own.

    Attributes
    ----------
    mood
        Asked with each request.
    passed
        The requests that the real server answered with success.
    """

    def __init__(self, upstream: str) -> None:
        self.mood: Mood = passing
        self.passed: list[Request] = []
        self.troubled = 0
        self._upstream = urlsplit(upstream).netloc
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}{urlsplit(upstream).path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _ask(self, request: Request, headers: Mapping[str, str]) -> tuple[int, list, bytes]:
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            kept = {k: v for k, v in headers.items() if k.lower() not in _HOPS}
            connection.request(request.method, request.path, request.body, kept)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError:  # the real one is down
            return 0, [], b""
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                request = Request(self.command, self.path, body)
                answer = proxy.mood(request)
                if answer is not None:
                    proxy.troubled += 1
                    status, headers, said = answer.status, list(answer.headers.items()), answer.body
                else:
                    status, headers, said = proxy._ask(request, dict(self.headers.items()))
                    if 200 <= status < 300:
                        proxy.passed.append(request)
                if not status:
                    self.close_connection = True
                    return
                with contextlib.suppress(OSError):  # whoever asked has not waited
                    self.send_response(status)
                    for name, value in headers:
                        if name.lower() not in _HOPS:
                            self.send_header(name, value)
                    self.send_header("Content-Length", str(len(said)))
                    self.end_headers()
                    self.wfile.write(said)

            do_GET = do_POST = do_PATCH = do_DELETE = _pass  # noqa: N815 - the base's names

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

"""A local stand-in for Slack: receives what the monitor posts to its webhook."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class SlackReceiver:
    """Keeps the messages posted to `url`.

    Examples
    --------
    >>> import urllib.request
    >>> with SlackReceiver() as slack:
    ...     request = urllib.request.Request(slack.url, b'{"text": "rolled back"}')
    ...     _ = urllib.request.urlopen(request).read()
    ...     slack.texts
    ['rolled back']
    """

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/demo"

    @property
    def texts(self) -> list[str]:
        """The `text` of each message, oldest first."""
        return [str(message.get("text", "")) for message in self._messages]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        messages = self._messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                messages.append(json.loads(body))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name
                """Say nothing: the screen is the story's."""

        return Handler

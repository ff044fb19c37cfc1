"""What stands before and after every route: security headers, a cap on what is sent, one line of log."""

from __future__ import annotations

import time
from typing import Final

import structlog
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

#: Bytes of a request's body, at most: nothing here takes files.
LARGEST_BODY: Final = 64 << 10

#: Everything comes from this server; no other site may frame it, read it, or learn an address from it.
HEADERS: Final[dict[str, str]] = {
    "content-security-policy": (
        # plotly.js makes one empty style element, whose rules it then adds one by one, and places by style attributes.
        "default-src 'self'; style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; "
        "style-src-attr 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class Shield:
    """ASGI middleware. A header that a route sets itself stands.

    The log says method, path, status and time: never what stands after the question mark, which may name a person.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.encode() not in given
                    ),
                ]
            await send(message)

        try:
            body = await _body(receive)
            if body is None:
                refusal = JSONResponse({"error": "the request is too large"}, 413)
                await refusal(scope, receive, guarded)
            else:
                await self._app(scope, body, guarded)
        finally:
            log.info(
                "asked",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(1e3 * (time.perf_counter() - started), 1),
            )


async def _body(receive: Receive) -> Receive | None:
    """Return what gives the whole body, read here; None if it is too large."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return _again(message, receive)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > LARGEST_BODY:
            return None
        more = message.get("more_body", False)
    return _again({"type": "http.request", "body": b"".join(chunks), "more_body": False}, receive)


def _again(first: Message, receive: Receive) -> Receive:
    waiting = [first]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again

"""For services that are not shaped like a model: publish from within a request handler."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

from monitor.events import TRACE_HEADER, PredictionEvent, new_event_id
from monitor.publish.trace import current_traceparent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from monitor.publish.publisher import PredictionPublisher

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]


class MonitorMiddleware:
    """ASGI middleware: gives each request ``request.state.publish(**fields)``.

    The fields are those of `PredictionEvent`; ids, the time and ``latency_ms`` (from the request's arrival
    to the call) are filled in where they are left out, and the session and transaction ids come from
    headers, as does the trace (``traceparent``), where OpenTelemetry has no span of its own. Nothing goes out before the response is sent, so publishing never delays an answer; a request
    that fails publishes what was handed over before.

    Parameters
    ----------
    app
        The application.
    session_header, transaction_header
        Request headers that carry those ids.

    Examples
    --------
    >>> app.add_middleware(MonitorMiddleware, publisher=publisher)  # doctest: +SKIP
    >>> request.state.publish(model_name="credit", model_version="7",
    ...                       features={"age": 41}, prediction=1)  # doctest: +SKIP
    """

    def __init__(
        self,
        app: App,
        publisher: PredictionPublisher,
        *,
        session_header: str = "x-session-id",
        transaction_header: str = "x-request-id",
    ) -> None:
        self._app = app
        self._publisher = publisher
        self._session_header = session_header.lower().encode()
        self._transaction_header = transaction_header.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        handed_over: list[tuple[PredictionEvent, str | None]] = []

        def publish(**fields: Any) -> None:
            event_id = fields.pop("event_id", None) or new_event_id()
            known = {
                "prediction_id": event_id,
                "event_time": dt.datetime.now(dt.UTC),
                "latency_ms": (time.perf_counter() - began) * 1e3,
                "session_id": _text(headers.get(self._session_header)),
                "transaction_id": _text(headers.get(self._transaction_header)),
            }
            try:
                event = PredictionEvent(event_id=event_id, **{**known, **fields})
            except TypeError as error:  # a field is missing or unknown
                self._publisher.refuse(error)
            else:
                # The span is asked for now: it may be over when the response is sent.
                trace = current_traceparent() or _text(headers.get(TRACE_HEADER.encode()))
                handed_over.append((event, trace))

        scope.setdefault("state", {})["publish"] = publish
        try:
            await self._app(scope, receive, send)
        finally:
            for event, trace in handed_over:
                self._publisher.publish(event, traceparent=trace)


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1") if value else None

"""The trace that a prediction belongs to, where serving code is traced: OpenTelemetry is used if it is there."""

from __future__ import annotations

try:
    from opentelemetry import trace
except ImportError:  # a plain install
    trace = None  # type: ignore[assignment]

#: Characters of a W3C ``traceparent``.
TRACE_LENGTH = 55


def current_traceparent() -> str | None:
    """Return the W3C ``traceparent`` of the current span; None without one, or without OpenTelemetry.

    Examples
    --------
    >>> current_traceparent()
    """
    if trace is None:
        return None
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"

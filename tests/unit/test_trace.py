"""From a request's trace to the report of the window that its answer is in."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from monitor.events import TRACE_HEADER, sampled_trace
from monitor.publish import PredictionPublisher
from monitor.publish.middleware import MonitorMiddleware
from tests.unit.engine_world import START, SUBJECT, baseline, engine, messages, people
from tests.unit.test_publish_publisher import NOWHERE, event

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = SpanContext(int(TRACE, 16), 7, is_remote=False, trace_flags=TraceFlags(1))
TRACEPARENT = f"00-{TRACE}-0000000000000007-01"


def traced(records, of):
    """Records of which some carry a trace; the number of its record is its last digits."""
    made = []
    for record in records:
        flag = of(record.offset)
        if flag is not None:
            header = (TRACE_HEADER, f"00-{record.offset:032x}-{1:016x}-{flag}".encode())
            record = replace(record, headers=(header, *record.headers))  # noqa: PLW2901
        made.append(record)
    return made


def window(of, *, cut=200):
    """The report of one window of 200 events, fetched in batches of `cut`."""
    made = engine()
    times = (START + np.linspace(0, 9, 200)).tolist()
    records = traced(messages(people(200), times), of)
    for start in range(0, 200, cut):
        made.fold(records[start : start + cut])
    made.idle(60.0)
    (report,) = made.take().reports
    return report


def numbers(report):
    return [int(trace_id, 16) for trace_id in report.traces]


@pytest.mark.parametrize("cut", [1, 7, 200])
def test_a_report_names_the_first_kept_traces_however_the_records_were_fetched(cut):
    report = window(lambda number: "01" if number % 11 == 5 else "00", cut=cut)
    assert numbers(report) == [5, 16, 27]


def test_a_trace_that_nobody_kept_is_not_named_nor_is_nonsense():
    assert window(lambda _: "00").traces == ()
    assert window(lambda _: '01"; drop').traces == ()
    assert window(lambda _: None).traces == ()


def test_a_revision_and_another_owner_name_the_same_traces():
    made, state = engine(), {}
    times = (START + np.linspace(0, 9, 200)).tolist()
    records = traced(messages(people(200), times), lambda _: "01")
    made.fold(records[:150])
    state |= made.take().state
    other = engine(learn=False)
    other.restore({name: data for name, data in state.items() if data is not None})
    other.learn(SUBJECT, baseline())
    other.fold(records[150:])
    other.idle(60.0)
    (report,) = other.take().reports
    assert numbers(report) == [0, 1, 2]


def sent(publisher):
    (parcel,) = publisher._inbox
    return publisher._courier._number(parcel).headers


@pytest.fixture
def publisher(monkeypatch):
    monkeypatch.setattr("monitor.publish.courier.Courier.run", lambda _: None)
    with PredictionPublisher(NOWHERE) as made:
        made.flush = lambda _: True
        yield made


def test_the_current_span_of_opentelemetry_goes_along(publisher):
    with trace.use_span(NonRecordingSpan(SPAN)):
        publisher.publish(event())
    headers = sent(publisher)
    assert headers[0] == (TRACE_HEADER, TRACEPARENT.encode())
    assert [name for name, _ in headers[-3:]] == ["content-type", "producer_id", "sequence"]
    assert sampled_trace(headers[0][1]) == TRACE


def test_without_a_span_there_is_no_header(publisher):
    publisher.publish(event())
    assert TRACE_HEADER not in dict(sent(publisher))


def test_a_trace_that_is_handed_over_goes_along_and_a_long_one_does_not(publisher):
    publisher.publish(event(), traceparent="x" * 100_000)
    assert TRACE_HEADER not in dict(sent(publisher))
    publisher._inbox.clear()
    publisher.publish(event(), traceparent=TRACEPARENT)
    assert dict(sent(publisher))[TRACE_HEADER] == TRACEPARENT.encode()


def test_the_middleware_takes_the_requests_own_trace(publisher):
    async def app(scope, receive, send):
        fields = {"model_name": "credit", "model_version": "7", "features": {}, "prediction": 1}
        scope["state"]["publish"](**fields)

    scope = {"type": "http", "headers": [(b"traceparent", TRACEPARENT.encode())]}
    asyncio.run(MonitorMiddleware(app, publisher)(scope, None, None))
    assert dict(sent(publisher))[TRACE_HEADER] == TRACEPARENT.encode()

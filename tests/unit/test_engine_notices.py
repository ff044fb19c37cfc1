"""Faults of the events themselves, told in the report of the window that they fall in."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pyarrow as pa
import pytest

from monitor.engine.notices import LOOK_EVERY
from monitor.events import ARROW_CONTENT
from monitor.reports import Finding, Report, Severity, Status
from tests.unit.engine_world import START, SUBJECT, Message, engine, messages, people

SLOT = 10.0


def stamped(n: int, windows: int) -> list[float]:
    return [START + i * windows * SLOT / n for i in range(n)]


def changed(message: Message, change) -> Message:
    event = msgspec.json.decode(message.value)
    change(event)
    return Message(
        message.offset, message.timestamp, message.key, msgspec.json.encode(event), message.headers
    )


def reports_of(records: list[Message], fetch: int = 1000) -> dict[float, Report]:
    machine = engine()
    latest: dict[float, Report] = {}
    for start in range(0, len(records), fetch):
        machine.fold(records[start : start + fetch])
        latest |= {report.window.start: report for report in machine.take().reports}
    machine.idle(100.0)
    latest |= {report.window.start: report for report in machine.take().reports}
    return dict(sorted(latest.items()))


def found(report: Report, check: str) -> list[Finding]:
    return [finding for finding in report.quality if finding.check == check]


def as_text(event) -> None:
    event["features"]["income"] = str(event["features"]["income"])


def test_when_every_event_has_a_feature_of_another_type_the_window_says_so():
    records = [changed(m, as_text) for m in messages(people(300), stamped(300, 3))]
    for report in reports_of(records).values():
        (finding,) = found(report, "type_change")
        assert (report.n, report.status) == (0, Status.OK)
        assert (finding.feature, finding.share, finding.severity) == ("income", 1.0, Severity.BLOCK)
        assert "got `str`" in finding.sentence
        assert "type_change[income]" in {breach.rule for breach in report.breaches}


def test_some_events_of_another_type_are_a_share_of_their_window():
    records = messages(people(300), stamped(300, 3))
    records = [changed(m, as_text) if m.offset % 4 == 0 else m for m in records]
    for report in reports_of(records).values():
        (finding,) = found(report, "type_change")
        assert (report.n, finding.share) == (75, 0.25)


def test_a_feature_that_every_event_lacks_is_absent_rather_than_null():
    def drop(event) -> None:
        del event["features"]["town"]

    report = next(iter(reports_of(as_looked_at(drop)).values()))
    (finding,) = found(report, "absent")
    assert (finding.feature, finding.severity) == ("town", Severity.BLOCK)
    assert not found(report, "missing_surge")


def test_a_null_is_not_absent():
    def blank(event) -> None:
        event["features"]["town"] = None

    report = next(iter(reports_of(as_looked_at(blank)).values()))
    assert not found(report, "absent")
    assert [finding.feature for finding in found(report, "missing_surge")] == ["town"]


def test_a_feature_foreign_to_the_signature_is_on_record_and_alarms_nobody():
    def add(event) -> None:
        event["features"]["shoe_size"] = 42

    report = next(iter(reports_of(as_looked_at(add)).values()))
    (finding,) = found(report, "foreign")
    assert (finding.feature, finding.share, finding.severity) == ("shoe_size", 1.0, Severity.PASS)
    assert report.severity is Severity.PASS


def test_a_foreign_name_that_is_no_text_costs_nothing():
    records = as_looked_at(lambda event: event["features"].update(groesse=2))
    latin = [
        replace(record, value=(record.value or b"").replace(b"groesse", b"gr\xf6\xdfe"))
        for record in records
    ]
    reports = reports_of(latin)
    assert sum(report.n for report in reports.values()) >= 400
    assert not [finding for report in reports.values() for finding in report.quality]


def as_looked_at(change) -> list[Message]:
    """Records of one window and a bit more, of which some have their names looked at."""
    times = [START + i * 0.0123457 for i in range(400)] + [START + 3 * SLOT]
    assert len({int(time * 1e6) % LOOK_EVERY for time in times}) == LOOK_EVERY
    return [changed(message, change) for message in messages(people(401), times)]


def test_events_that_came_again_are_counted_once_and_said_so():
    records = messages(people(200), stamped(200, 2))
    again = [
        m for record in records for m in ([record, record] if record.offset < 30 else [record])
    ]
    first, second = reports_of(again).values()
    (finding,) = found(first, "duplicates")
    assert (first.n, finding.share) == (100, pytest.approx(30 / 130))
    assert finding.severity is Severity.WARN
    assert not found(second, "duplicates")


@pytest.mark.parametrize("fetch", [1, 7, 60])
def test_what_is_noticed_does_not_depend_on_how_it_was_fetched(fetch):
    records = messages(people(200), stamped(200, 4))
    records = [changed(m, as_text) if m.offset % 3 == 0 else m for m in records]
    records = [m for r in records for m in ([r, r] if r.offset % 5 == 1 else [r])]
    noticed, expected = (
        [(r.n, r.status, r.quality) for r in reports_of(records, size).values()]
        for size in (fetch, 1000)
    )
    assert noticed == expected


def test_an_arrow_stream_says_by_its_schema_what_is_absent_and_foreign():
    frame = people(150)
    times = [int((START + i * 0.05) * 1e6) for i in range(100)] + [int((START + 30) * 1e6)] * 50
    columns = {
        "event_id": [str(i) for i in range(150)],
        "prediction_id": [str(i) for i in range(150)],
        "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
        "model_name": [SUBJECT.model] * 150,
        "model_version": [SUBJECT.version] * 150,
        "features.income": frame["income"],
        "features.shoe_size": frame["income"],
        "prediction": frame["prediction"],
        "score": frame["score"],
        "groups.sex": frame["sex"],
    }
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    headers = (("content-type", ARROW_CONTENT), ("producer_id", b"p"), ("sequence", b"1"))
    stamp = int((START + 31) * 1000)
    record = Message(0, stamp, SUBJECT.key, sink.getvalue().to_pybytes(), headers)
    report = next(iter(reports_of([record]).values()))
    assert [f.feature for f in found(report, "absent")] == ["town"]
    assert [f.feature for f in found(report, "foreign")] == ["shoe_size"]

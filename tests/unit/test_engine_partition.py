"""The engine: each event once, windows in event time, state that can be taken up again."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from monitor.engine.partition import PartitionEngine, Place
from monitor.engine.records import Outbox
from monitor.errors import StateError
from monitor.events import ModelVersion
from monitor.policy.load import parse_policy
from monitor.reports import Report, Status
from tests.unit.engine_world import (
    START,
    SUBJECT,
    Message,
    baseline,
    engine,
    messages,
    people,
    value,
)


def spread(n: int, seconds: float) -> list[float]:
    return (START + np.linspace(0, seconds, n, endpoint=False)).tolist()


def drive(
    machine: PartitionEngine, records: list[Message], size: int = 50
) -> tuple[Outbox, dict[bytes, bytes]]:
    """Fold in batches, taking after each; return all that came out, and the compacted state."""
    total, state = Outbox(), {}
    for start in range(0, len(records), size):
        batch = records[start : start + size]
        for version in machine.versions(batch):
            machine.learn(version, baseline() if version == SUBJECT else None)
        machine.fold(batch)
        collect(machine, total, state)
    return total, state


def collect(machine: PartitionEngine, total: Outbox, state: dict[bytes, bytes]) -> None:
    outbox = machine.take()
    for name in ("reports", "verdicts", "dead_letters", "forwards"):
        getattr(total, name).extend(getattr(outbox, name))
    for key, data in outbox.state.items():
        if data is None:
            state.pop(key, None)
        else:
            state[key] = data


def latest(reports: list[Report]) -> dict[tuple[float, float], Report]:
    return {(r.window.start, r.window.end): r for r in sorted(reports, key=lambda r: r.revision)}


def test_windows_close_and_are_reported_with_every_event_in_them() -> None:
    machine = engine()
    total, _ = drive(machine, messages(people(500), spread(500, 50)))
    reports = latest(total.reports)
    assert [report.n for report in reports.values()] == [100, 100, 100, 100]
    assert all(report.status is Status.OK for report in reports.values())
    assert not total.dead_letters


def test_the_same_record_twice_is_counted_once() -> None:
    machine = engine()
    records = messages(people(200), spread(200, 40))
    twice = [m for record in records for m in (record, record)]
    drive(machine, twice)
    assert machine.counts["counted"] == 200
    assert machine.counts["duplicates"] == 200


def test_without_a_sequence_the_event_id_tells_what_was_counted() -> None:
    machine = engine()
    records = messages(people(200), spread(200, 40), producer=None)
    drive(machine, records + records[-50:])
    assert machine.counts["counted"] == 200
    assert machine.counts["duplicates"] == 50


def test_event_ids_outlive_a_restart_and_are_written_only_where_their_window_changed() -> None:
    records = messages(people(200), spread(200, 40), producer=None)
    machine, total, state = engine(), Outbox(), {}
    machine.fold(records[:140])
    collect(machine, total, state)
    machine.fold(records[140:])
    written = machine.take().state
    assert {name[-2:] for name in written if name.startswith(b"ids/")} == {b"12", b"13"}
    state |= {name: data for name, data in written.items() if data is not None}
    again = engine(learn=False)
    again.restore(state)
    again.learn(SUBJECT, baseline())
    again.fold(records)
    assert again.counts["duplicates"] == 200
    again.idle(3600)
    collect(again, total, state)
    assert not [name for name in state if name.startswith(b"ids/")]


def test_a_late_event_revises_the_report_and_too_late_a_one_is_set_aside() -> None:
    machine = engine()
    frame = people(1000)
    records = messages(frame, spread(1000, 100))
    total, state = drive(machine, records)
    late = messages(people(2, 5), [START + 99 - 65, START + 1], first=1000)
    late = [Message(m.offset, records[-1].timestamp, m.key, m.value, m.headers) for m in late]
    machine.fold(late)
    collect(machine, total, state)
    revised = [report for report in total.reports if report.revision == 1]
    assert [report.n for report in revised] == [101]
    (letter,) = total.dead_letters
    assert letter.field == "event_time"
    assert "too late" in letter.reason
    assert letter.value == late[1].value


def test_an_event_from_the_year_2099_moves_no_watermark() -> None:
    machine = engine()
    records = messages(people(100), spread(100, 10))
    future = Message(
        100, records[-1].timestamp, SUBJECT.key, value(people(1).iloc[0].to_dict(), 4.07e9)
    )
    total, _ = drive(machine, [*records, future])
    assert machine.watermarks[SUBJECT] < START + 10
    assert total.dead_letters[0].reason.startswith("more than 300 s after its arrival")


@pytest.mark.parametrize("time", ["1969-12-31T23:59:59.5Z", "0001-01-01T00:00:00+01:00"])
def test_an_event_from_before_1970_is_set_aside_and_opens_no_window(time: str) -> None:
    machine = engine()
    first, *records = messages(people(100), spread(100, 10))
    assert first.value is not None
    body = re.sub(rb'(?<="event_time":")[^"]*', time.encode(), first.value)
    total, _ = drive(machine, [replace(first, value=body), *records])
    assert [letter.field for letter in total.dead_letters] == ["event_time"]
    assert total.dead_letters[0].reason.startswith("before 1970")
    assert machine.watermarks[SUBJECT] >= START


@pytest.mark.parametrize(
    ("key", "body", "field"),
    [
        (b"credit/7", b"not json", "$"),
        (b"credit/7", b"\xff\xfe", "$"),
        (b"credit/7", None, "$"),
        (b"credit/7", b"{}", "event_id"),
        (b"nonsense", b"{}", "key"),
        (None, b"[]", "key"),
        (b"credit/7", value({"income": "high", "town": "Ulm", "prediction": 1, "score": 0.5, "sex": "man"}, START), "features.income"),
        (b"credit/7", value({"income": 1.0, "town": "Ulm", "prediction": None, "score": 0.5, "sex": "man"}, START), "prediction"),
    ],
)  # fmt: skip
def test_a_bad_record_is_set_aside_with_field_reason_and_bytes(
    key: bytes | None, body: bytes | None, field: str
) -> None:
    machine = engine()
    machine.fold([Message(7, int(START * 1000), key, body)])
    (letter,) = machine.take().dead_letters
    assert (letter.offset, letter.field, letter.value, letter.key) == (7, field, body, key)
    assert letter.reason
    assert machine.position == 8


def test_a_bad_record_costs_its_batch_nothing() -> None:
    machine = engine()
    records = messages(people(100), spread(100, 10))
    records[40] = Message(40, records[40].timestamp, SUBJECT.key, b"{", ())
    machine.fold(records)
    assert machine.counts["counted"] == 99
    assert len(machine.take().dead_letters) == 1


def test_a_record_of_another_partition_is_sent_on_once() -> None:
    machine = engine(partition=1, partitions=3)  # b"credit/7" is 8 bytes long: partition 2
    (record,) = messages(people(1), [START])
    machine.fold([record])
    (forward,) = machine.take().forwards
    assert forward.partition == 2
    assert machine.counts["counted"] == 0
    marked = Message(
        9, record.timestamp, record.key, record.value, (("monitor_forwarded", b"1:7"),)
    )
    machine.fold([marked])
    assert machine.counts["counted"] == 1


def test_a_record_that_is_mended_and_sent_again_under_its_id_is_counted() -> None:
    machine = engine()
    good, other = messages(people(2), [START, START + 1], producer=None)
    broken = Message(0, good.timestamp, good.key, good.value[:-1], good.headers)
    again = [
        Message(offset, good.timestamp, good.key, good.value, good.headers) for offset in (2, 3)
    ]
    machine.fold([broken, other, *again])
    counts = machine.counts
    assert (counts["counted"], counts["dead_letters"], counts["duplicates"]) == (2, 1, 1)


def test_a_record_without_a_key_finds_its_partition_by_its_value() -> None:
    machine = engine()
    (record,) = messages(people(1), [START])
    machine.fold([Message(0, record.timestamp, None, record.value, record.headers)])
    assert machine.counts["counted"] == 1


def test_a_version_without_a_baseline_is_profiled_and_reported_as_such() -> None:
    machine = engine(learn=False)
    machine.learn(SUBJECT, None)
    records = messages(people(200), spread(200, 40))
    machine.fold(records)
    outbox = machine.take()
    assert {report.status for report in outbox.reports} == {Status.NO_BASELINE}
    assert sum(report.n for report in outbox.reports) == 150
    assert all(verdict.action.value == "none" for verdict in outbox.verdicts)


def test_a_baseline_that_comes_later_holds_from_the_next_window_on() -> None:
    machine = engine(learn=False)
    machine.learn(SUBJECT, None)
    records = messages(people(400), spread(400, 80))
    machine.fold(records[:75])
    machine.learn(SUBJECT, baseline())
    machine.fold(records[75:])
    statuses = [report.status for report in machine.take().reports]
    assert statuses[:2] == [Status.NO_BASELINE, Status.NO_BASELINE]
    assert set(statuses[2:]) == {Status.OK}
    assert machine.counts["counted"] == 400


def test_what_a_window_begun_without_a_baseline_cannot_read_is_set_aside() -> None:
    machine = engine(learn=False)
    machine.learn(SUBJECT, None)
    records = messages(people(50), spread(50, 5))
    numbered = [replace(r, value=re.sub(rb'"town":"\w+"', b'"town":1', r.value or b"")) for r in records]  # fmt: skip
    machine.fold(numbered[:25])
    machine.learn(SUBJECT, baseline())
    machine.fold(records[25:])
    machine.idle(1000)
    outbox = machine.take()
    assert [report.n for report in outbox.reports] == [25]
    assert [letter.field for letter in outbox.dead_letters] == ["features.town"] * 25
    assert machine.counts["counted"] == 25


def test_more_unregistered_versions_than_the_cap_are_set_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.engine.partition.UNREGISTERED_CAP", 2)
    machine = engine(learn=False)
    for number in range(4):
        machine.learn(ModelVersion("credit", str(number)), None)
    records = [
        Message(i, int(START * 1000), f"credit/{i}".encode(), value(people(1).iloc[0].to_dict(), START, model_version=str(i)))
        for i in range(4)
    ]  # fmt: skip
    machine.fold(records)
    assert [letter.field for letter in machine.take().dead_letters] == ["model_version"] * 2


def test_a_version_without_baseline_whose_windows_are_done_makes_room_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.engine.partition.UNREGISTERED_CAP", 2)
    machine, total, state = engine(learn=False), Outbox(), {}
    row = people(1).iloc[0].to_dict()
    for i in range(6):
        time = START + i * 200
        record = Message(i, int(time * 1000), f"credit/{i}".encode(), value(row, time, model_version=str(i)))  # fmt: skip
        for version in machine.versions([record]):
            machine.learn(version, None)
        machine.fold([record])
        collect(machine, total, state)
        machine.idle(180)
        collect(machine, total, state)
    assert machine.counts["counted"] == 6
    kept = {name.split(b"/")[2] for name in state if b"/credit/" in name}
    assert kept == {b"4", b"5"}
    again = engine(learn=False)
    again.restore(state)
    assert set(again.watermarks) == {ModelVersion("credit", "4"), ModelVersion("credit", "5")}


def test_a_version_turned_away_is_not_asked_for_with_each_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.engine.partition.UNREGISTERED_CAP", 0)
    machine = engine(learn=False)
    records = messages(people(100), spread(100, 10))
    assert machine.versions(records) == {SUBJECT}
    machine.learn(SUBJECT, None)
    machine.fold(records)
    assert machine.counts["dead_letters"] == 100
    assert machine.versions(records) == set()
    machine.idle(61)
    assert machine.versions(records) == {SUBJECT}


def test_a_version_that_was_replaced_long_ago_leaves_nothing_behind() -> None:
    machine = engine()
    records = messages(people(400), spread(400, 80))
    total, state = drive(machine, records)
    machine.idle(3600)
    collect(machine, total, state)
    assert any(SUBJECT.key in key for key in state)
    machine.idle(91 * 86_400)
    collect(machine, total, state)
    assert set(state) == {b"progress"}


def test_a_silent_version_closes_its_windows_by_the_idle_time() -> None:
    machine = engine()
    machine.fold(messages(people(100), spread(100, 10)))
    assert not machine.due
    machine.idle(13)
    assert machine.due
    assert [report.n for report in machine.take().reports] == [100]


@pytest.mark.parametrize("pace", [0.1, 40.0])
def test_what_is_late_does_not_depend_on_how_a_busy_partition_was_fetched(pace: float) -> None:
    """One version's event time runs slower than its arrival, or in leaps, beside another version's steady traffic."""
    rows = people(160, 6).to_dict("records")
    other = ModelVersion("other", "1")
    records = []
    for i, row in enumerate(rows):
        records.append(at(START + i, SUBJECT, value(row, START + i)))
        if i % 40 < 8:
            body = value(row, START + i * pace * 0.02, model_name="other", model_version="1")
            records.append(at(START + i + 0.5, other, body))
    records = [replace(r, offset=i, headers=(*r.headers, ("sequence", str(i).encode()))) for i, r in enumerate(records)]  # fmt: skip
    found = []
    for size in (2, 17, len(records)):
        machine = engine()
        total, _ = drive(machine, records, size)
        machine.idle(500)
        total.reports += machine.take().reports
        counted = {(r.model, window): r.n for r in total.reports for window in [r.window]}
        found.append((counted, machine.counts, machine.watermarks))
    assert found[0] == found[1] == found[2]


def at(time: float, version: ModelVersion, body: bytes) -> Message:
    return Message(0, int(time * 1000), version.key, body, (("producer_id", b"p"),))


def test_a_version_that_was_paused_for_a_day_goes_on_where_it_stopped() -> None:
    machine = engine()
    before, after = messages(people(100), spread(100, 10)), messages(people(100), spread(100, 10))
    machine.fold(before)
    machine.idle(86_400)
    machine.take()
    again = [
        replace(m, offset=m.offset + 100, timestamp=m.timestamp + 86_400_000,
                value=(m.value or b"").replace(b"2023-11-14T22:15", b"2023-11-14T22:17"),
                headers=(("producer_id", b"p"), ("sequence", str(m.offset + 100).encode())))
        for m in after
    ]  # fmt: skip
    machine.fold(again)
    assert machine.counts["counted"] == 200


def test_state_from_another_format_is_refused() -> None:
    machine = engine()
    _, state = drive(machine, messages(people(50), spread(50, 5)))
    from monitor.engine.state import PROGRESS_KEY, Pieces, Progress, pack

    wrong = Progress(format=99, position=1, now=0.0, sequences={})
    state[PROGRESS_KEY] = Pieces().write(PROGRESS_KEY, pack(wrong))[PROGRESS_KEY] or b""
    with pytest.raises(StateError, match="format 99"):
        engine(learn=False).restore(state)


@pytest.mark.parametrize("crash_at", [1, 3, 7])
def test_an_engine_restored_after_any_snapshot_reports_the_same(crash_at: int) -> None:
    frame = people(600, 3)
    times = spread(600, 60)
    shuffled = np.random.default_rng(1).normal(0, 1.0, 600) + times
    records = messages(frame, shuffled.tolist())
    whole, _ = drive(engine(), records)
    state: dict[bytes, bytes] = {}
    total = Outbox()
    machine = engine()
    for number, start in enumerate(range(0, 600, 50)):
        if number == crash_at:
            machine.fold(
                records[start : start + 20]
            )  # counted, never written: lost with the engine
            machine = engine(learn=False)
            machine.restore(state)
            assert machine.versions([]) == {SUBJECT}
            machine.learn(SUBJECT, baseline())
            assert machine.position == start
        machine.fold(records[start : start + 50])
        collect(machine, total, state)
    expected, found = latest(whole.reports), latest(total.reports)
    assert found.keys() == expected.keys()
    for window, report in expected.items():
        again = found[window]
        assert (again.n, again.drift, again.fairness) == (report.n, report.drift, report.fairness)


def test_a_window_past_its_lateness_is_not_begun_anew_when_the_policy_allows_more() -> None:
    records = messages(people(300), spread(300, 60))
    strict, lenient = (allowing(lateness) for lateness in ("0s", "600s"))
    _, state = drive(strict, records)
    lenient.restore(state)
    late = [replace(m, timestamp=records[-1].timestamp) for m in messages(people(30, 2), [START + 1] * 30, first=400)]  # fmt: skip
    total, after = drive(lenient, late)
    assert not total.reports
    assert len(total.dead_letters) == 30
    allowing("600s").restore(state | after)


def allowing(lateness: str) -> PartitionEngine:
    windows = (
        f"{{length: 10s, grace: 2s, allowed_lateness: {lateness}, min_events: 20, max_length: 40s}}"
    )
    policy = parse_policy(f"defaults: {{windows: {windows}}}", where="test")
    return PartitionEngine(Place("predictions", 0, lambda _: 0), policy)


def test_a_restored_engine_remembers_the_windows_that_a_trend_needs() -> None:
    records = messages(people(400, 3), spread(400, 80))
    machine, state = engine(), {}
    drive_into = Outbox()
    machine.fold(records)
    collect(machine, drive_into, state)
    again = engine(learn=False)
    again.restore(state)
    (history,) = (version.history for version in again._versions.values())
    assert len(history.reference) == 7
    assert history == machine._versions[SUBJECT].history


def test_an_unfair_feed_is_asked_to_be_rolled_back_after_three_windows() -> None:
    machine = engine()
    fair, unfair = people(600, 4), people(900, 5, unfair=True)
    records = messages(fair, spread(600, 40))
    start = START + 40
    times = (start + np.linspace(0, 60, 900, endpoint=False)).tolist()
    records += messages(unfair, times, first=600)
    total, _ = drive(machine, records)
    rollbacks = [v for v in total.verdicts if v.action.value == "rollback"]
    assert rollbacks
    assert rollbacks[0].family is not None
    assert rollbacks[0].family.value == "fairness"
    assert rollbacks[0].streak == 3
    assert all(verdict.action.value == "none" for verdict in total.verdicts[:4])


def test_a_feature_with_an_unspeakable_name_costs_a_version_without_baseline_nothing() -> None:
    machine = engine(learn=False)
    machine.learn(SUBJECT, None)
    body = value(people(1).iloc[0].to_dict(), START, features={'"; drop': 1, "<script>": 2, "x": 3})
    machine.fold([Message(0, int(START * 1000), SUBJECT.key, body)])
    assert machine.counts["counted"] == 1
    assert not machine.take().dead_letters

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from monitor.errors import InputError, SettingsError, StoreError
from monitor.policy.load import parse_policy
from monitor.policy.model import Policy
from monitor.predictionlog.keys import KeyRing
from monitor.predictionlog.query import DESTROYED, OPENED, Query
from monitor.predictionlog.table import SMALL_FILES, Fenced, PredictionTable
from monitor.predictionlog.where import parse_condition
from tests.archive import SOURCE, TODAY, World, event, gather, master_key, message


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def ids(rows) -> list[str]:
    return rows["event_id"].to_pylist()


# ------------------------------------------------------------------------------------------ writing


def test_a_batch_is_written_with_its_position_or_not_at_all(world):
    world.write(event(0), event(1))
    assert world.table.positions([SOURCE, "predictions-1"]) == {SOURCE: 1, "predictions-1": None}
    gather(world.rows, message(event(2), 2))
    with pytest.raises(Fenced, match="stands at 1, not 0"):
        world.table.append(world.rows.take(), {SOURCE: 2}, {SOURCE: 0})
    assert world.log.ask(Query()).num_rows == 2


def test_a_writer_that_was_overtaken_since_it_looked_writes_nothing(world):
    stale = PredictionTable(world.table.uri)
    held = stale.positions([SOURCE])
    world.write(event(0))
    gather(world.rows, message(event(0), 0))
    with pytest.raises(Fenced, match="Concurrent transaction"):
        stale.append(world.rows.take(), {SOURCE: 0}, held)
    assert world.log.ask(Query()).num_rows == 1


def test_writers_of_other_partitions_do_not_hinder_each_other(world):
    other = PredictionTable(world.table.uri)
    held = other.positions(["predictions-1"])
    world.write(event(0))
    gather(world.rows, message(event(1), 5)._replace(partition=1))
    other.append(world.rows.take(), {"predictions-1": 5}, held)
    assert world.table.positions([SOURCE, "predictions-1"]) == {SOURCE: 0, "predictions-1": 5}


def test_positions_outlive_a_hundred_commits_and_compaction_loses_no_row(world):
    world.table.append(
        _rows(world, event(100), 10**6), {"other": 7}, world.table.positions(["other"])
    )
    for index in range(105):
        world.write(event(0, event_id=f"e{index}"))
    assert world.table.compact(before=TODAY.date()) == 0  # today is still written
    assert world.table.compact() == 1
    fresh = PredictionTable(world.table.uri)
    assert fresh.positions([SOURCE, "other"]) == {SOURCE: 104, "other": 7}
    files = [path for path, _ in world.files() if path.suffix == ".parquet"]
    assert len(files) > SMALL_FILES
    world.table.vacuum()
    assert world.log.ask(Query(limit=1000)).num_rows == 106
    assert len([p for p, _ in world.files() if p.suffix == ".parquet" and "date=" in str(p)]) == 2


def _rows(world, said, offset):
    gather(world.rows, message(said, offset))
    return world.rows.take()


# ------------------------------------------------------------------------------------------- asking


def _cut(file):
    file.write_bytes(file.read_bytes()[:100])


def _garbled(file):
    file.write_bytes(bytes(byte ^ 0x5A for byte in file.read_bytes()))


def _emptied(file):
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "cannot be read"),
        (_garbled, "cannot be read"),
        (_emptied, "cannot be read"),
        (Path.unlink, "a file went while it was read"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_a_sentence_and_is_on_the_record(world, damage, said):
    world.write(event(0))
    (file,) = (path for path, _ in world.files() if path.suffix == ".parquet")
    damage(file)
    for query in (Query(), Query(prediction_id="prediction-0")):
        with pytest.raises(StoreError, match=said) as raised:
            world.log.ask(query)
        assert "\n" not in str(raised.value)
        assert "\x1b" not in str(raised.value)
        assert (world.recorded[-1]["rows"], world.recorded[-1]["failed"]) == (0, "StoreError")
    with pytest.raises(StoreError, match=said):
        world.log.erase("person-0", Policy())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), range(20)),
        (Query(limit=3), range(3)),
        (Query(model="team's/credit", version="1"), range(0, 20, 2)),
        (Query(model="other"), []),
        (Query(model="' OR '1'='1"), []),
        (Query(prediction_id="prediction-7"), [7]),
        (Query(subject="person-3"), [3, 13]),
        (Query(since=TODAY - dt.timedelta(days=1)), [0, 1, 2]),
        (Query(until=TODAY - dt.timedelta(days=9)), [19]),
        (Query(where=(parse_condition("score >= 0.018"),)), [18, 19]),
        (Query(where=(parse_condition("features.region = south"),), limit=3), [0, 3, 6]),
        (
            Query(where=(parse_condition("prediction < 1"), parse_condition("score < 0.003"))),
            [0, 2],
        ),
        (Query(where=(parse_condition("deployment = null"),), limit=1), [0]),
        (Query(where=(parse_condition("event_time < 2026-02-20T01:00:00Z"),)), [19]),
    ],
)
def test_a_question_is_answered_with_the_newest_rows_oldest_first(world, query, found):
    world.write(*map(event, range(20)))
    assert ids(world.log.ask(query)) == [f"event-{index}" for index in reversed(list(found))]


def test_protected_attributes_are_only_for_who_asks_for_them_with_the_master_key(world):
    world.write(event(0), event(1, groups={}))
    reader = world.log_with(None)
    rows = reader.ask(Query())
    assert not {"protected", "key_id", "groups"} & set(rows.column_names)
    for asked in ({"protected": True}, {"query": Query(subject="person-0")}):
        with pytest.raises(SettingsError, match="master key is missing"):
            reader.ask(**{"query": Query(), **asked})
    with pytest.raises(InputError, match="groups are protected"):
        reader.ask(Query(where=(parse_condition("groups.sex = Mann"),)))
    nothing, opened = world.log.ask(Query(), protected=True).to_pylist()
    assert (json.loads(opened["groups"]), opened["seal"]) == ({"sex": "Mann"}, OPENED)
    assert (json.loads(nothing["groups"]), nothing["seal"]) == ({}, None)
    chosen = Query(where=(parse_condition("groups.sex = Mann"),))
    assert ids(world.log.ask(chosen, protected=True)) == ["event-0"]


def test_a_wrong_master_key_opens_nothing(world):
    world.write(event(0))
    other = world.log_with(KeyRing(world.directory / "keys", master_key()))
    with pytest.raises(SettingsError, match="another master key wrapped it"):
        other.ask(Query(), protected=True)


def test_no_protected_attribute_and_no_subject_lies_open_in_the_files(world):
    world.write(*map(event, range(20)))
    assert world.holds("prediction-7")  # the search finds what is there
    assert world.holds("north")
    assert not world.holds("Frau")
    assert not any(
        b"person-3" in data.replace(b"session-of-person-3", b"") for _, data in world.files()
    )


def test_a_message_that_was_published_twice_is_shown_once(world):
    world.write(event(0), event(1), event(0))
    assert ids(world.log.ask(Query())) == ["event-1", "event-0"]


def test_each_question_goes_on_the_record_and_the_person_by_pseudonym(world):
    world.write(*map(event, range(20)))
    world.log.ask(
        Query(subject="person-3", where=(parse_condition("score > 0.01"),)), protected=True
    )
    assert world.recorded == [
        {
            "kind": "log_query",
            "actor": "tester",
            "filter": {
                "subject": world.keys.pseudonym("person-3"),
                "where": ["score > 0.01"],
                "limit": 100,
            },
            "protected": True,
            "rows": 1,
        }
    ]


def test_a_question_that_cannot_be_recorded_is_not_answered(world):
    def refuse(*_):
        raise StoreError("no room")

    world.log._record = refuse
    with pytest.raises(StoreError, match="no room"):
        world.log.ask(Query())


def test_a_log_that_is_not_there_has_no_rows(tmp_path):
    world = World(tmp_path)
    world.table = PredictionTable(str(tmp_path / "elsewhere"))
    assert world.log_with(None).ask(Query()).num_rows == 0


# ----------------------------------------------------------------------------------------- forgetting


def test_after_the_policys_time_rows_and_keys_are_gone_from_the_files(world):
    old = event(1, event_time=TODAY - dt.timedelta(days=400), prediction_id="long-ago")
    middle = event(2, event_time=TODAY - dt.timedelta(days=200))
    world.write(old, middle, event(3))
    world.write(event(4, event_time=old.event_time, prediction_id="long-ago-too"))
    found = world.log.due(Policy())
    assert world.holds("long-ago")  # a look deletes nothing
    assert world.log.expire(Policy()) == found
    assert [(one.rows, len(one.days), len(one.keys)) for one in found] == [(2, 1, 2)]
    assert not world.holds("long-ago")
    assert not list((world.directory / "log").glob(f"date={old.event_time.date()}/**/*.parquet"))
    rows = world.log.ask(Query(), protected=True).to_pylist()
    assert [(row["event_id"], row["seal"]) for row in rows] == [
        ("event-2", DESTROYED),
        ("event-3", OPENED),
    ]
    assert world.log.due(Policy()) == []
    assert [entry["stage"] for entry in world.recorded if entry["kind"] == "log_expire"] == [
        "intent",
        "done",
    ]


def test_what_a_destroyed_key_sealed_nobody_can_read_any_more(world):
    world.write(event(1))
    day, model = event(1).event_time.date(), "team's/credit"
    copy = {path: data for path, data in world.files() if "keys" not in str(path)}
    world.keys.destroy(day, model)
    rows = world.log.ask(Query(), protected=True).to_pylist()
    assert (rows[0]["groups"], rows[0]["seal"]) == ("{}", DESTROYED)
    # Not with what is on the disk: no key that is left opens it.
    assert copy == {path: data for path, data in world.files() if "keys" not in str(path)}
    world.write(event(1, event_id="later"))
    rows = world.log.ask(Query(), protected=True).to_pylist()
    assert [row["seal"] for row in rows] == [DESTROYED, OPENED]


def test_a_legal_hold_keeps_rows_and_keys_whatever_else_is_asked(world):
    old = event(1, event_time=TODAY - dt.timedelta(days=400))
    world.write(old, event(2))
    day = old.event_time.date()
    policy = parse_policy(
        f"defaults: {{retention: {{hold: [{{reason: case, since: {day}, until: {day}}}]}}}}",
        where="policy.yaml",
    )
    (one,) = world.log.expire(policy)
    assert (one.days, one.keys, one.held) == ((), (), (day,))
    assert world.log.erase("person-1", policy).held == 1
    assert world.log.ask(Query(subject="person-1"), protected=True)["seal"].to_pylist() == [OPENED]


def test_an_erased_person_is_gone_from_the_files_and_the_others_are_not(world):
    world.write(*map(event, range(10)))
    world.write(*map(event, range(10, 20)))
    world.table.compact()
    pseudonym = world.keys.pseudonym("person-3")
    assert world.holds(pseudonym)
    assert world.holds("session-of-person-3")
    done = world.log.erase("person-3", Policy())
    assert (done.rows, done.held) == (2, 0)
    gone = [pseudonym, "session-of-person-3", "event-3", "prediction-13"]
    assert [text for text in gone if world.holds(text)] == []
    assert world.log.ask(Query(limit=100)).num_rows == 18
    assert world.recorded[0]["subject"] == pseudonym
    assert world.log.erase("person-3", Policy()).rows == 0


def test_what_a_writer_that_died_left_behind_goes_too(world):
    world.write(event(3))
    (file,) = (path for path, _ in world.files() if path.suffix == ".parquet")
    left = file.with_name("part-00000-left.parquet")
    pq.write_table(pq.read_table(file, partitioning=None), left, compression="none")
    world.log.erase("person-3", Policy())
    assert world.holds("session-of-person-3")  # it might be at work
    hours_ago = left.stat().st_mtime - 2 * 3600
    os.utime(left, (hours_ago, hours_ago))
    world.log.erase("person-3", Policy())
    assert not world.holds("session-of-person-3")


def test_rotation_is_on_the_record_and_changes_no_row(world):
    world.write(*map(event, range(4)))
    rows = {path: data for path, data in world.files() if path.suffix == ".parquet"}
    new = master_key()
    log = world.log_with(KeyRing(world.directory / "keys", new, previous=world.master))
    assert log.rotate().changed == 3
    assert world.recorded == [
        {"kind": "log_rotate", "actor": "tester", "changed": 3, "unchanged": 0}
    ]
    assert rows == {path: data for path, data in world.files() if path.suffix == ".parquet"}
    after = world.log_with(KeyRing(world.directory / "keys", new))
    assert set(after.ask(Query(), protected=True)["seal"].to_pylist()) == {OPENED}

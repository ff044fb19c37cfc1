"""The audit record: a chain that shows any alteration."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.actions.audit import GENESIS, AuditRecord, Chain, verify
from monitor.errors import AuditChainBroken, StoreError
from monitor.reports import Action, Decision, Stage

DECISION = Decision(
    decision_id="r:intent",
    rollback_id="r",
    model="crédit",
    from_version="2",
    to_version="1",
    action=Action.ROLLBACK,
    stage=Stage.INTENT,
    reason="the gap is past 0.15",
    at=1.5,
)


def decision(number: int) -> Decision:
    return replace(DECISION, decision_id=f"r:{number}")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def record(path):
    record = AuditRecord(path)
    for number in range(4):
        record.add(decision(number))
    return record


def test_a_record_is_a_chain_from_its_first_line_to_its_head(record, path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [0, 1, 2, 3]
    assert lines[0]["prev"] == GENESIS
    assert verify(path) == Chain(4, lines[-1]["sha256"])
    assert lines[0]["body"]["model"] == "crédit"


def test_a_decision_is_recorded_once_also_by_the_next_process(record, path):
    record.add(decision(2))
    AuditRecord(path).add(decision(3))
    AuditRecord(path).add(decision(4))
    record.add(decision(4))
    assert verify(path).links == 5


def test_the_record_is_for_its_owner_only(record, path):
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", range(4))
def test_an_altered_line_is_named(record, path, line):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"0.15", b"0.05")
    path.write_bytes(b"".join(lines))
    with pytest.raises(AuditChainBroken, match=f"line {line + 1} was altered"):
        verify(path)


def test_a_line_that_was_dropped_is_named(record, path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    with pytest.raises(AuditChainBroken, match="line 2 is number 2, not 1"):
        verify(path)


def test_a_line_that_was_replaced_with_a_right_hash_of_its_own_is_named(record, path, tmp_path):
    other = AuditRecord(tmp_path / "other.jsonl")
    for number in (7, 8):
        other.add(decision(number))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = other.path.read_bytes().splitlines(keepends=True)[1]
    path.write_bytes(b"".join(lines))
    with pytest.raises(AuditChainBroken, match="line 2 does not follow"):
        verify(path)


def test_a_torn_last_line_is_said_and_then_cut_off_by_the_next_write(record, path):
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at":1.5,"bo')
    assert verify(path).torn == 13
    AuditRecord(path).add(decision(9))
    assert path.read_bytes().startswith(whole)
    chain = verify(path)
    assert (chain.links, chain.torn) == (5, 0)


def test_nothing_is_added_to_an_altered_last_line(record, path):
    path.write_bytes(path.read_bytes().replace(b'"r:3"', b'"r:4"'))
    with pytest.raises(AuditChainBroken, match="altered"):
        AuditRecord(path).write(2.0, {"what": "a query"})


def test_what_is_no_chain_at_all_is_named(path):
    path.write_text('{"hello": 1}\n')
    with pytest.raises(AuditChainBroken, match="line 1 is no link"):
        verify(path)


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"[1]", b"1", b"{}", b""]))))
def test_any_bytes_are_no_chain_or_a_torn_line(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("audit") / "a"
    path.write_bytes(b"\n".join(lines))
    with contextlib.suppress(AuditChainBroken):
        assert verify(path).links == 0


def test_a_record_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(StoreError, match="audit record cannot be written"):
        AuditRecord(tmp_path).add(DECISION)
    with pytest.raises(StoreError, match="cannot be read"):
        verify(tmp_path / "missing")


def test_a_full_disk_is_an_error_and_the_next_write_goes_on_with_the_chain(record, path):
    room = path.stat().st_size + 100
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(StoreError, match="bytes were taken"):
            record.add(decision(9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert verify(path).torn == 100
    record.add(decision(9))
    assert verify(path).links == 5


def _write_many(path: Path, first: int) -> None:
    record = AuditRecord(path)
    for number in range(first, first + 25):
        record.add(decision(number))


def test_several_processes_write_one_chain(path):
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_write_many, args=(path, 25 * n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert verify(path).links == 75


def test_a_line_longer_than_one_read_is_followed(path):
    record = AuditRecord(path)
    record.write(1.0, {"text": "x" * 200_000})
    record.write(2.0, {"text": "y" * 200_000})
    record.write(3.0, {})
    assert verify(path).links == 3
    assert path.stat().st_size > 400_000

from __future__ import annotations

import os

import pytest

from monitor.errors import SettingsError
from monitor.publish import PredictionPublisher
from monitor.publish.identity import Identity
from monitor.publish.spool import Record, Spool, frame


def record(sequence: int, size: int = 20) -> Record:
    return Record(sequence, 1, b"credit/7", [("ce_id", b"%d" % sequence)], b"x" * size)


def records(*sequences: int) -> list[Record]:
    return [record(sequence) for sequence in sequences]


def sequences(spool: Spool) -> list[int]:
    found = []
    while chunk := spool.read():
        found += [item.sequence for item in chunk]
    return found


def test_records_come_back_whole_and_in_order(tmp_path):
    spool = Spool(tmp_path, limit_bytes=1 << 20)
    assert spool.append(records(1, 2, 3)) == 3
    assert spool.read() == records(1, 2, 3)
    assert spool.read() == []


def test_what_is_unconfirmed_comes_back_after_a_restart(tmp_path):
    spool = Spool(tmp_path, limit_bytes=1 << 20, segment_bytes=1)  # a segment each
    spool.append([record(1)])
    spool.append([record(2)])
    spool.append([record(3)])
    spool.confirm(1)
    spool.close()
    again = Spool(tmp_path, limit_bytes=1 << 20)
    assert again.events == 2
    assert sequences(again) == [2, 3]


def test_a_torn_tail_loses_only_the_torn_record(tmp_path):
    spool = Spool(tmp_path, limit_bytes=1 << 20)
    spool.append(records(1, 2, 3))
    spool.close()
    (segment,) = tmp_path.glob("*.spool")
    os.truncate(segment, segment.stat().st_size - 5)
    again = Spool(tmp_path, limit_bytes=1 << 20)
    assert again.append(records(7)) == 1
    assert sequences(again) == [1, 2, 7]
    assert again.torn_bytes == len(frame(record(3))) - 5


def test_a_tail_of_zeros_is_torn(tmp_path):
    spool = Spool(tmp_path, limit_bytes=1 << 20)
    spool.append(records(1))
    spool.close()
    (segment,) = tmp_path.glob("*.spool")
    with segment.open("ab") as file:
        file.write(bytes(64))
    assert sequences(Spool(tmp_path, limit_bytes=1 << 20)) == [1]


def test_a_record_altered_while_it_waits_is_passed_over_aloud(tmp_path):
    spool = Spool(tmp_path, limit_bytes=1 << 20)
    spool.append(records(1, 2))
    (segment,) = tmp_path.glob("*.spool")
    data = bytearray(segment.read_bytes())
    data[-1] ^= 0xFF
    segment.write_bytes(data)
    assert sequences(spool) == [1]
    assert spool.torn_bytes == len(frame(record(2)))


def test_a_full_spool_refuses_the_newest_and_keeps_what_it_has(tmp_path):
    size = len(frame(record(1)))
    spool = Spool(tmp_path, limit_bytes=3 * size)
    assert spool.append(records(1, 2, 3, 4)) == 3
    assert spool.append(records(5)) == 0
    assert (
        spool.size_bytes
        == sum(path.stat().st_size for path in tmp_path.glob("*.spool"))
        == 3 * size
    )
    assert sequences(spool) == [1, 2, 3]


def test_room_is_given_back_as_segments_are_confirmed(tmp_path):
    size = len(frame(record(1)))
    spool = Spool(tmp_path, limit_bytes=4 * size)
    assert spool.append(records(1, 2, 3, 4)) == 4
    spool.confirm(2)
    assert spool.append(records(5, 6, 7)) == 2
    assert sequences(spool) == [3, 4, 5, 6]


def test_a_disk_that_refuses_leaves_no_torn_record_in_the_middle(tmp_path, monkeypatch):
    spool = Spool(tmp_path, limit_bytes=1 << 20)
    spool.append(records(1))
    write = os.write

    def fill_up(file, data):
        monkeypatch.setattr(os, "write", refuse)
        return write(file, data[:7])

    def refuse(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fill_up)
    assert spool.append(records(2)) == 0
    assert spool.trouble is not None
    monkeypatch.setattr(os, "write", write)
    assert spool.append(records(3)) == 1
    assert sequences(spool) == [1, 3]


def test_an_identity_without_a_directory_is_fresh_each_time():
    assert Identity(None).producer_id != Identity(None).producer_id


def test_the_producer_id_outlives_the_process_and_no_sequence_is_used_twice(tmp_path):
    first = Identity(tmp_path)
    used = [first.next_sequence() for _ in range(3)]
    first.close()
    second = Identity(tmp_path)
    assert second.producer_id == first.producer_id
    assert second.next_sequence() > max(used)
    second.close()


def test_reserved_numbers_are_extended_before_they_run_out(tmp_path, monkeypatch):
    monkeypatch.setattr("monitor.publish.identity._BLOCK", 2)
    first = Identity(tmp_path)
    used = [first.next_sequence() for _ in range(7)]
    first.close()
    assert used == list(range(7))
    assert Identity(tmp_path).next_sequence() > 6


def test_two_processes_on_one_directory_have_different_ids(tmp_path):
    first, second = Identity(tmp_path), Identity(tmp_path)
    assert first.producer_id != second.producer_id
    assert first.slot != second.slot
    first.close()
    second.close()


def test_a_chosen_producer_id_can_be_had_by_one_process_only(tmp_path):
    holder = Identity(tmp_path, "till-1")
    with pytest.raises(SettingsError, match="another process"):
        Identity(tmp_path, "till-1")
    holder.close()
    assert Identity(tmp_path, "till-1").producer_id == "till-1"


def test_a_disk_that_is_full_makes_a_new_producer_id_rather_than_a_reused_number(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("monitor.publish.identity._BLOCK", 2)
    identity = Identity(tmp_path)
    before = identity.producer_id
    monkeypatch.setattr(
        Identity, "_reserve", lambda self: (_ for _ in ()).throw(OSError(28, "full"))
    )
    numbers = [identity.next_sequence() for _ in range(4)]
    assert numbers == [0, 1, 2, 3]
    assert identity.producer_id != before


def test_an_unreadable_producer_file_makes_a_new_id(tmp_path):
    first = Identity(tmp_path)
    first.close()
    (tmp_path / "0" / "producer.json").write_text("{")
    assert Identity(tmp_path).producer_id != first.producer_id


def test_new_numbers_come_behind_those_on_disk_though_what_was_reserved_is_unknown(tmp_path):
    first = Identity(tmp_path)
    assert first.slot is not None
    Spool(first.slot, limit_bytes=1 << 20).append(records(1_000, 1_001))
    first.close()
    (tmp_path / "0" / "producer.json").write_text("{")
    publisher = PredictionPublisher("127.0.0.1:1", spool_directory=tmp_path)
    publisher.close(0)
    second = Identity(tmp_path)
    assert second.producer_id == publisher.producer_id
    assert second.next_sequence() > 1_001 + (1 << 20)


def test_a_spool_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="spool directory cannot be used"):
        Identity(tmp_path / "file")

"""What the archiver does with its batches when things go wrong, on a broker that is played."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, Self

import pytest
from structlog.testing import capture_logs

from monitor.engine.intake import FORWARDED_HEADER
from monitor.errors import KafkaError, StoreError
from monitor.fetch.member import Assignment
from monitor.health import Health
from monitor.predictionlog import archiver as archiving
from monitor.predictionlog.archiver import Archiver, BatchSize
from tests.archive import SOURCE, TOPIC, World, event, message


class Record(NamedTuple):
    """A message as aiokafka gives it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def record(offset: int, value: bytes | None = None) -> Record:
    said = message(event(offset % 10))
    return Record(
        offset, int(said.arrived * 1000), said.key, said.value if value is None else value
    )


def copy(offset: int) -> Record:
    """A copy that the stream put into the partition where the version's events lie."""
    return record(offset)._replace(headers=((FORWARDED_HEADER, b"1"),))


class Group:
    """A member of a group: each look at the topic plays the next step, a list of records or what happens."""

    def __init__(self, *steps: list[Record] | Callable[[], list[Record] | None]) -> None:
        self._steps = list(steps)
        self.assignment = Assignment()
        self.held = 0, 1_000
        self.begun: list[dict[int, int]] = []
        self.ends: list[str] = []

    def __call__(self, *_: object, **__: object) -> Group:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.append("left")

    def give(self, *partitions: int) -> None:
        """Have the group assign partitions."""
        self.assignment = Assignment(partitions, given=True)

    def take(self, _: float) -> dict[int, list[Record]]:
        if not self.begun and not self.assignment.partitions:
            self.give(0)
            return {}
        step = self._steps.pop(0) if self._steps else []
        records = (step() or []) if callable(step) else step
        return {0: records} if records else {}

    def bounds(self, partitions: tuple[int, ...]) -> dict[int, tuple[int, int]]:
        return dict.fromkeys(partitions, self.held)

    def begin(self, _: Assignment, places: dict[int, int]) -> None:
        self.begun.append(places)

    def commit(self, places: dict[int, int]) -> dict[int, int]:
        return dict.fromkeys(places, 1_000)

    def pause(self, _: Assignment) -> None:
        self.ends.append("paused")

    def resume(self, _: Assignment) -> None:
        self.ends.append("resumed")


def archiving_from(monkeypatch, *steps) -> Group:
    group = Group(*steps)
    monkeypatch.setattr(archiving, "Member", group)
    return group


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def full_for(monkeypatch, world: World, *, tries: int) -> None:
    """Have the disk be full the first times that the table is written."""
    append, refusals = world.table.append, iter([True] * tries)

    def reluctant(rows, reached, held):
        if next(refusals, False):
            raise StoreError("no space left on device")
        append(rows, reached, held)

    monkeypatch.setattr(world.table, "append", reluctant)


def test_a_batch_given_up_at_the_end_takes_what_came_after_it_along(world, monkeypatch):
    """Else the later one would be written, and the table's position pass over the one given up."""
    stop = threading.Event()

    def stopped_while_waiting() -> list[Record]:
        stop.set()
        return [record(2)]  # it was on its way before the pause

    archiving_from(monkeypatch, [record(0), record(1)], stopped_while_waiting)
    full_for(monkeypatch, world, tries=2)
    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=2))
    archiver.run(stop)
    assert world.table.positions([SOURCE]) == {SOURCE: None}  # all three are read again
    assert (archiver.counts.rows, len(world.rows)) == (0, 0)


def test_what_is_no_event_is_a_dead_letter_before_the_position_passes_over_it(world, monkeypatch):
    stop = threading.Event()

    def at_last() -> list[Record]:
        stop.set()
        return [record(3, b"{")]

    archiving_from(monkeypatch, [record(0), record(1, b"\xff"), record(2)], at_last)
    said: list[tuple] = []

    def told(letters) -> None:
        said.append((world.table.positions([SOURCE])[SOURCE], *letters))

    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=2), letters=told)
    archiver.run(stop)
    (before, first), (between, second) = said
    assert (before, between) == (None, 2)
    assert (first.topic, first.partition, first.offset, first.value) == (TOPIC, 0, 1, b"\xff")
    assert first.field == "$"
    assert "cannot be read" in first.reason
    assert (second.offset, second.value) == (3, b"{")
    assert world.table.positions([SOURCE]) == {SOURCE: 3}  # it is not told again
    assert (archiver.counts.rows, archiver.counts.unreadable) == (2, 2)


def test_a_dead_letter_is_of_its_own_message_among_copies_and_large_ones(world, monkeypatch):
    stop = threading.Event()
    large = [message(event(at, features={"note": "x" * 900_000})).value for at in range(6)]
    records = [record(0), copy(1), record(2, b"\xff"), record(3, large[3])]
    records += [record(4, large[4]), record(5, large[5]), copy(6), record(7, b"{"), record(8)]
    archiving_from(monkeypatch, records, stop.set)
    letters: list = []
    archiver = Archiver(world.table, world.rows, {}, app="a", letters=letters.extend)
    archiver.run(stop)
    assert [(letter.offset, letter.value) for letter in letters] == [(2, b"\xff"), (7, b"{")]
    assert (archiver.counts.rows, archiver.counts.forwarded) == (5, 2)
    assert world.table.positions([SOURCE]) == {SOURCE: 8}


def test_while_no_dead_letter_can_be_written_nothing_is_passed_over(world, monkeypatch):
    stop = threading.Event()
    archiving_from(monkeypatch, [record(0, b"{"), record(1), record(2)], stop.set)
    troubles = iter([KafkaError("nobody may write there"), None])
    heard = []

    def told(letters) -> None:
        trouble = next(troubles)
        if trouble is not None:
            assert world.table.positions([SOURCE]) == {SOURCE: None}
            raise trouble
        heard.extend(letters)

    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=2), letters=told)
    archiver.run(stop)
    assert [letter.offset for letter in heard] == [0]
    assert (archiver.counts.waits, archiver.counts.rows) == (1, 2)
    assert world.table.positions([SOURCE]) == {SOURCE: 2}


def test_of_large_messages_few_are_made_rows_at_once(world, monkeypatch):
    """An Arrow message of a MiB holds thousands of events: a thousand such messages would be all of the memory."""
    stop = threading.Event()
    large = [message(event(at, features={"note": "x" * 400_000})).value for at in range(10)]
    archiving_from(monkeypatch, [record(*one) for one in enumerate(large)], stop.set)
    taken = []
    add = world.rows.add

    def noted(messages):
        taken.append(len(messages))
        return add(messages)

    monkeypatch.setattr(world.rows, "add", noted)
    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=100))
    archiver.run(stop)
    assert taken == [6, 4]
    assert archiver.counts.rows == 10


def test_partitions_that_the_group_gives_anew_are_read_from_where_the_table_stands(
    world, monkeypatch
):
    stop = threading.Event()
    group = archiving_from(
        monkeypatch,
        [record(0), record(1)],  # a batch, which is written
        [record(2)],  # less than one, which is given up
        lambda: group.give(0, 1) or [record(3)],  # of the assignment before
        lambda: group.give() or [],
        lambda: group.give(0) or [],
        lambda: stop.set() or [record(2), record(3)],
    )
    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=2))
    archiver.run(stop)
    assert group.begun == [{0: 0}, {0: 2, 1: 0}, {0: 2}]
    assert world.table.positions([SOURCE]) == {SOURCE: 3}
    assert archiver.counts.rows == 4
    dataset = world.table.dataset()
    assert sorted(dataset.to_table()["kafka_offset"].to_pylist()) == [0, 1, 2, 3]


def test_where_another_archiver_was_first_it_begins_again_behind_that_ones_rows(world, monkeypatch):
    stop = threading.Event()

    def overtaken() -> list[Record]:
        world.write(event(0), event(1), event(2))
        return [record(0), record(1)]

    group = archiving_from(monkeypatch, overtaken, [], lambda: stop.set() or [record(3), record(4)])
    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=2))
    archiver.run(stop)
    assert group.begun == [{0: 0}, {0: 3}]
    assert (archiver.counts.fenced, archiver.counts.rows) == (1, 2)
    assert world.table.positions([SOURCE]) == {SOURCE: 4}


def test_it_is_ready_when_the_group_has_spoken_and_not_before(world, monkeypatch):
    stop = threading.Event()
    health = Health()
    archiver = Archiver(world.table, world.rows, {}, app="a", health=health)
    ready = []

    class Silent(Group):
        def take(self, _: float) -> dict[int, list[Record]]:
            ready.append(not health.waits_for)
            if len(ready) == 3:
                self.give()  # others have all partitions
            if len(ready) == 5:
                stop.set()
            return {}

    monkeypatch.setattr(archiver, "_join", Silent)
    archiver.run(stop)
    assert ready == [False, False, False, True, True]


def test_the_backlog_of_a_partition_that_went_with_a_fence_is_nobodys_here(world, monkeypatch):
    stop = threading.Event()
    health = Health()

    def overtaken() -> list[Record]:
        world.offset = 1
        world.write(event(2))
        return [record(2), record(3)]

    def lost() -> None:
        group.give()
        stop.set()

    group = archiving_from(monkeypatch, [record(0), record(1)], overtaken, lost)
    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=2), health=health)
    archiver.run(stop)
    assert archiver.counts.fenced == 1
    assert [sample for metric in health.backlog.collect() for sample in metric.samples] == []


def test_what_the_topic_no_longer_holds_is_passed_over_aloud(world, monkeypatch):
    stop = threading.Event()
    group = archiving_from(monkeypatch, lambda: stop.set() or [record(700)])
    group.held = 700, 1_000
    world.write(event(0))
    with capture_logs() as said:
        Archiver(world.table, world.rows, {}, app="a").run(stop)
    assert group.begun == [{0: 700}]
    assert [one["offsets"] for one in said if one["event"] == "lost"] == [699]


def test_a_topic_that_ends_before_the_table_does_is_another_one(world, monkeypatch):
    group = archiving_from(monkeypatch)
    group.held = 0, 1
    world.write(event(0), event(1), event(2))
    with pytest.raises(KafkaError, match="ends at 1, and the log stands at 3"):
        Archiver(world.table, world.rows, {}, app="a").run(threading.Event())
    assert group.ends == ["left"]


def test_while_the_table_cannot_be_written_nothing_more_is_fetched(world, monkeypatch):
    stop = threading.Event()
    group = archiving_from(monkeypatch, [record(0), record(1)], [record(2)], stop.set)
    full_for(monkeypatch, world, tries=1)
    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=2))
    archiver.run(stop)
    assert group.ends == ["paused", "resumed", "left"]
    assert archiver.counts.rows == 3

"""What the archiver does with its batches when things go wrong, on a broker that is played."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from monitor.engine.intake import FORWARDED_HEADER
from monitor.errors import KafkaError, StoreError
from monitor.predictionlog import archiver as archiving
from monitor.predictionlog.archiver import Archiver, BatchSize
from tests.archive import SOURCE, TOPIC, World, event, message


class Record:
    """A message as confluent-kafka gives it."""

    def __init__(self, offset: int, value: bytes | None = None) -> None:
        said = message(event(offset % 10))
        self._offset, self._key, self._arrived = offset, said.key, said.arrived
        self._value = said.value if value is None else value

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, int(self._arrived * 1000)

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value


class Copy(Record):
    """A copy that the stream put into the partition where the version's events lie."""

    def headers(self) -> list[tuple[str, bytes]]:
        return [(FORWARDED_HEADER, b"1")]


class Trouble(Record):
    """What confluent-kafka gives where there is no message."""

    def error(self) -> Trouble:
        return self

    def fatal(self) -> bool:
        return False

    def code(self) -> int:
        return -195

    def str(self) -> str:
        return "the broker went away"


class Broker:
    """A consumer's client: each look at it plays the next step, a list of records or what happens."""

    def __init__(self, *steps: list[Record] | Callable[[], list[Record] | None]) -> None:
        self._steps = list(steps)

    def __call__(self, _: object) -> Broker:
        return self

    def subscribe(self, _: list[str], on_assign, on_revoke) -> None:
        self._assign = on_assign

    def consume(self, *_: object, **__: object) -> list[Record]:
        if self._assign is not None:
            self._assign(self, [archiving.TopicPartition(TOPIC, 0)])
            self._assign = None
            return []
        step = self._steps.pop(0) if self._steps else []
        return (step() or []) if callable(step) else step

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        return 0, 1_000

    def assignment(self) -> list[object]:
        return []

    def ignore(self, *_: object, **__: object) -> None:
        """Whatever is of no account here."""

    assign = pause = resume = commit = close = ignore


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_batch_given_up_at_the_end_takes_what_came_after_it_along(world, monkeypatch):
    """Else the later one would be written, and the table's position pass over the one given up."""
    stop = threading.Event()

    def stopped_while_waiting() -> list[Record]:
        stop.set()
        return [Record(2)]  # it was on its way before the pause

    broker = Broker([Record(0), Record(1)], stopped_while_waiting)
    monkeypatch.setattr(archiving, "Consumer", broker)
    refusals = iter([True, True])
    append = world.table.append

    def reluctant(rows, reached, held):
        if next(refusals, False):
            raise StoreError("no space left on device")
        append(rows, reached, held)

    monkeypatch.setattr(world.table, "append", reluctant)
    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=2))
    archiver.run(stop)
    assert world.table.positions([SOURCE]) == {SOURCE: None}  # all three are read again
    assert (archiver.counts.rows, len(world.rows)) == (0, 0)


def test_what_is_no_event_is_a_dead_letter_before_the_position_passes_over_it(world, monkeypatch):
    stop = threading.Event()

    def at_last() -> list[Record]:
        stop.set()
        return [Record(3, b"{")]

    broker = Broker([Record(0), Record(1, b"\xff"), Record(2)], at_last)
    monkeypatch.setattr(archiving, "Consumer", broker)
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


def test_a_dead_letter_is_of_its_own_message_among_copies_troubles_and_large_ones(
    world, monkeypatch
):
    stop = threading.Event()
    large = [message(event(at, features={"note": "x" * 900_000})).value for at in range(6)]
    records = [Record(0), Trouble(0), Copy(1), Record(2, b"\xff"), Record(3, large[3]), Trouble(0)]
    records += [Record(4, large[4]), Record(5, large[5]), Copy(6), Record(7, b"{"), Record(8)]
    monkeypatch.setattr(archiving, "Consumer", Broker(records, stop.set))
    letters: list = []
    archiver = Archiver(world.table, world.rows, {}, app="a", letters=letters.extend)
    archiver.run(stop)
    assert [(letter.offset, letter.value) for letter in letters] == [(2, b"\xff"), (7, b"{")]
    assert (archiver.counts.rows, archiver.counts.forwarded) == (5, 2)
    assert world.table.positions([SOURCE]) == {SOURCE: 8}


def test_while_no_dead_letter_can_be_written_nothing_is_passed_over(world, monkeypatch):
    stop = threading.Event()
    broker = Broker([Record(0, b"{"), Record(1), Record(2)], stop.set)
    monkeypatch.setattr(archiving, "Consumer", broker)
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
    broker = Broker([Record(*one) for one in enumerate(large)], stop.set)
    monkeypatch.setattr(archiving, "Consumer", broker)
    taken = []
    add = world.rows.add

    def noted(messages):
        taken.append(len(messages))
        return add(messages)

    monkeypatch.setattr(world.rows, "add", noted)
    archiver = Archiver(world.table, world.rows, {}, app="a", size=BatchSize(rows=100))
    archiver.run(stop)
    assert taken == [3, 3, 3, 1]
    assert archiver.counts.rows == 10

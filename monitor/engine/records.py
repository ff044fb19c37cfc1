"""What the engine takes and gives: a stream, a replay or a test stands on either side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from monitor.baselines import Baseline
    from monitor.events import ModelVersion
    from monitor.reports import DeadLetter, Report, Verdict


class Record(Protocol):
    """One Kafka message; aiokafka's ConsumerRecord is one."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int:
        """Arrival, milliseconds since 1970 UTC (the topic has LogAppendTime)."""

    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class Numbered(Struct, gc=False, weakref=False):
    """A record that ends in the headers that our publisher writes last: content type, producer, sequence.

    Whoever reads records by the thousand reads these three along with them; the others stay bytes until asked for.

    Attributes
    ----------
    raw
        The headers as Kafka writes them.
    """

    offset: int
    timestamp: int
    key: bytes
    content: bytes
    producer: bytes
    sequence: int
    value: bytes
    raw: bytes

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """The headers, read now; a name that is no text is made one."""
        count, place = read_varint(self.raw, 0)
        found = []
        for _ in range(count):
            size, place = read_varint(self.raw, place)
            name = self.raw[place : place + size].decode(errors="replace")
            size, place = read_varint(self.raw, place + size)
            value = self.raw[place : place + max(size, 0)]
            place += len(value)
            found.append((name, value))
        return found


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a signed number as Kafka writes it, and where it ends."""
    value = data[place]
    place += 1
    shift = 7
    while value >> shift:
        # The bit that says "and more" of the byte before is taken off again.
        value += (data[place] - 1) << shift
        place += 1
        shift += 7
    return (value >> 1) ^ -(value & 1), place


@dataclass(frozen=True, slots=True)
class Forward:
    """A record that belongs to another partition, to be sent there once."""

    record: Record
    partition: int


@dataclass(slots=True)
class Outbox:
    """What has to be written together: in one Kafka transaction.

    Attributes
    ----------
    position
        Offset of the next record to read; part of `state` too.
    state
        Changes of the compacted state topic: key to value, None for a tombstone.
    """

    position: int = 0
    state: dict[bytes, bytes | None] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    forwards: list[Forward] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Vitals:
    """How an engine is, for those who watch the monitor.

    Attributes
    ----------
    counts
        Records since the engine was made, by what became of them.
    watermarks
        Of each version with a window under way, seconds of event time.
    open_windows
        How many windows are under way.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    watermarks: Mapping[ModelVersion, float] = field(default_factory=dict)
    open_windows: int = 0


class Engine(Protocol):
    """The state machine of one source partition.

    Whoever drives it: `restore` once, then for each batch `versions` (fetch missing baselines), `fold`; `take` when
    `due`, and every snapshot interval; write the outbox in one transaction, or throw the engine away.
    """

    position: int

    def restore(self, state: Mapping[bytes, bytes]) -> None:
        """Take up where an earlier owner's last transaction left off.

        Raises
        ------
        StateError
            If another release wrote it.
        """

    def versions(self, records: Sequence[Record]) -> set[ModelVersion]:
        """Return the versions in these records whose baseline has not been given yet, or not lately."""

    def was_asked_after(self, version: ModelVersion) -> bool:
        """Whether it is counted without a baseline already, so that another question may go unanswered."""

    def learn(self, version: ModelVersion, baseline: Baseline | None) -> None:
        """Take note of a version's baseline, or that it has none."""

    def fold(self, records: Sequence[Record]) -> None:
        """Count each record once, or set it aside with a reason. Advances `position` past them."""

    def idle(self, seconds: float) -> None:
        """Say that the end of the partition was reached and nothing came for so many more seconds."""

    @property
    def vitals(self) -> Vitals:
        """How it is."""

    @property
    def due(self) -> bool:
        """Whether a window can be closed, or revised: then take at once."""

    def take(self) -> Outbox:
        """Close what is due, judge it, and return all that changed since the last time."""


class BaselineSource(Protocol):
    """Where baselines come from: the registry, or a file at the desk."""

    def baseline(self, version: ModelVersion) -> Baseline | None:
        """Return the version's frozen baseline, or None if it has none.

        Raises
        ------
        RegistryUnavailable
            If that cannot be known now.
        BaselineAltered
            If it is not what was approved.
        """

"""Which records are new, whose they are, and how they are written: seen from key and headers alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from monitor.engine.block import Block, keys
from monitor.engine.records import Numbered
from monitor.errors import EventError
from monitor.events import (
    ARROW_CONTENT,
    JSON_CONTENT,
    MSGPACK_CONTENT,
    PRODUCER_HEADER,
    SEQUENCE_HEADER,
    ModelVersion,
)

if TYPE_CHECKING:
    from monitor.engine.records import Record

CONTENT_HEADER = "content-type"

#: How many headers our own publisher writes, and one more with a trace: content type, producer and sequence are the
#: last three.
FEWEST_HEADERS = 8

#: On a record that was sent on from the partition it was found in, so that it is sent on once.
FORWARDED_HEADER = "monitor_forwarded"

CONTENTS = frozenset({JSON_CONTENT, MSGPACK_CONTENT, ARROW_CONTENT})

#: Distinct keys whose route is remembered.
_ROUTES = 10_000

#: The highest sequence that state can hold, and the longest producer id, in bytes.
_LAST_SEQUENCE = 2**63 - 1
_PRODUCER_LENGTH = 256

#: Length of an event id's digest.
ID_BYTES = 16

#: Producers remembered, and for how many seconds of arrival time after their last record.
PRODUCERS_CAP = 10_000
PRODUCER_MEMORY = 7 * 86400.0


@dataclass(slots=True)
class Run:
    """Consecutive records of one version that are written alike, or one that cannot be counted here.

    Attributes
    ----------
    by_id
        The records carry no sequence: known ones are told by their event id.
    forward
        The partition that they belong to, if it is another.
    """

    subject: ModelVersion
    content: bytes
    records: Sequence[Record]
    by_id: bool = False
    forward: int | None = None
    error: EventError | None = None


@dataclass(slots=True)
class _OpenRun(Run):
    """One that more records may be of."""

    records: list[Record]


@dataclass(frozen=True, slots=True)
class _Route:
    subject: ModelVersion
    partition: int


class _Who(Struct):
    model_name: str
    model_version: str


class _Which(Struct):
    event_id: str = ""


_decode_who = msgspec.json.Decoder(_Who).decode
_decode_which = msgspec.json.Decoder(_Which).decode
_decode_packed_which = msgspec.msgpack.Decoder(_Which).decode
_NOBODY = ModelVersion("", "")


class Intake:
    """Sorts a partition's records by version, without those that were counted before.

    Parameters
    ----------
    partition
        The source partition's number.
    partition_of
        The partition of a message key.

    """

    def __init__(self, partition: int, partition_of: Callable[[bytes], int]) -> None:
        self._partition = partition
        self._partition_of = partition_of
        self._routes: dict[bytes, _Route] = {}
        self._repeated: list[Record] = []
        self._highest: dict[bytes, int] = {}
        self._heard: dict[bytes, tuple[int, float]] = {}

    def subjects(self, records: Sequence[Record]) -> set[ModelVersion]:
        """Return the versions that the records' keys name, or else their values, as far as they can be read."""
        found, named_by_value = set(), set()
        for key in keys(records):
            try:
                found.add(self._route(key or b"").subject)
            except ValueError:
                named_by_value.add(key)
        for record in records if named_by_value else ():
            if record.key in named_by_value:
                try:
                    found.add(self._route_of(record).subject)
                except EventError:
                    continue
        return found

    def sort(self, records: Sequence[Record]) -> Iterator[Run]:
        """Yield runs, each version's in order of arrival; records counted before are left out."""
        runs = self._sort_block(records) if isinstance(records, Block) else None
        yield from self._sort_each(records) if runs is None else runs

    def _sort_block(self, block: Block) -> list[Run] | None:
        """Return the runs of a block whose records are all new, and of versions of this partition; else None."""
        highest = {}
        for producer, own in block.split(lambda sender: sender.producer):
            known, sequences = self._highest.get(producer, -1), own.sequences
            new = sequences[0] > known and bool((sequences[1:] > sequences[:-1]).all())
            if not new or (known < 0 and len(producer) > _PRODUCER_LENGTH):
                return None
            highest[producer] = int(sequences[-1])
        runs: list[Run] = []
        for key, own in block.split(lambda sender: sender.key):
            try:
                route = self._route(key)
            except ValueError:
                return None
            if route.partition != self._partition or route.subject.key != key:
                return None
            parts = own.cut(lambda sender: sender.content)
            if any(content not in CONTENTS for content, _ in parts):
                return None
            runs += [Run(route.subject, content, part) for content, part in parts]
        self._highest |= highest
        return runs

    def _sort_each(self, records: Sequence[Record]) -> Iterator[Run]:
        open_runs: dict[bytes | None, _OpenRun] = {}
        highest = self._highest
        number: int | None
        for record in records:
            if type(record) is Numbered:
                content: bytes | None = record.content
                producer: bytes | None = record.producer
                number, by_id = record.sequence, False
            else:
                content, producer, number, by_id = _said(record.headers)
            if producer is not None and number is not None:
                known = highest.get(producer, -1)
                if known < number <= _LAST_SEQUENCE and (
                    known >= 0 or len(producer) <= _PRODUCER_LENGTH
                ):
                    highest[producer] = number
                elif 0 <= number <= known:
                    self._repeated.append(record)
                    continue
                else:
                    yield _unnumbered(record, producer)
                    continue
            run = open_runs.get(record.key)
            if run is not None and run.content == content and run.by_id is by_id:
                run.records.append(record)
            else:
                yield from self._begin(record, content, open_runs, by_id=by_id)
        yield from open_runs.values()

    def take_repeated(self) -> list[Record]:
        """Return the records that were left out since the last call: they came before."""
        repeated, self._repeated = self._repeated, []
        return repeated

    def progress(self, now: float) -> dict[str, tuple[int, float]]:
        """Return the highest sequence counted per producer, and the arrival time at which it was last heard of.

        Producers not heard of for long are forgotten, and the most silent ones past the cap.
        """
        for producer, number in self._highest.items():
            known = self._heard.get(producer)
            if known is None or known[0] != number:
                self._heard[producer] = (number, now)
        heard = [item for item in self._heard.items() if item[1][1] >= now - PRODUCER_MEMORY]
        heard = sorted(heard, key=lambda item: item[1][1])[-PRODUCERS_CAP:]
        self._heard = dict(heard)
        self._highest = {producer: number for producer, (number, _) in heard}
        # Any bytes are a name: Latin-1 has a character for each.
        return {producer.decode("latin-1"): said for producer, said in heard}

    def restore(self, sequences: Mapping[str, tuple[int, float]]) -> None:
        """Take up where `progress` left off."""
        self._heard = {name.encode("latin-1"): said for name, said in sequences.items()}
        self._highest = {producer: number for producer, (number, _) in self._heard.items()}

    def _begin(
        self,
        record: Record,
        content: bytes | None,
        open_runs: dict[bytes | None, _OpenRun],
        *,
        by_id: bool,
    ) -> Iterator[Run]:
        """Begin a run with a record that continues none; what cannot be counted here is a run of its own."""
        content = content or JSON_CONTENT
        if content not in CONTENTS:
            kinds = ", ".join(sorted(kind.decode() for kind in CONTENTS))
            yield _refused(record, CONTENT_HEADER, f"{content!r} is not one of {kinds}")
            return
        try:
            route = self._route_of(record)
        except EventError as error:
            yield Run(_NOBODY, b"", [record], error=error)
            return
        if route.partition != self._partition and not _was_forwarded(record.headers):
            yield Run(route.subject, content, [record], forward=route.partition)
            return
        name = route.subject.key
        run = open_runs.get(name)
        if run is not None and run.content == content and run.by_id is by_id:
            run.records.append(record)
            return
        if run is not None:
            yield run
        open_runs[name] = _OpenRun(route.subject, content, [record], by_id=by_id)

    def _route_of(self, record: Record) -> _Route:
        if record.key is not None:
            try:
                return self._route(record.key)
            except ValueError:
                pass
        try:
            who = _decode_who(record.value or b"")
            return self._route(ModelVersion(who.model_name, who.model_version).key)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            reason = f"the key {_short(record.key)} is not model_name/model_version, nor does the value name them"
            raise EventError("key", reason) from error

    def _route(self, key: bytes) -> _Route:
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) >= _ROUTES:
                self._routes.clear()
            subject = ModelVersion.from_key(key)
            route = self._routes[key] = _Route(subject, self._partition_of(key))
        return route


def identity(record: Record) -> bytes | None:
    """Return a digest of the record's event id; None if it has none that can be read."""
    named = dict(record.headers).get("ce_id")
    if named is None:
        value = record.value or b""
        decode = _decode_which if value.lstrip()[:1] == b"{" else _decode_packed_which
        try:
            named = decode(value).event_id.encode()
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
    return hashlib.blake2b(named, digest_size=ID_BYTES).digest() if named else None


def _said(
    headers: Sequence[tuple[str, bytes]],
) -> tuple[bytes | None, bytes | None, int | None, bool]:
    """Return content type, producer, sequence (-1 if it is no number), and whether the event's id must tell it apart."""
    by: tuple[bytes | None, bytes | None]
    if FEWEST_HEADERS <= len(headers) <= FEWEST_HEADERS + 1:
        (kind, content), (who, producer), (which, sequence) = headers[-3:]
        if which == SEQUENCE_HEADER and who == PRODUCER_HEADER and kind == CONTENT_HEADER:
            by = producer, sequence
            return content, producer, _number(sequence), None in by
    named = dict(headers)
    by = named.get(PRODUCER_HEADER), named.get(SEQUENCE_HEADER)
    by_id = None in by
    if FORWARDED_HEADER in named:
        by = _origin(named[FORWARDED_HEADER])
    return named.get(CONTENT_HEADER), by[0], _number(by[1]), by_id


def _number(sequence: bytes | None) -> int | None:
    try:
        return None if sequence is None else int(sequence)
    except ValueError:
        return -1


def _short(key: bytes | None) -> str:
    return repr(key) if key is None or len(key) <= 100 else f"{key[:100]!r}..."


def _unnumbered(record: Record, producer: bytes) -> Run:
    """Refuse a record whose headers say what could not be remembered."""
    if len(producer) > _PRODUCER_LENGTH:
        return _refused(record, PRODUCER_HEADER, f"is longer than {_PRODUCER_LENGTH} bytes")
    named = dict(record.headers)
    sequence = named.get(SEQUENCE_HEADER) or b""
    if FORWARDED_HEADER in named:
        sequence = _origin(named[FORWARDED_HEADER])[1]
    reason = f"{sequence[:40]!r} is not a number from 0 to {_LAST_SEQUENCE}"
    return _refused(record, SEQUENCE_HEADER, reason)


def _origin(said: bytes | None) -> tuple[bytes, bytes]:
    """Return the partition that a record was sent on from, as a producer, and its offset there, as a sequence.

    The publisher's own sequence says nothing here: its other records may have come straight, and earlier.
    """
    partition, _, offset = (said or b"").partition(b":")
    return FORWARDED_HEADER.encode() + b"/" + partition, offset


def _refused(record: Record, field: str, reason: str) -> Run:
    return Run(_NOBODY, b"", [record], error=EventError(field, reason))


def _was_forwarded(headers: Sequence[tuple[str, bytes]]) -> bool:
    return any(name == FORWARDED_HEADER for name, _ in headers)

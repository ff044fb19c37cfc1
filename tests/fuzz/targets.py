"""What is fuzzed: each takes any bytes, and raises only where a promise was broken."""

from __future__ import annotations

import atexit
import base64
import itertools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from monitor.engine.intake import CONTENT_HEADER
from monitor.errors import EventError
from monitor.events import (
    ARROW_CONTENT,
    JSON_CONTENT,
    MSGPACK_CONTENT,
    PRODUCER_HEADER,
    SEQUENCE_HEADER,
)
from monitor.predictionlog.archiver import Gathered
from monitor.predictionlog.keys import KeyRing, MasterKey
from monitor.predictionlog.labels import LabelRows
from monitor.predictionlog.messages import Message as LoggedMessage
from monitor.predictionlog.rows import Rows
from monitor.profiles.arrow import ArrowDecoder
from monitor.profiles.decoder import RowDecoder
from monitor.publish.spool import Record, frame, unframe
from tests.profile_roads import LAYOUT, VERSION, ipc, table
from tests.unit.engine_world import START, SUBJECT, Message, engine

Fuzzed = Callable[[bytes], None]

#: An event of `LAYOUT`, well in every respect.
PART = {
    "features": {"age": 41.0, "weird ' {name} - at `$": -0.5, "town": "Ulm", "owner": True},
    "prediction": 1,
    "score": 0.25,
    "groups": {"sex": "f", "origin": "x"},
}
EVENT = {
    "event_id": "e",
    "prediction_id": "p",
    "event_time": "2026-01-02T03:04:05.678Z",
    "model_name": VERSION.model,
    "model_version": VERSION.version,
    **PART,
}

CONTENTS = (JSON_CONTENT, MSGPACK_CONTENT, ARROW_CONTENT, b"")

#: When the archived messages arrived: 2100, so that few lie in its future.
_ARRIVED = 4_102_444_800.0


@dataclass(frozen=True)
class Target:
    """A decoder under fire.

    Attributes
    ----------
    make
        Returns what is called with bytes, over and over.
    seeds
        Where the fuzzer begins: what the decoder takes.
    """

    make: Callable[[], Fuzzed]
    seeds: tuple[bytes, ...]


def rows(content: str, good: bytes) -> Callable[[], Fuzzed]:
    """One message a row: whatever it is, the well one behind it is counted."""

    def make() -> Fuzzed:
        decoder = RowDecoder(LAYOUT, VERSION, content)

        def fuzzed(data: bytes) -> None:
            decoded = decoder.decode([data, good])
            counted = [0, 1] if decoded.index is None else decoded.index.tolist()
            assert counted[-1] == 1, decoded.bad
            assert len(decoded) + len(decoded.bad) == 2
            assert all(error.field and error.reason for _, error in decoded.bad)

        return fuzzed

    return make


def arrow() -> Fuzzed:
    """Many events a message: all of them count, or there is one reason."""
    decoder = ArrowDecoder(LAYOUT, VERSION)

    def fuzzed(data: bytes) -> None:
        try:
            decoded = decoder.decode(data)
        except EventError:
            return
        assert len(decoded.rows) == len(decoded.times)

    return fuzzed


def partition() -> Fuzzed:
    """A record of any key, headers and value: counted, set aside, sent on or known; never in the way."""
    machine = engine()
    offsets = itertools.count()

    def fuzzed(data: bytes) -> None:
        head, data = data[:2].ljust(2, b"\0"), data[2:]
        names, cut = head[0], head[1]
        key = SUBJECT.key if names & 1 else data[:cut]
        headers: list[tuple[str, bytes]] = [(CONTENT_HEADER, CONTENTS[names >> 1 & 3])]
        if names & 8:
            headers += [(PRODUCER_HEADER, data[:4]), (SEQUENCE_HEADER, data[4:cut])]
        before = sum(machine.counts.values())
        record = Message(next(offsets), int(START * 1000), key, data, tuple(headers))
        for version in machine.versions([record]):
            machine.learn(version, None)
        machine.fold([record])
        assert machine.take().position == record.offset + 1
        # One message of the columnar road may hold many events, or none.
        assert sum(machine.counts.values()) > before or CONTENTS[names >> 1 & 3] == ARROW_CONTENT

    return fuzzed


def _archived(gathered: Gathered, good: LoggedMessage) -> Fuzzed:
    """Whatever comes, all that is taken becomes a table, and every reader can show it."""
    gathered.add([good])  # later ones of its key take the short road
    gathered.drop()

    def fuzzed(data: bytes) -> None:
        kind, value = data[:1], data[1:]
        content = CONTENTS[ord(kind) & 3] if kind else b""
        refused = gathered.add([good._replace(value=value, content=content)])
        taken = len(gathered)
        assert not (refused and taken)
        assert all(fault.field and fault.reason for fault in refused.values())
        assert len(gathered.take().to_pylist()) == taken

    return fuzzed


def archive() -> Fuzzed:
    """A prediction for the log: a row, or refused with a field and a reason."""
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    keys = KeyRing(directory, MasterKey(base64.b64encode(bytes(32)).decode()))
    good = LoggedMessage("predictions", 0, 0, _ARRIVED, VERSION.key, _JSON, JSON_CONTENT)
    return _archived(Rows(keys, lambda _: {"age"}), good)


def label() -> Fuzzed:
    """A label for the log: a row, or refused with a field and a reason."""
    return _archived(
        LabelRows(), LoggedMessage("labels", 0, 0, _ARRIVED, b"p", _LABEL, JSON_CONTENT)
    )


def spool() -> Fuzzed:
    """A segment, torn anywhere: whole records come out, each behind the one before it."""

    def fuzzed(data: bytes) -> None:
        ends = [0, *(end for _, end in unframe(data))]
        assert ends == sorted(set(ends))
        assert ends[-1] <= len(data)

    return fuzzed


_STREAM = ipc(table([{**PART, "second": 0.5}]))
_JSON, _MSGPACK = msgspec.json.encode(EVENT), msgspec.msgpack.encode(EVENT)
_OF_ENGINE = msgspec.json.encode(
    {**EVENT, "features": {"income": 1.5}, "event_time": "2023-11-14T22:15:00Z"}
)
_LABEL = msgspec.json.encode(
    {
        "prediction_id": "p",
        "model_name": "credit",
        "label": 1,
        "label_time": "2026-01-02T03:04:05Z",
    }
)

_EARLY = _JSON.replace(b"2026-01-02T03:04:05.678Z", b"0001-01-01T00:00:00+14:00")
_HUGE = _JSON.replace(b"41.0", b"1" + b"0" * 4_301)

TARGETS = {
    "json": Target(rows("json", _JSON), (_JSON, b"{}", b'{"features": {"age": 1e999}}')),
    "msgpack": Target(rows("msgpack", _MSGPACK), (_MSGPACK, b"\x80")),
    "arrow": Target(arrow, (_STREAM,)),
    "partition": Target(
        partition,
        (
            b"\x01\x00" + _OF_ENGINE,
            b"\x03\x00" + _MSGPACK,
            b"\x05\x00" + _STREAM,
            b"\x09\x06p00042" + _OF_ENGINE,
            b"\x00\x08credit/7" + _OF_ENGINE,
        ),
    ),
    "archive": Target(
        archive, (b"\0" + _JSON, b"\1" + _MSGPACK, b"\2" + _STREAM, b"\0" + _EARLY, b"\0" + _HUGE)
    ),
    "label": Target(label, (b"\0" + _LABEL, b"\1" + _LABEL)),
    "spool": Target(spool, (frame(Record(1, 1, b"k", [("h", b"v")], _JSON)) * 2,)),
}

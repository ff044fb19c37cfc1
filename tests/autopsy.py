"""Where a lost event was lost: before the topic, by its number, or in the worker."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec
from confluent_kafka import Message

from monitor.engine.intake import FORWARDED_HEADER
from tests.deployment import Deployment
from tests.traffic import Line


class _Seen(msgspec.Struct):
    event_time: dt.datetime


def autopsy(
    deployment: Deployment, lines: list[Line], acknowledged: Mapping[tuple[int, int], bytes]
) -> Iterator[str]:
    """Yield what the topic itself says about events that no report has."""
    records = deployment.records("predictions")
    yield from _out_of_order(records)
    yield from _not_kept(records, acknowledged)
    for line in lines:
        there = Counter(_times(records, line.subject.key))
        never = [at for at, _ in line.counted if not there[round(at, 6)]]
        if never:
            yield f"{len(never)} of {'/'.join(line.subject)} never came into the topic: {never[:3]}"


def _not_kept(
    records: list[Message], acknowledged: Mapping[tuple[int, int], bytes]
) -> Iterator[str]:
    """What Kafka, or its client, acknowledged and does not hold."""
    held = {(record.partition(), record.offset()): record.value() for record in records}
    for place, value in acknowledged.items():
        if held.get(place) != value:
            begins = (value or b"")[:80]
            yield f"acknowledged at {place} and not there: {begins!r}"


def _times(records: list[Message], key: bytes) -> Iterator[float]:
    for record in records:
        if record.key() == key:
            try:
                seen = msgspec.json.decode(record.value() or b"", type=_Seen)
            except msgspec.MsgspecError:
                continue
            yield round(seen.event_time.timestamp(), 6)


def _out_of_order(records: list[Message]) -> Iterator[str]:
    """A number that first appears behind a higher one of its producer is taken for a copy."""
    highest: dict[tuple[bytes, int], int] = {}
    seen: set[tuple[bytes, int, int]] = set()
    for record in sorted(records, key=lambda r: (r.partition(), r.offset())):
        named = dict(record.headers() or [])
        if "sequence" not in named or FORWARDED_HEADER in named:
            continue
        place, number = (named["producer_id"], record.partition()), int(named["sequence"])
        if number < highest.get(place, -1) and (*place, number) not in seen:
            where = f"{record.topic()}-{record.partition()}@{record.offset()}"
            yield f"{where}: number {number} of {place[0]!r} first came behind {highest[place]}"
        highest[place] = max(highest.get(place, -1), number)
        seen.add((*place, number))

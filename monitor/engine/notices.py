"""What is to be noticed about events beside their values: names of features, types that changed, events come again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from monitor.engine.intake import CONTENT_HEADER
from monitor.engine.provisional import NO_COLUMNS
from monitor.engine.roads import Refused, Road
from monitor.events import ARROW_CONTENT, JSON_CONTENT, MSGPACK_CONTENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.engine.records import Record
    from monitor.engine.roads import Batch
    from monitor.events import ModelVersion
    from monitor.profiles.layout import Layout
    from monitor.profiles.notes import Notes

    Positions = NDArray[np.intp]
    Floats = NDArray[np.float64]

#: One event in so many has its features' names looked at, chosen by its time: it must not matter which fetch it was in.
LOOK_EVERY = 61


class _Names(Struct):
    features: dict[str, msgspec.Raw]


class Clock:
    """Reads when events were, whatever their features hold."""

    def __init__(self, subject: ModelVersion) -> None:
        self._road = Road(subject, NO_COLUMNS)

    def times(self, records: Sequence[Record], content: bytes) -> Iterator[tuple[Record, float]]:
        """Yield the time of each event that can be read at all."""
        for batch in self._road.decode(records, content):
            for event, time in enumerate(batch.times.tolist()):
                yield batch.record(event), time

    def repeated(self, records: Iterable[Record]) -> list[float]:
        """Return the times of events in records that came again, however each is written."""
        by_content: dict[bytes, list[Record]] = {}
        for record in records:
            content = dict(record.headers).get(CONTENT_HEADER) or JSON_CONTENT
            by_content.setdefault(content, []).append(record)
        return [
            time for content, group in by_content.items() for _, time in self.times(group, content)
        ]


def refused(batch: Batch, clock: Clock, *, max_skew: float) -> list[Refused]:
    """Return the events of a batch that are bad only for the type of a feature, and no future ones."""
    features = {f"features.{column.name}": column.name for column in batch.road.layout.features}
    # Of a vector the path goes on to its component.
    features |= {f"{path}[...]": name for path, name in features.items()}
    bad = {
        record.offset: (record, features[error.field], error.reason)
        for record, error in batch.bad
        if error.field in features
    }
    records = [record for record, _, _ in bad.values()]
    return [
        Refused(record.offset, time, *bad[record.offset][1:])
        for record, time in clock.times(records, batch.content)
        if time <= record.timestamp / 1000 + max_skew
    ]


class Arrivals:
    """A batch's events and its refused ones, in the order in which they came."""

    def __init__(self, batch: Batch) -> None:
        self._n, self._refused = len(batch.times), batch.refused
        self.times: Floats = batch.times
        self._order: Positions | None = None
        if self._refused:
            offsets = [batch.record(event).offset for event in range(self._n)]
            offsets += [event.offset for event in self._refused]
            self._order = np.argsort(offsets, kind="stable")
            times = np.array([event.time for event in self._refused], np.float64)
            self.times = np.concatenate([batch.times, times])[self._order]

    def split(self, at: Positions) -> tuple[Positions, Counter[tuple[str, str]]]:
        """Return the positions in the batch of the events that count, and how many were refused for what."""
        if self._order is None:
            return at, Counter()
        events = self._order[at]
        those = [self._refused[event - self._n] for event in events[events >= self._n].tolist()]
        return events[events < self._n], Counter((one.feature, one.reason) for one in those)


def look(batch: Batch, events: Positions, layout: Layout, notes: Notes) -> None:
    """Note which features of the layout these events lack, and which they have beside them."""
    if batch.decoded is None or not len(events):
        return
    if batch.content == ARROW_CONTENT:
        notes.look(batch.decoded.absent, batch.decoded.foreign, len(events))
        return
    chosen = (batch.times[events] * 1e6).astype(np.int64) % LOOK_EVERY == 0
    if not chosen.any():
        return
    codec: Any = msgspec.msgpack if batch.content == MSGPACK_CONTENT else msgspec.json
    known = {column.name for column in layout.features}
    for event in events[chosen].tolist():
        try:
            names = codec.decode(batch.record(event).value or b"", type=_Names).features.keys()
        except (msgspec.MsgspecError, ValueError):
            continue  # a name that is no text: nothing that is counted is called so
        notes.look(known - names, names - known)

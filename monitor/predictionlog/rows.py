"""From messages to rows: two roads, of which the short one takes JSON events as they were written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from monitor.errors import EventError
from monitor.events import JSON_CONTENT
from monitor.predictionlog.apart import Apart, Groups
from monitor.predictionlog.columns import Events, rows_of
from monitor.predictionlog.events import events_of
from monitor.predictionlog.limits import check_model
from monitor.predictionlog.schema import SCHEMA
from monitor.predictionlog.written import Texts, decode_written

if TYPE_CHECKING:
    from monitor.events import PredictionEvent
    from monitor.predictionlog.keys import KeyRing
    from monitor.predictionlog.messages import Message

#: Message keys remembered.
_REMEMBERED = 10_000


class Rows:
    """Gathers rows until they are written.

    Parameters
    ----------
    keys
        To seal and pseudonymise with.
    protected_features
        Which features of a model are protected attributes. Those that bear the name of an event's own group are
        so anyway.
    max_skew
        Seconds that an event may lie in the future of its arrival; the stream has the same limit.
    """

    def __init__(
        self,
        keys: KeyRing,
        protected_features: Callable[[str], AbstractSet[str]] = lambda _: frozenset(),
        *,
        max_skew: float = 300.0,
    ) -> None:
        self._keys = keys
        self._apart = Apart(protected_features)
        self._max_skew = max_skew
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        #: Model and version that message keys name, of which an event was decoded whole.
        self._versions: dict[bytes | None, tuple[str, str]] = {}

    def __len__(self) -> int:
        return self._rows

    def add(self, messages: Sequence[Message]) -> dict[int, EventError]:
        """Take the events of some thousand messages; return which are not usable, by position, and why.

        Of such a message no event is taken.

        Raises
        ------
        StoreError
            If a key cannot be had.
        """
        refused: dict[int, EventError] = {}
        written, others = self._as_written(messages)
        for events in (written, self._whole(messages, others, refused)):
            batch, faults = rows_of(events, self._keys, max_skew=self._max_skew)
            refused |= faults
            self._rows += batch.num_rows
            if batch.num_rows:
                self._batches.append(batch)
        return refused

    def take(self) -> pa.Table:
        """Return the rows as a table, and start anew."""
        table = pa.Table.from_batches(self._batches, SCHEMA)
        self.drop()
        return table

    def drop(self) -> None:
        """Forget what was gathered."""
        self._batches, self._rows = [], 0

    def _as_written(self, messages: Sequence[Message]) -> tuple[Events, list[int]]:
        """Return the events that need not be decoded whole, and the positions of all other messages."""
        taken: list[tuple[Any, Groups, int]] = []
        others: list[int] = []
        versions, groups_of = self._versions, self._apart.groups
        for position, message in enumerate(messages):
            version = versions.get(message.key)
            if version is not None and message.content == JSON_CONTENT:
                try:
                    event = decode_written(message.value or b"")
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    pass  # the other road says what is wrong
                else:
                    groups = groups_of(bytes(event.groups))
                    named = event.model_name, event.model_version
                    if groups is not None and named == version:
                        taken.append((event, groups, position))
                        continue
            others.append(position)
        texts = Texts([event.features for event, _, _ in taken])
        odd = texts.odd(self._protected_names(taken)) if taken else set()
        if odd:
            others = sorted([*others, *(taken[row][2] for row in odd)])
            taken = [one for row, one in enumerate(taken) if row not in odd]
            texts = Texts([event.features for event, _, _ in taken])
        events, of_events, positions = zip(*taken, strict=True) if taken else ((),) * 3
        return Events(
            events,
            [messages[position] for position in positions],
            positions,
            [0] * len(events),
            texts.column(),
            [groups.plain for groups in of_events],
        ), others

    def _protected_names(self, taken: Sequence[tuple[Any, Groups, int]]) -> AbstractSet[str]:
        """Return all names that are protected in any of the events."""
        models = {event.model_name for event, _, _ in taken}
        names = [groups.names for groups in {groups for _, groups, _ in taken}]
        return frozenset().union(*names, *map(self._apart.protected_features, models))

    def _whole(
        self, messages: Sequence[Message], positions: Sequence[int], refused: dict[int, EventError]
    ) -> Events:
        """Return the events of these messages, all that the contract says checked."""
        found: list[tuple[PredictionEvent, Message, int, int]] = []
        for position in positions:
            message = messages[position]
            try:
                events = events_of(message.value, message.key, message.content)
                for event in events:
                    check_model(event.model_name)
            except EventError as error:
                refused[position] = error
                continue
            found += [(event, message, position, at) for at, event in enumerate(events)]
            self._remember(message.key, events)
        said, of, places, indices = zip(*found, strict=True) if found else ((),) * 4
        parts = [self._apart.split(event) for event in said]
        return Events(
            said,
            of,
            places,
            indices,
            pa.array([features for features, _ in parts], pa.string()),
            [protected for _, protected in parts],
        )

    def _remember(self, key: bytes | None, events: Sequence[PredictionEvent]) -> None:
        if key is not None and events and events[0].version.key == key:
            if len(self._versions) >= _REMEMBERED:
                self._versions.clear()
            self._versions[key] = events[0].version

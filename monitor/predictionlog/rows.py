"""From messages to rows: two roads, of which the short one takes JSON events as they were written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from monitor.errors import EventError
from monitor.events import JSON_CONTENT
from monitor.predictionlog.apart import Apart, Groups
from monitor.predictionlog.columns import Distinct, Events, rows_of
from monitor.predictionlog.events import events_of
from monitor.predictionlog.limits import check_model
from monitor.predictionlog.messages import Messages
from monitor.predictionlog.schema import SCHEMA
from monitor.predictionlog.written import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.events import ModelVersion, PredictionEvent
    from monitor.predictionlog.keys import KeyRing
    from monitor.predictionlog.messages import Message
    from monitor.predictionlog.written import Written

    Integers = NDArray[np.int64]

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
        self._versions: dict[bytes | None, ModelVersion] = {}

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
        columns = Messages.of(messages)
        written, others = self._as_written(columns)
        for events in (written, self._whole(columns, others, refused)):
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

    def _as_written(self, messages: Messages) -> tuple[Events, Integers]:
        """Return the events that need not be decoded whole, and the positions of all other messages."""
        versions = [
            self._versions.get(kind.key) if kind.content == JSON_CONTENT else None
            for kind in messages.kinds
        ]
        everything = np.arange(len(messages))
        positions, values = everything, messages.values
        if None in versions:
            known = np.array([version is not None for version in versions], np.bool_)
            positions = np.flatnonzero(known[messages.kind])
            values = values.take(positions)
        written = read(values) if len(positions) else None
        if written is None:
            return Events.of((), messages[:0], (), (), (), ()), everything
        positions = positions[written.which]
        named = [version for version in versions if version is not None]
        if len(versions) > 1:
            named = [versions[kind] for kind in messages.kind[positions].tolist()]
        groups = self._groups(written)
        good = written.are(named)
        good &= np.array([one is not None for one in groups.values], np.bool_)[groups.which]
        good &= ~written.bears("features", self._protected_names(named, groups.values))
        positions, features = positions[good], written.texts("features")
        return Events(
            written.where(good).columns(),
            messages if len(positions) == len(messages) else messages.take(positions),
            positions.tolist(),
            [0] * len(positions),
            features if good.all() else features.filter(pa.array(good)),
            [groups.values[at].plain for at in groups.which[good].tolist()],
        ), np.delete(everything, positions)

    def _groups(self, written: Written) -> Distinct:
        """Return the events' protected attributes; None of what the contract does not call so."""
        groups = Distinct.of(written.texts("groups").fill_null("{}"))
        return groups._replace(values=[self._apart.groups(text.encode()) for text in groups.values])

    def _protected_names(
        self, versions: Iterable[ModelVersion], groups: Iterable[Groups | None]
    ) -> AbstractSet[str]:
        """Return all names that are protected in any of the events."""
        models = {model for model, _ in set(versions)}
        names = [one.names for one in groups if one is not None]
        return frozenset().union(*names, *map(self._apart.protected_features, models))

    def _whole(
        self, messages: Messages, positions: Integers, refused: dict[int, EventError]
    ) -> Events:
        """Return the events of these messages, all that the contract says checked."""
        found: list[tuple[PredictionEvent, int, int]] = []
        for position in positions.tolist():
            message = messages[position]
            try:
                events = events_of(message.value, message.key, message.content)
                for event in events:
                    check_model(event.model_name)
            except EventError as error:
                refused[position] = error
                continue
            found += [(event, position, at) for at, event in enumerate(events)]
            self._remember(message.key, events)
        said, places, indices = zip(*found, strict=True) if found else ((),) * 3
        parts = [self._apart.split(event) for event in said]
        features, protected = zip(*parts, strict=True) if parts else ((),) * 2
        return Events.of(
            said, messages.take(np.array(places, np.int64)), places, indices, features, protected
        )

    def _remember(self, key: bytes | None, events: Sequence[PredictionEvent]) -> None:
        if key is not None and events and events[0].version.key == key:
            if len(self._versions) >= _REMEMBERED:
                self._versions.clear()
            self._versions[key] = events[0].version

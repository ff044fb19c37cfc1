"""From events to rows: features as JSON, protected attributes sealed, subjects under pseudonyms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa

from monitor.errors import EventError
from monitor.events import JSON_CONTENT
from monitor.predictionlog.events import events_of, written
from monitor.predictionlog.limits import check_model, check_time, number_of
from monitor.predictionlog.schema import SCHEMA
from monitor.profiles.vocabulary import label_of

if TYPE_CHECKING:
    from monitor.predictionlog.keys import KeyRing

_DAY = 86_400
_EPOCH = dt.date(1970, 1, 1)

#: Keys and combinations of attributes remembered.
_REMEMBERED = 10_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode

Row = tuple[Any, ...]


class Message(NamedTuple):
    """What the log needs of a Kafka message; `arrived` in seconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    arrived: float
    key: bytes | None
    value: bytes | None
    content: bytes


class Protected(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed: protected attributes, and features that are protected attributes too."""

    groups: dict[str, Any] = {}
    features: dict[str, Any] = {}


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
        self._protected_features = protected_features
        self._max_skew = max_skew
        self._rows: list[Row] = []
        self._protected: dict[tuple[str, tuple[str, ...]], AbstractSet[str]] = {}
        self._versions: dict[bytes, tuple[str, str]] = {}
        self._dates: dict[int, dt.date] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, message: Message) -> int:
        """Take a message's events; return how many.

        Raises
        ------
        EventError
            If it is not usable: then none of them is taken.
        StoreError
            If a key cannot be had.
        """
        check_time("kafka.timestamp", message.arrived)
        event = self._at_once(message)
        if event is not None:
            self._rows.append(self._row(event, message, 0))
            return 1
        events = events_of(message.value, message.key, message.content)
        rows = [self._row(event, message, index) for index, event in enumerate(events)]
        self._rows += rows
        self._remember(message.key, events)
        return len(rows)

    def take(self) -> pa.Table:
        """Return the rows as a table, and start anew."""
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in SCHEMA)
        arrays = [
            pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)
        ]
        self._rows = []
        return pa.Table.from_arrays(arrays, schema=SCHEMA)

    def drop(self) -> None:
        """Forget what was gathered."""
        self._rows = []

    def _at_once(self, message: Message) -> Any:
        """Return a JSON event whose key is known from earlier ones; None if it takes the careful road."""
        version = self._versions.get(message.key) if message.key is not None else None
        if version is None or message.content != JSON_CONTENT:
            return None
        try:
            event = written(message.value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None  # that road says what is wrong
        if event is None or (event.model_name, event.model_version) != version:
            return None
        return event

    def _remember(self, key: bytes | None, events: Sequence[Any]) -> None:
        if key is not None and events and events[0].version.key == key:
            if len(self._versions) >= _REMEMBERED:
                self._versions.clear()
            self._versions[key] = events[0].version

    def _row(self, event: Any, message: Message, index: int) -> Row:
        seconds = event.event_time.timestamp()
        check_time("event_time", seconds)
        if seconds > message.arrived + self._max_skew:
            raise EventError("event_time", f"{event.event_time} lies in the future of its arrival")
        date = self._date(seconds)
        features, sealed, key_id = self._seal(event, date)
        override, prediction = event.human_override, event.prediction
        if override is not None:
            check_time("human_override.at", override.at.timestamp())
        return (
            date,
            event.model_name,
            event.model_version,
            event.run_id,
            event.event_id,
            event.prediction_id,
            round(seconds * 1e6),
            int(message.arrived * 1e6),
            label_of(prediction),
            number_of("prediction", prediction),
            event.score,
            features,
            sealed,
            key_id,
            None if event.subject is None else self._keys.pseudonym(event.subject),
            event.session_id,
            event.transaction_id,
            *((None, None, None, None) if override is None else _override(override)),
            event.latency_ms,
            event.sampling_fraction,
            event.deployment,
            message.topic,
            message.partition,
            message.offset,
            index,
        )

    def _seal(self, event: Any, date: dt.date) -> tuple[str, bytes | None, str | None]:
        """Return the open features as JSON, the sealed rest, and the id of the key."""
        features, groups = event.features, event.groups
        protected = self._protected_names(event.model_name, tuple(groups))
        # As it was written, unless a protected name may be in it: one with an escape may be any name.
        as_written = isinstance(features, str)
        if as_written and ("\\" in features or _mentions(features, protected)):
            features, as_written = _features(features), False
        held: dict[str, Any] = {}
        if not as_written and not protected.isdisjoint(features):
            held = {name: value for name, value in features.items() if name in protected}
            features = {name: value for name, value in features.items() if name not in protected}
        text = features if as_written else _encode(features).decode()
        if not (groups or held):
            return text, None, None
        key = self._keys.key(date, event.model_name)
        return text, key.seal(_encode(Protected(groups, held)), event.event_id), key.name

    def _protected_names(self, model: str, groups: tuple[str, ...]) -> AbstractSet[str]:
        known = self._protected.get((model, groups))
        if known is None:
            check_model(model)
            if len(self._protected) >= _REMEMBERED:
                self._protected.clear()
            known = frozenset(groups) | self._protected_features(model)
            self._protected[model, groups] = known
        return known

    def _date(self, seconds: float) -> dt.date:
        day = int(seconds // _DAY)
        date = self._dates.get(day)
        if date is None:
            date = self._dates[day] = _EPOCH + dt.timedelta(days=day)
        return date


def _features(text: str) -> Any:
    """Return features that were passed over unread, read."""
    try:
        return _decode(text)
    except msgspec.MsgspecError as error:  # such as a number that none can hold
        raise EventError("features", f"cannot be read: {error}") from error


def _mentions(text: str, names: AbstractSet[str]) -> bool:
    for name in names:  # noqa: SIM110 - any() and its generator cost four times as much here
        if name in text:
            return True
    return False


def _override(override: Any) -> Row:
    decision = override.decision
    label = None if decision is None else label_of(decision)
    return label, override.reviewer, override.reason, override.at

"""From events to rows: attributes sealed, subjects under pseudonyms, times and answers checked; column by column.

Columns are made of some thousand events at a time, while these are still in the processor's cache.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from msgspec.structs import astuple

from monitor.errors import EventError
from monitor.events import PredictionEvent
from monitor.predictionlog.limits import check_time, number_of, wrong_times
from monitor.predictionlog.schema import SCHEMA
from monitor.profiles.vocabulary import label_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.events import HumanOverride
    from monitor.predictionlog.keys import KeyRing
    from monitor.predictionlog.messages import Messages

    Integers = NDArray[np.int64]
    Faults = dict[int, EventError]

_DAY = 86_400_000_000  # microseconds
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_FIELDS = PredictionEvent.__struct_fields__


class Distinct(NamedTuple):
    """A column of few values, and which of them each row has, shape (n,)."""

    values: Sequence[Any]
    which: Integers

    @classmethod
    def of(cls, texts: pa.StringArray) -> Distinct:
        """Return texts so, in order of their first appearance."""
        encoded = texts.dictionary_encode()
        return cls(encoded.dictionary.to_pylist(), encoded.indices.to_numpy())


@dataclass(frozen=True, slots=True)
class Events:
    """Events side by side, what is protected already apart.

    Attributes
    ----------
    said
        What each says, by field: lists, Arrow's columns, and numbers with NaN for null; of answers the distinct ones. Times are
        microseconds since 1970 UTC.
        Nobody asks for features and groups here.
    messages, positions, indices
        Of each event: its message, where that stands among those given, and the event's place within it.
    features
        What is open of each, as JSON texts.
    protected
        What is to be sealed of each; None if nothing is.
    """

    said: Mapping[str, Any]
    messages: Messages
    positions: Sequence[int]
    indices: Sequence[int]
    features: pa.Array
    protected: Sequence[bytes | None]

    @classmethod
    def of(
        cls,
        events: Sequence[PredictionEvent],
        messages: Messages,
        positions: Sequence[int],
        indices: Sequence[int],
        features: Sequence[bytes],
        protected: Sequence[bytes | None],
    ) -> Events:
        """Return events that were decoded whole."""
        said = zip(*map(astuple, events), strict=True) if events else ((),) * len(_FIELDS)
        columns = dict(zip(_FIELDS, said, strict=True))
        times = [(time - _EPOCH) // _MICROSECOND for time in columns["event_time"]]
        answers = Distinct(columns["prediction"], np.arange(len(events)))
        return cls(
            columns | {"event_time": np.array(times, np.int64), "prediction": answers},
            messages,
            positions,
            indices,
            pa.array(features, pa.string()),
            protected,
        )

    def without(self, positions: AbstractSet[int]) -> Events:
        """Return the events of all other messages."""
        kept = [row for row, position in enumerate(self.positions) if position not in positions]

        def of(column: Any) -> Any:
            if isinstance(column, pa.Array):
                return column.take(pa.array(kept, pa.int64()))
            if isinstance(column, Distinct):
                return column._replace(which=column.which[kept])
            return column[kept] if isinstance(column, np.ndarray) else [column[row] for row in kept]

        return Events(
            {name: of(column) for name, column in self.said.items()},
            self.messages.take(np.array(kept, np.int64)),
            of(self.positions),
            of(self.indices),
            of(self.features),
            of(self.protected),
        )


def rows_of(events: Events, keys: KeyRing, *, max_skew: float) -> tuple[pa.RecordBatch, Faults]:
    """Return the events' rows, and what is wrong with the messages that have none, by position.

    Parameters
    ----------
    max_skew
        Seconds that an event may lie in the future of its arrival.

    Raises
    ------
    StoreError
        If a key cannot be had.
    """
    if not events.positions:
        return pa.RecordBatch.from_pylist([], SCHEMA), {}
    said = events.said
    messages = events.messages
    arrived, times = messages.arrived, said["event_time"]
    seconds = times / 1e6
    labels, numbers, unanswered = _answers(said["prediction"])
    # Of several faults of an event the last one here is told.
    faults = (
        unanswered
        | _wrong_overrides(said["human_override"])
        | _in_the_future(seconds - arrived > max_skew)
        | wrong_times("event_time", seconds)
        | wrong_times("kafka.timestamp", arrived)
    )
    if faults:
        refused = {events.positions[row]: fault for row, fault in faults.items()}
        return rows_of(events.without(refused.keys()), keys, max_skew=max_skew)[0], refused
    days, models = times // _DAY, said["model_name"]
    sealed, key_ids = _sealed(
        events.protected, _listed(said["event_id"]), days, _column(models, pa.string()), keys
    )
    columns = {
        **said,
        "date": days.astype(np.int32),
        "model": models,
        "version": said["model_version"],
        "event_time": times,
        "arrived": np.rint(arrived * 1e6).astype(np.int64),
        "prediction": labels,
        "number": numbers,
        "features": events.features,
        "protected": sealed,
        "key_id": key_ids,
        "subject": keys.pseudonyms(_listed(said["subject"])),
        **_overrides(said["human_override"]),
        "kafka_topic": [messages.topic] * len(messages),
        "kafka_partition": messages.partitions.astype(np.int32),
        "kafka_offset": messages.offsets,
        "kafka_index": events.indices,
    }
    return pa.RecordBatch.from_arrays(
        [_column(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA
    ), {}


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray):
        if pa.types.is_floating(kind):
            return pa.array(values, kind, from_pandas=True)  # NaN is null
        return pa.array(values).view(kind)  # whole numbers that mean times
    # As most are, of a topic with one model; but 0.0 and -0.0 are equal, and not the same.
    if not pa.types.is_floating(kind) and values.count(values[0]) == len(values):
        return pa.repeat(pa.scalar(values[0], kind), len(values))
    return pa.array(values, kind)


def _listed(values: Any) -> Sequence[Any]:
    listed: Sequence[Any] = values.to_pylist() if isinstance(values, pa.Array) else values
    return listed


def _in_the_future(which: NDArray[np.bool_]) -> Faults:
    error = EventError("event_time", "lies in the future of its arrival")
    return dict.fromkeys(np.flatnonzero(which).tolist(), error)


def _answers(answers: Distinct) -> tuple[pa.StringArray, pa.DoubleArray, Faults]:
    """Return answers as labels, and as numbers where they are some."""
    labels, numbers, faults = [], [], {}
    for at, answer in enumerate(answers.values):
        labels.append(label_of(answer))
        try:
            numbers.append(number_of("prediction", answer))
        except EventError as error:
            numbers.append(None)
            faults.update(dict.fromkeys(np.flatnonzero(answers.which == at).tolist(), error))
    which = pa.array(answers.which)
    return (
        pa.array(labels, pa.string()).take(which),
        pa.array(numbers, pa.float64()).take(which),
        faults,
    )


def _wrong_overrides(overrides: Sequence[HumanOverride | None]) -> Faults:
    faults = {}
    for row, override in enumerate(overrides):
        if override is not None:
            try:
                check_time("human_override.at", override.at.timestamp())
            except EventError as error:
                faults[row] = error
    return faults


def _overrides(overrides: Sequence[HumanOverride | None]) -> dict[str, Any]:
    if not any(overrides):
        return {
            one.name: pa.nulls(len(overrides), one.type)
            for one in SCHEMA
            if one.name.startswith("override_")
        }
    return {
        "override_decision": [
            None if one is None or one.decision is None else label_of(one.decision)
            for one in overrides
        ],
        "override_reviewer": [None if one is None else one.reviewer for one in overrides],
        "override_reason": [None if one is None else one.reason for one in overrides],
        "override_at": [None if one is None else one.at for one in overrides],
    }


def _sealed(
    protected: Sequence[bytes | None],
    event_ids: Sequence[str],
    days: Integers,
    models: pa.StringArray,
    keys: KeyRing,
) -> tuple[Sequence[bytes | None], Sequence[str | None]]:
    """Return what is protected, sealed by the key of its day and model, and that key's id."""
    sealed: list[bytes | None] = [None] * len(protected)
    names: list[str | None] = [None] * len(protected)
    named = models.dictionary_encode()
    several = len(named.dictionary)
    of_key, which = np.unique(days * several + named.indices.to_numpy(), return_inverse=True)
    there = np.array([plain is not None for plain in protected])
    for at, (day, model) in enumerate(divmod(one, several) for one in of_key.tolist()):
        rows = np.flatnonzero(there & (which == at)).tolist()
        if not rows:
            continue
        date = _EPOCH.date() + dt.timedelta(days=day)
        key = keys.key(date, named.dictionary[model].as_py())
        plains = [protected[row] or b"" for row in rows]
        told = key.seal(plains, [event_ids[row] for row in rows])
        if len(told) == len(sealed):
            return told, [key.name] * len(told)
        for row, one in zip(rows, told, strict=True):
            sealed[row], names[row] = one, key.name
    return sealed, names

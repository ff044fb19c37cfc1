"""From events to rows: attributes sealed, subjects under pseudonyms, times and answers checked; column by column.

Columns are made of some thousand events at a time, while these are still in the processor's cache.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from msgspec.structs import astuple

from monitor.errors import EventError
from monitor.predictionlog.limits import check_time, number_of, wrong_times
from monitor.predictionlog.schema import SCHEMA
from monitor.profiles.times import epoch_seconds
from monitor.profiles.vocabulary import label_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.events import HumanOverride
    from monitor.predictionlog.keys import KeyRing
    from monitor.predictionlog.messages import Message

    Floats = NDArray[np.float64]
    Faults = dict[int, EventError]

_DAY = 86_400
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Events:
    """Events side by side, what is protected already apart.

    Attributes
    ----------
    events
        All with their time as a text, or all with a `datetime`.
    messages, positions, indices
        Of each event: its message, where that stands among those given, and the event's place within it.
    features
        What is open of each, as JSON texts.
    protected
        What is to be sealed of each; None if nothing is.
    """

    events: Sequence[Any]
    messages: Sequence[Message]
    positions: Sequence[int]
    indices: Sequence[int]
    features: pa.Array
    protected: Sequence[bytes | None]

    def without(self, positions: AbstractSet[int]) -> Events:
        """Return the events of all other messages."""
        kept = [row for row, position in enumerate(self.positions) if position not in positions]
        return Events(
            [self.events[row] for row in kept],
            [self.messages[row] for row in kept],
            [self.positions[row] for row in kept],
            [self.indices[row] for row in kept],
            self.features.take(pa.array(kept, pa.int64())),
            [self.protected[row] for row in kept],
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
    if not events.events:
        return pa.RecordBatch.from_pylist([], SCHEMA), {}
    fields = events.events[0].__struct_fields__
    said = dict(zip(fields, zip(*map(astuple, events.events), strict=True), strict=True))
    topics, partitions, offsets, arrivals, *_ = zip(*events.messages, strict=True)
    arrived, (seconds, unread) = np.array(arrivals), _seconds(said["event_time"])
    labels, numbers, unanswered = _answers(said["prediction"])
    # Of several faults of an event the last one here is told.
    faults = (
        unanswered
        | _wrong_overrides(said["human_override"])
        | _in_the_future(seconds - arrived > max_skew)
        | wrong_times("event_time", seconds)
        | unread
        | wrong_times("kafka.timestamp", arrived)
    )
    if faults:
        refused = {events.positions[row]: fault for row, fault in faults.items()}
        return rows_of(events.without(refused.keys()), keys, max_skew=max_skew)[0], refused
    days, models = seconds // _DAY, said["model_name"]
    sealed, key_ids = _sealed(events.protected, said["event_id"], days.tolist(), models, keys)
    columns = {
        **said,
        "date": days.astype(np.int32),
        "model": models,
        "version": said["model_version"],
        "event_time": np.rint(seconds * 1e6).astype(np.int64),
        "arrived": (arrived * 1e6).astype(np.int64),
        "prediction": labels,
        "number": numbers,
        "features": events.features,
        "protected": sealed,
        "key_id": key_ids,
        "subject": keys.pseudonyms(said["subject"]),
        **_overrides(said["human_override"]),
        "kafka_topic": topics,
        "kafka_partition": partitions,
        "kafka_offset": offsets,
        "kafka_index": events.indices,
    }
    return pa.RecordBatch.from_arrays(
        [_column(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA
    ), {}


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray):  # numbers that mean times
        return pa.array(values).view(kind)
    if values.count(values[0]) == len(values):  # as most are, of a topic with one model
        return pa.repeat(pa.scalar(values[0], kind), len(values))
    return pa.array(values, kind)


def _seconds(times: Sequence[Any]) -> tuple[Floats, Faults]:
    """Return times in seconds since 1970 UTC, NaN where one cannot be read, and why."""
    if isinstance(times[0], dt.datetime):
        return np.array([time.timestamp() for time in times]), {}
    seconds, wrong = epoch_seconds(times)
    return seconds, {
        row: EventError("$", f"cannot be read: {why} - at `$.event_time`")
        for row, why in wrong.items()
    }


def _in_the_future(which: NDArray[np.bool_]) -> Faults:
    error = EventError("event_time", "lies in the future of its arrival")
    return dict.fromkeys(np.flatnonzero(which).tolist(), error)


@lru_cache(maxsize=1_000, typed=True)
def _answer(prediction: float | str) -> tuple[str, float | None]:
    return label_of(prediction), number_of("prediction", prediction)


def _answers(
    predictions: Sequence[float | str],
) -> tuple[list[str], list[float | None], Faults]:
    """Return answers as labels, and as numbers where they are some."""
    labels: list[str] = []
    numbers: list[float | None] = []
    faults = {}
    for row, prediction in enumerate(predictions):
        try:
            label, number = _answer(prediction)
        except EventError as error:
            label, number, faults[row] = "", None, error
        labels.append(label)
        numbers.append(number)
    return labels, numbers, faults


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
    days: Sequence[float],
    models: Sequence[str],
    keys: KeyRing,
) -> tuple[list[bytes | None], list[str | None]]:
    """Return what is protected, sealed by the key of its day and model, and that key's id."""
    rows_of: defaultdict[tuple[float, str], list[int]] = defaultdict(list)
    for row, (plain, day, model) in enumerate(zip(protected, days, models, strict=True)):
        if plain is not None:
            rows_of[day, model].append(row)
    sealed: list[bytes | None] = [None] * len(protected)
    names: list[str | None] = [None] * len(protected)
    for (day, model), rows in rows_of.items():
        key = keys.key(_EPOCH + dt.timedelta(days=day), model)
        plains = [plain for row in rows if (plain := protected[row]) is not None]
        for row, one in zip(rows, key.seal(plains, [event_ids[row] for row in rows]), strict=True):
            sealed[row], names[row] = one, key.name
    return sealed, names

"""Labels beside the log: the table that topic `labels` is archived into, each message once.

All that was ever said of a prediction stays: which label holds is decided where it is asked for. A higher revision
holds over a lower one; of one revision the later `label_time`; of one time what came to Kafka last.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from monitor.errors import EventError
from monitor.events import JSON_CONTENT, MSGPACK_CONTENT, LabelEvent, decode_label
from monitor.predictionlog.limits import check_model, check_time, number_of
from monitor.predictionlog.schema import TableLayout
from monitor.profiles.vocabulary import label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.predictionlog.messages import Message

_INSTANT = pa.timestamp("us", tz="UTC")

#: `event_time` is when the outcome became known: the column of which Delta keeps the smallest and largest.
LABELS = TableLayout(
    pa.schema(
        [
            ("date", pa.date32()),  # of event_time
            ("model", pa.string()),
            ("prediction_id", pa.string()),
            ("label", pa.string()),  # as predictions are written: 1, true, approve
            ("number", pa.float64()),  # the same as a number, where it is one
            ("revision", pa.int64()),
            ("event_time", _INSTANT),
            ("arrived", _INSTANT),  # when Kafka took it
            ("source", pa.string()),
            ("kafka_topic", pa.string()),
            ("kafka_partition", pa.int32()),
            ("kafka_offset", pa.int64()),
            ("kafka_index", pa.int32()),  # 0: a message holds one label
        ]
    )
)

#: Which of several labels holds is the last of them in this order.
ORDER = ("revision", "event_time", "arrived", "kafka_partition", "kafka_offset")

_LONGEST = 2**63 - 1

_decode_msgpack = msgspec.msgpack.Decoder(LabelEvent).decode


class LabelRows:
    """Gathers labels until they are written; for the archiver, as `monitor.predictionlog.rows.Rows`."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, messages: Sequence[Message]) -> dict[int, EventError]:
        """Take the labels of messages; return which are none, by position, and why."""
        refused = {}
        for position, message in enumerate(messages):
            try:
                self._rows.append(_row(message))
            except EventError as error:
                refused[position] = error
        return refused

    def take(self) -> pa.Table:
        """Return the rows as a table, and start anew."""
        schema = LABELS.schema
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in schema)
        arrays = [
            pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)
        ]
        self._rows = []
        return pa.Table.from_arrays(arrays, schema=schema)

    def drop(self) -> None:
        """Forget what was gathered."""
        self._rows = []


def _row(message: Message) -> tuple[Any, ...]:
    label = _label(message)
    check_time("kafka.timestamp", message.arrived)
    check_time("label_time", label.label_time.timestamp())
    check_model(label.model_name)
    time, said = label.label_time.astimezone(dt.UTC), label.label
    return (
        time.date(),
        label.model_name,
        label.prediction_id,
        label_of(said),
        number_of("label", said),
        label.revision,
        time,
        round(message.arrived * 1e6),
        label.source,
        message.topic,
        message.partition,
        message.offset,
        0,
    )


def _label(message: Message) -> LabelEvent:
    if not message.value:
        raise EventError("$", "the message has no value")
    try:
        if message.content == JSON_CONTENT:
            label = decode_label(message.value)
        elif message.content == MSGPACK_CONTENT:
            label = _decode_msgpack(message.value)
        else:
            raise EventError("content-type", f"{message.content!r} is none that labels have")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventError("$", f"cannot be read: {error}") from error
    if label.revision > _LONGEST:
        raise EventError("revision", f"{label.revision} is too large")
    return label

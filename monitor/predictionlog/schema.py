"""What a row of the prediction log holds, and how the table is laid out."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
from deltalake import ColumnProperties, WriterProperties

_INSTANT = pa.timestamp("us", tz="UTC")

#: Directories of the table: a day of event time (UTC), then a model.
PARTITIONS = ("date", "model")

SCHEMA = pa.schema(
    [
        ("date", pa.date32()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("run_id", pa.string()),
        ("event_id", pa.string()),
        ("prediction_id", pa.string()),
        ("event_time", _INSTANT),
        ("arrived", _INSTANT),  # when Kafka took it
        ("prediction", pa.string()),  # the label that every room has for it
        ("number", pa.float64()),  # the same as a number, where it is one
        ("score", pa.float64()),
        ("features", pa.string()),  # a JSON object: docs/decisions/012-features-in-the-log.md
        ("protected", pa.binary()),  # sealed: nonce, then AES-GCM
        ("key_id", pa.string()),  # of the data key that sealed it
        ("subject", pa.string()),  # HMAC-SHA256, 32 hexadecimal digits
        ("session_id", pa.string()),
        ("transaction_id", pa.string()),
        ("override_decision", pa.string()),
        ("override_reviewer", pa.string()),
        ("override_reason", pa.string()),
        ("override_at", _INSTANT),
        ("latency_ms", pa.float64()),
        ("sampling_fraction", pa.float64()),
        ("deployment", pa.string()),
        ("kafka_topic", pa.string()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("kafka_index", pa.int32()),  # place within the message: Arrow holds many events in one
    ]
)

#: Delta keeps smallest and largest values in its own log, which outlives deleted rows: only of columns that say
#: nothing of a person.
CONFIGURATION = {
    "delta.dataSkippingStatsColumns": "event_time,kafka_partition,kafka_offset",
    "delta.logRetentionDuration": "interval 7 days",
}

#: Columns whose values are nearly all different: looking for a dictionary costs a quarter of writing, and finds none.
_UNIQUE = (
    "event_id",
    "prediction_id",
    "event_time",
    "score",
    "features",
    "protected",
    "subject",
    "kafka_offset",
)

#: One file in a directory of each day and model; ZSTD halves what SNAPPY leaves.
WRITER = WriterProperties(
    compression="ZSTD",
    compression_level=1,
    column_properties={name: ColumnProperties(dictionary_enabled=False) for name in _UNIQUE},
)


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A Delta table's columns, its directories, and what Delta keeps of it."""

    schema: pa.Schema
    partitions: tuple[str, ...] = PARTITIONS
    configuration: dict[str, str] = field(default_factory=lambda: dict(CONFIGURATION))


PREDICTIONS = TableLayout(SCHEMA)

#: What only who holds the permission sees, and only opened.
SEALED = ("protected", "key_id")


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that Delta gives back in large or in view form."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return kind

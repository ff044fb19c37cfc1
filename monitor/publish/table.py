"""Many predictions in columns: one Arrow IPC stream a message, the fast road into the monitor."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from monitor.events import new_event_id

if TYPE_CHECKING:
    from collections.abc import Iterator

_REQUIRED = ("model_name", "model_version", "event_time", "prediction")
_PLAIN = frozenset((*_REQUIRED, "event_id", "prediction_id", "score"))
_PREFIXES = ("features.", "groups.")
_TIME = pa.timestamp("us", tz="UTC")
#: Kafka's own limit for a message is 1 MiB with its headers.
_MOST_BYTES = 900_000


class InvalidTable(ValueError):
    """The table is not a batch of predictions."""


class Message(NamedTuple):
    """One chunk of one model version: its first event's id, its last event's time, and the stream."""

    version: tuple[str, str]
    event_id: str
    event_time: dt.datetime
    rows: int
    value: bytes


def messages(table: pa.Table) -> Iterator[Message]:
    """Cut a table of predictions into messages, one model version each, rows in the table's order.

    Raises
    ------
    InvalidTable
        Naming the column that is missing, unknown, or of a wrong type.

    Examples
    --------
    >>> at = pa.array([dt.datetime(2026, 1, 2, tzinfo=dt.UTC)] * 3, _TIME)
    >>> table = pa.table({"model_name": ["credit"] * 3, "model_version": ["7", "8", "7"],
    ...                   "event_time": at, "prediction": [1, 0, 1], "features.age": [41, 30, 22]})
    >>> [(message.version, message.rows) for message in messages(table)]
    [(('credit', '7'), 2), (('credit', '8'), 1)]
    """
    table = _complete(_checked(table))
    names, versions = table["model_name"], table["model_version"]
    pairs = dict.fromkeys(zip(names.to_pylist(), versions.to_pylist(), strict=True))
    for name, version in pairs:
        rows = table
        if len(pairs) > 1:
            rows = table.filter(pc.and_(pc.equal(names, name), pc.equal(versions, version)))
        yield from _cut((name, version), rows)


def _checked(table: pa.Table) -> pa.Table:
    for name in _REQUIRED:
        if name not in table.column_names:
            raise InvalidTable(f"the table has no column {name}")
        if table[name].null_count:
            raise InvalidTable(f"column {name} has missing values")
    for name in table.column_names:
        if name not in _PLAIN and not name.startswith(_PREFIXES):
            raise InvalidTable(f"column {name} is not known; a feature's name is features.{name}")
    times = table["event_time"].type
    if not pa.types.is_timestamp(times) or times.tz is None:
        raise InvalidTable(f"event_time is {times}, not a timestamp with a time zone")
    return table


def _complete(table: pa.Table) -> pa.Table:
    columns = {name: table[name] for name in table.column_names}
    # Below a microsecond it is cut off.
    columns["event_time"] = columns["event_time"].cast(_TIME, safe=False)
    for name in ("model_name", "model_version"):
        columns[name] = columns[name].cast(pa.string())
    given = columns.get("event_id", pa.nulls(table.num_rows)).cast(pa.string())
    if given.null_count:
        made = pa.array([new_event_id() for _ in range(table.num_rows)], pa.string())
        given = pc.coalesce(given, made)
    columns["event_id"] = given
    columns.setdefault("prediction_id", given)
    return pa.table(columns).unify_dictionaries()


def _cut(version: tuple[str, str], rows: pa.Table) -> Iterator[Message]:
    value = _stream(rows)
    if len(value) > _MOST_BYTES and rows.num_rows > 1:
        size = max(1, int(rows.num_rows * 0.9 * _MOST_BYTES / len(value)))
        size = min(size, rows.num_rows - 1)
        for start in range(0, rows.num_rows, size):
            yield from _cut(version, rows.slice(start, size))
        return
    at = rows["event_time"][-1].as_py()
    yield Message(version, rows["event_id"][0].as_py(), at, rows.num_rows, value)


def _stream(rows: pa.Table) -> bytes:
    """Return an Arrow IPC stream of one record batch, so that dictionaries are written once."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return bytes(sink.getvalue())

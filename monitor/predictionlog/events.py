"""From a Kafka message to the events in it: JSON, MessagePack, or Arrow with many."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from monitor.errors import EventError
from monitor.events import (
    ARROW_CONTENT,
    JSON_CONTENT,
    MSGPACK_CONTENT,
    ModelVersion,
    PredictionEvent,
    decode_prediction,
)
from monitor.profiles.arrow import SIZE_CAP
from monitor.profiles.inflation import survey

_decode_msgpack = msgspec.msgpack.Decoder(PredictionEvent).decode

#: All that bytes from outside may do to the reader of Arrow; OSError and ValueError hold most of its errors. A time
#: zone that nobody knows is a LookupError.
_REFUSED = (
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    MemoryError,
    OverflowError,
    LookupError,
)

_NESTED = ("features", "groups")


def events_of(value: bytes | None, key: bytes | None, content: bytes) -> Sequence[PredictionEvent]:
    """Return the events of one message, all that the contract says checked.

    Parameters
    ----------
    key
        ``model/version``; one that says so must be true of every event.
    content
        The content type.

    Raises
    ------
    EventError
        If anything is wrong with the message: then none of its events counts, as in the stream.
    """
    if not value:
        raise EventError("$", "the message has no value")
    try:
        if content == JSON_CONTENT:
            events: Sequence[PredictionEvent] = (decode_prediction(value),)
        elif content == MSGPACK_CONTENT:
            events = (_decode_msgpack(value),)
        elif content == ARROW_CONTENT:
            events = _from_arrow(value)
        else:
            raise EventError("content-type", f"{content!r} is none that is read here")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventError("$", f"cannot be read: {error}") from error
    for event in events:
        _check_key(event, key)
    return events


def _check_key(event: PredictionEvent, key: bytes | None) -> None:
    if key is None or key == event.version.key:
        return
    try:
        said = ModelVersion.from_key(key)
    except ValueError:
        return  # the key says nothing: the event does
    raise EventError("model_name", f"the key says {said.model}/{said.version}")


def _from_arrow(value: bytes) -> list[PredictionEvent]:
    try:
        _, size = survey(pa.py_buffer(value))
        if size > SIZE_CAP:
            raise EventError("$", f"holds {size:,} bytes decompressed, the cap is {SIZE_CAP:,}")
        table = pa.ipc.open_stream(value).read_all()
        table.validate(full=True)
        rows = _dicts(table)
    except _REFUSED as error:
        raise EventError("$", f"no Arrow stream that can be read: {error}") from error
    return msgspec.convert(rows, list[PredictionEvent])


def _dicts(table: pa.Table) -> list[Mapping[str, Any]]:
    """Return the rows, with ``features.<name>`` and ``groups.<attribute>`` as mappings."""
    plain: dict[str, list[Any]] = {}
    nested: dict[str, dict[str, list[Any]]] = {name: {} for name in _NESTED}
    for name, column in zip(table.column_names, table.columns, strict=True):
        outer, dot, inner = name.partition(".")
        place, known = (nested[outer], inner) if dot and outer in nested else (plain, name)
        if known in place:
            raise EventError(name or "$", "there are several columns of this name")
        place[known] = _values(column)
    columns = {**plain, **{name: _mappings(nested[name], table.num_rows) for name in _NESTED}}
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _mappings(columns: Mapping[str, list[Any]], rows: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(rows)]
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values; numbers and instants without nulls the fast way."""
    if pa.types.is_floating(column.type) and not column.null_count:
        values: list[Any] = column.to_numpy().tolist()
        return values
    if pa.types.is_timestamp(column.type):
        # The instant is UTC whatever the zone, and a zone may be one that nobody knows: the stream asks for none either.
        zone = None if column.type.tz is None else "UTC"
        column = column.cast(pa.timestamp("us", tz=zone), safe=column.type.unit != "ns")
        if zone is not None and not column.null_count:
            return _instants(column)
    return list(column.to_pylist())


def _instants(column: pa.ChunkedArray) -> list[dt.datetime]:
    """Return the instants of a UTC column: Arrow's own way asks for the time zone of each, and takes 4 us."""
    naive = column.to_numpy().tolist()
    try:
        return [instant.replace(tzinfo=dt.UTC) for instant in naive]
    except AttributeError:  # past what a datetime holds NumPy gives a number
        msg = "a time lies before the year 1 or after 9999"
        raise ValueError(msg) from None

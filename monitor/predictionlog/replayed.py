"""The log read back as the records that it was written from, in the order in which they arrived."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from monitor.errors import StoreError
from monitor.events import ModelVersion
from monitor.predictionlog.apart import Protected

if TYPE_CHECKING:
    from monitor.predictionlog.keys import DataKey, KeyRing
    from monitor.predictionlog.table import PredictionTable

_COLUMNS = (
    "date",
    "version",
    "event_id",
    "prediction_id",
    "event_time",
    "arrived",
    "prediction",
    "number",
    "score",
    "features",
    "protected",
    "key_id",
)

#: Events that arrived later than so many days after they happened are left out: no window waits that long.
_LATEST = 7

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    """One event as a record; without a sequence, so that the engine tells twice-published ones by their id."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def logged_records(
    table: PredictionTable, keys: KeyRing, model: str, since: dt.datetime, until: dt.datetime
) -> Iterator[LoggedRecord]:
    """Yield a model's events of a span of event time, day by day of arrival.

    A day's protected attributes whose key is destroyed are missing; so are features that were sealed with them.

    Raises
    ------
    StoreError
        If the log cannot be read.
    """
    known: dict[dt.date, DataKey | None] = {}
    offset = 0
    day, last = since.date(), (until + dt.timedelta(days=_LATEST)).date()
    while day <= last:
        for row in _arrived(table, model, day, since, until).iter_rows(named=True):
            yield _record(row, offset, model, keys, known)
            offset += 1
        day += dt.timedelta(days=1)


def _arrived(
    table: PredictionTable, model: str, day: dt.date, since: dt.datetime, until: dt.datetime
) -> pl.DataFrame:
    rows = table.scan()
    if rows is None:
        raise StoreError(
            "there is no prediction log", where=table.uri, fix="Run `monitor archive` first."
        )
    start = dt.datetime.combine(day, dt.time(), dt.UTC)
    end = start + dt.timedelta(days=1)
    date, time, arrived = pl.col("date"), pl.col("event_time"), pl.col("arrived")
    first = max(day - dt.timedelta(days=_LATEST), since.date())
    chosen = rows.filter(
        (pl.col("model") == model)
        & (date >= first)
        & (date <= min(day + dt.timedelta(days=1), until.date()))
        & (time >= since)
        & (time < until)
        & (arrived >= start)
        & (arrived < end)
    )
    places = ("kafka_partition", "kafka_offset", "kafka_index")
    try:
        return chosen.sort("arrived", *places).select(_COLUMNS).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError(
            f"the prediction log cannot be read: {error}", where=table.uri, fix="Ask again."
        ) from error


def _record(
    row: dict[str, Any],
    offset: int,
    model: str,
    keys: KeyRing,
    known: dict[dt.date, DataKey | None],
) -> LoggedRecord:
    held = _held(row, model, keys, known)
    features: Any = msgspec.Raw(row["features"].encode())
    if held.features:
        # What no reader takes, such as 1e400, goes on as it is: the engine will say so, as it did the first time.
        with suppress(msgspec.MsgspecError):
            features = msgspec.json.decode(row["features"]) | held.features
    event = {
        "event_id": row["event_id"],
        "prediction_id": row["prediction_id"],
        "event_time": row["event_time"].isoformat(),
        "model_name": model,
        "model_version": row["version"],
        "features": features,
        "prediction": row["prediction"] if row["number"] is None else _answer(row),
        "score": row["score"],
        "groups": held.groups,
    }
    subject = ModelVersion(model, row["version"])
    arrived = int(row["arrived"].timestamp() * 1000)
    return LoggedRecord(offset, arrived, subject.key, _encode(event))


def _answer(row: dict[str, Any]) -> float | bool:
    number: float = row["number"]
    return number == 1 if row["prediction"] in {"true", "false"} else number


def _held(
    row: dict[str, Any], model: str, keys: KeyRing, known: dict[dt.date, DataKey | None]
) -> Protected:
    if row["protected"] is None:
        return Protected()
    date = row["date"]
    if date not in known:
        known[date] = keys.find(date, model)
    key = known[date]
    if key is None or key.name != row["key_id"]:
        return Protected()
    return msgspec.json.decode(key.open(row["protected"], row["event_id"]), type=Protected)

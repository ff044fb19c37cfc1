"""Asking the log: only the days, columns and rows that a question needs, protected attributes opened last."""

from __future__ import annotations

import datetime as dt
import functools
import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds

from monitor.errors import InputError, StoreError
from monitor.predictionlog.apart import Protected
from monitor.predictionlog.schema import SCHEMA, SEALED
from monitor.predictionlog.where import Condition

if TYPE_CHECKING:
    from monitor.predictionlog.keys import DataKey, KeyRing
    from monitor.predictionlog.table import PredictionTable

#: What comes back: features as JSON; for who may see them, groups as JSON and why there are none.
OPEN_SCHEMA = pa.schema([field for field in SCHEMA if field.name not in SEALED])
PROTECTED_SCHEMA = pa.schema([*OPEN_SCHEMA, ("groups", pa.string()), ("seal", pa.string())])

#: Of a row's protected attributes: opened; or the key is gone, and they with it.
OPENED, DESTROYED = "opened", "key destroyed"

Row = dict[str, Any]


class Mark(NamedTuple):
    """A row's place in the order of answers: by event time, then by event id."""

    event_time: dt.datetime
    event_id: str


class QuestionTooLong(StoreError):
    """A question that takes longer than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked for; all of it must hold.

    Attributes
    ----------
    since, until
        Event time: from, and before.
    subject
        As the serving code names the person; looked up under the pseudonym.
    limit
        The newest so many.
    before
        Only rows older than this one: where the page before has ended.
    """

    model: str | None = None
    version: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    subject: str | None = None
    prediction_id: str | None = None
    where: tuple[Condition, ...] = ()
    limit: int = 100
    before: Mark | None = None

    def said(self, pseudonym: str | None) -> dict[str, Any]:
        """Return what is asked, for the record: the person by pseudonym only."""
        plain = {
            "model": self.model,
            "version": self.version,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "subject": pseudonym,
            "prediction_id": self.prediction_id,
            "where": [_said(condition) for condition in self.where],
            "limit": self.limit,
            "before": None if self.before is None else self.before.event_id,
        }
        return {name: value for name, value in plain.items() if value not in (None, [])}


def ask(
    table: PredictionTable,
    query: Query,
    *,
    pseudonym: str | None = None,
    keys: KeyRing | None = None,
    seconds: float | None = None,
) -> pa.Table:
    """Return the newest rows that are asked for, oldest first; of an event that came twice the first.

    Parameters
    ----------
    pseudonym
        Of the query's subject.
    keys
        To open protected attributes with; without, nothing of them is read.
    seconds
        How long it may take; looked at after each batch of rows.

    Raises
    ------
    InputError
        If a condition looks at groups, and there are no keys.
    QuestionTooLong
        If it takes longer than it may.
    StoreError
        If the table cannot be read, wherever in it that shows.
    """
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    if keys is None and any(condition.column == "groups" for condition in query.where):
        raise InputError(
            "groups are protected", where="--where", fix="Ask with --protected and the master key."
        )
    found: list[Row] = []
    for rows in _days(table, query, pseudonym, keys, deadline):
        found = _newest([*rows, *found], query.limit)
        if len(found) >= query.limit:
            break
    schema = OPEN_SCHEMA if keys is None else PROTECTED_SCHEMA
    return pa.Table.from_pylist([_flat(row) for row in reversed(found)], schema)


def _days(
    table: PredictionTable,
    query: Query,
    pseudonym: str | None,
    keys: KeyRing | None,
    deadline: float,
) -> Iterator[list[Row]]:
    """Yield what each day has, the newest day first."""
    latest = query.until if query.before is None else query.before.event_time
    since, until = _day(query.since), _day(latest)
    dataset = table.dataset(model=query.model, since=since, until=until)
    if dataset is None:
        return
    files: dict[dt.date, list[ds.Fragment]] = {}
    for fragment in dataset.get_fragments():
        date = ds.get_partition_keys(fragment.partition_expression)["date"]
        files.setdefault(date, []).append(fragment)
    columns = [name for name in SCHEMA.names if keys is not None or name not in SEALED]
    chosen = _filter(query, pseudonym)
    for date in sorted(files, reverse=True):
        found: list[Row] = []
        _check_time(deadline)
        with table.reading():
            day = ds.FileSystemDataset(
                files[date], dataset.schema, files[date][0].format, files[date][0].filesystem
            )
            if (query.prediction_id or pseudonym) and not day.count_rows(filter=chosen):
                continue  # a look at the ids alone spares most days their other columns
            for batch in day.scanner(columns=columns, filter=chosen).to_batches():
                found = _newest([*found, *_opened(batch.to_pylist(), query, keys)], query.limit)
                _check_time(deadline)
        yield found


def _filter(query: Query, pseudonym: str | None) -> ds.Expression | None:
    equal = {
        "model": query.model,
        "version": query.version,
        "subject": pseudonym,
        "prediction_id": query.prediction_id,
    }
    parts = [ds.field(name) == pa.scalar(value) for name, value in equal.items() if value]
    time_type = SCHEMA.field("event_time").type
    if query.since is not None:
        parts.append(ds.field("event_time") >= pa.scalar(query.since, time_type))
    if query.until is not None:
        parts.append(ds.field("event_time") < pa.scalar(query.until, time_type))
    if query.before is not None:
        then, last = pa.scalar(query.before.event_time, time_type), query.before.event_id
        here = (ds.field("event_time") == then) & (ds.field("event_id") < pa.scalar(last))
        parts.append((ds.field("event_time") < then) | here)
    parts += [e for e in (condition.expression() for condition in query.where) if e is not None]
    return functools.reduce(lambda a, b: a & b, parts) if parts else None


def _opened(rows: Iterable[Row], query: Query, keys: KeyRing | None) -> Iterator[Row]:
    """Yield rows with their features, and groups where there are keys, for which the conditions inside hold."""
    inside = [condition for condition in query.where if condition.name is not None]
    known: dict[tuple[dt.date, str], DataKey | None] = {}
    for row in rows:
        row["features"] = json.loads(row["features"])
        if keys is not None:
            _open(row, keys, known)
        if all(condition.holds(row) for condition in inside):
            yield row


def _open(row: Row, keys: KeyRing, known: dict[tuple[dt.date, str], DataKey | None]) -> None:
    sealed, key_id = row.pop("protected"), row.pop("key_id")
    row["groups"], row["seal"] = {}, None
    if sealed is None:
        return
    place = (row["date"], row["model"])
    if place not in known:
        known[place] = keys.find(*place)
    key = known[place]
    if key is None or key.name != key_id:
        row["seal"] = DESTROYED
        return
    held = msgspec.json.decode(key.open(sealed, row["event_id"]), type=Protected)
    row["groups"], row["seal"] = held.groups, OPENED
    row["features"] |= held.features


def _newest(rows: list[Row], limit: int) -> list[Row]:
    """Return the newest rows, newest first; of those with one event id the first that came."""
    rows.sort(key=_order)
    distinct = {row["event_id"]: row for row in reversed(rows)}
    return sorted(distinct.values(), key=_order, reverse=True)[:limit]


def _order(row: Row) -> tuple[Any, ...]:
    """Return what rows are ordered by; those of one event lie side by side, so that no two pages show it."""
    place = (row["kafka_partition"], row["kafka_offset"], row["kafka_index"])
    return row["event_time"], row["event_id"], *place


def _check_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise QuestionTooLong(
            "the question takes longer than it may",
            fix="Ask for fewer days, one version, or by prediction id.",
        )


def _flat(row: Row) -> Row:
    nested = {name: json.dumps(row[name]) for name in ("features", "groups") if name in row}
    return row | nested


def _day(time: dt.datetime | None) -> dt.date | None:
    return None if time is None else time.astimezone(dt.UTC).date()


def _said(condition: Condition) -> str:
    name = condition.column if condition.name is None else f"{condition.column}.{condition.name}"
    return f"{name} {condition.operator} {condition.value!r}"

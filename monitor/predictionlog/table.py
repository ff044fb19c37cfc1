"""The prediction log's Delta table: appended to exactly once, compacted, and truly emptied."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import (
    CommitFailedError,
    DeltaError,
    DeltaProtocolError,
    TableNotFoundError,
)

from monitor.errors import MonitorError, StoreError
from monitor.predictionlog.schema import PREDICTIONS, WRITER, TableLayout, plain_type

if TYPE_CHECKING:
    import polars as pl
    import pyarrow.dataset as ds

#: Small files of one day and model from which on they are made one.
SMALL_FILES = 8

#: Bytes from which on a file is not small.
_LARGE = 64 << 20

#: Hours after which a file that no commit names was left by a writer that died. One at work takes seconds.
_ORPHANED = 1

_COLOURS = re.compile("\x1b\\[[0-9;]*m")

#: Rows named in one deletion.
_AT_ONCE = 1_000

#: Deletions begun anew because somebody wrote meanwhile, at most: one takes a fraction of what lies between two commits.
_TRIES = 20

Positions = dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row came from: unlike all else in it, this says nothing of a person.

    A log may hold several topics: one that was made anew under another name begins at offset 0 again.
    """

    topic: str
    partition: int
    offset: int
    index: int


class Fenced(MonitorError):
    """Another writer has gone on from where this one stood: nothing was written."""


class PredictionTable:
    """The table at an address.

    Parameters
    ----------
    uri
        A directory, or an address such as ``s3://bucket/predictions``.
    storage
        Settings of the object store, passed through to Delta.
    writer
        How files are written.
    layout
        Columns and directories: of predictions, or of labels.
    """

    def __init__(
        self,
        uri: str,
        storage: Mapping[str, str] | None = None,
        *,
        writer: WriterProperties = WRITER,
        layout: TableLayout = PREDICTIONS,
    ) -> None:
        self.uri = uri
        self._layout = layout
        self._storage = dict(storage or {})
        self._writer = writer
        self._delta: DeltaTable | None = None

    def create(self) -> None:
        """Make the table where there is none; one that is there keeps what it has, and gets the columns it lacks.

        Raises
        ------
        StoreError
            If it cannot be made, or the one that is there is another kind of table.
        """
        with self._plainly():
            self._delta = DeltaTable.create(
                self.uri,
                self._layout.schema,
                mode="ignore",
                partition_by=list(self._layout.partitions),
                configuration=self._layout.configuration,
                storage_options=self._storage,
            )
        self._check_schema()
        with self._plainly():
            self._grow()

    def exists(self) -> bool:
        """Whether there is a table."""
        with self._plainly():
            return self._existing() is not None

    def positions(self, app_ids: list[str]) -> Positions:
        """Return the last offset that the table holds of each source; None if none.

        Raises
        ------
        StoreError
            If the table cannot be read.
        """
        with self._plainly():
            delta = self._fresh()
            return {app_id: delta.transaction_version(app_id) for app_id in app_ids}

    def append(self, rows: pa.Table, reached: Mapping[str, int], held: Positions) -> None:
        """Write rows and the offsets that they reach in one commit, or nothing.

        Delta itself refuses a commit only if the same source was written since this writer last looked. So what it
        saw then must be where it stands.

        Parameters
        ----------
        reached
            Last offset of each source, this batch included.
        held
            Last offset of each source before it.

        Raises
        ------
        Fenced
            If another writer has gone on with one of the sources.
        StoreError
            If it cannot be written. It may have been, though: read `positions` before another try.
        """
        with self._plainly():
            delta = self._delta or self._fresh()
            for app_id in reached:
                stands = delta.transaction_version(app_id)
                if stands != held[app_id]:
                    raise _fenced(self.uri, f"{app_id} stands at {stands}, not {held[app_id]}")
            transactions = [Transaction(app_id, offset) for app_id, offset in reached.items()]
            try:
                write_deltalake(
                    delta,
                    rows,
                    mode="append",
                    writer_properties=self._writer,
                    commit_properties=CommitProperties(app_transactions=transactions),
                )
            except CommitFailedError as error:
                if "Concurrent transaction" in str(error):
                    raise _fenced(self.uri, str(error)) from error
                raise

    def dataset(
        self,
        *,
        model: str | None = None,
        since: dt.date | None = None,
        until: dt.date | None = None,
    ) -> ds.Dataset | None:
        """Return the files of a model and span of days, both ends included; None if there is no table."""
        wanted: list[tuple[str, str, Any]] = []
        if model is not None:
            wanted.append(("model", "=", model))
        if since is not None:
            wanted.append(("date", ">=", since))
        if until is not None:
            wanted.append(("date", "<=", until))
        with self._plainly():
            delta = self._existing()
            if delta is None:
                return None
            return delta.to_pyarrow_dataset(file_pruning_predicate=wanted or None)

    def scan(self) -> pl.LazyFrame | None:
        """Return the table for questions that join it with another one; None if there is none."""
        import polars as pl

        with self._plainly():
            delta = self._existing()
            return None if delta is None else pl.scan_delta(delta)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say in a sentence what goes wrong while the rows of `dataset` are read.

        Raises
        ------
        StoreError
            If a file is damaged or went away, or its disk or bucket does not answer.
        """
        with self._plainly():
            try:
                yield
            except FileNotFoundError as error:
                raise StoreError(
                    "a file went while it was read: rows were just expired or erased",
                    where=self.uri,
                    fix="Ask again.",
                ) from error

    def partitions(self) -> list[tuple[dt.date, str, int]]:
        """Return each day and model with its number of rows, oldest first."""
        counts: Counter[tuple[dt.date, str]] = Counter()
        for file in self._files():
            counts[file["partition.date"], file["partition.model"]] += file["num_records"]
        return sorted((date, model, rows) for (date, model), rows in counts.items())

    def compact(self, *, before: dt.date | None = None) -> int:
        """Make the small files of each day and model one; return how many days and models had too many.

        Parameters
        ----------
        before
            Only days before this one: today's are still written.
        """
        small: Counter[tuple[dt.date, str]] = Counter()
        for file in self._files():
            if file["size_bytes"] < _LARGE and (before is None or file["partition.date"] < before):
                small[file["partition.date"], file["partition.model"]] += 1
        crowded = [place for place, files in small.items() if files >= SMALL_FILES]
        with self._plainly():
            for date, model in crowded:
                self._fresh().optimize.compact(
                    [("date", "=", date.isoformat()), ("model", "=", model)],
                    writer_properties=self._writer,
                )
        return len(crowded)

    def delete_days(self, model: str, dates: list[dt.date]) -> int:
        """Take whole days of a model out of the table; the files go with `vacuum`.

        Returns
        -------
        int
            How many rows.
        """
        chosen = set(dates)
        rows = sum(
            rows for date, named, rows in self.partitions() if named == model and date in chosen
        )
        with self._plainly():
            days = ", ".join(f"CAST('{date.isoformat()}' AS DATE)" for date in dates)
            self._delete(f"model = {_quoted(model)} AND date IN ({days})")
        return rows

    def delete_rows(self, places: Iterable[Place]) -> int:
        """Take rows out of the table by their Kafka coordinates; return how many.

        Nothing else names them: Delta writes a deletion's condition into its own log, and keeps it.
        """
        offsets: dict[tuple[str, int, int], list[str]] = defaultdict(list)
        for place in places:
            offsets[place.topic, place.partition, place.index].append(str(int(place.offset)))
        gone = 0
        with self._plainly():
            for (topic, partition, index), numbers in offsets.items():
                for some in _batches(numbers):
                    gone += self._delete(
                        f"kafka_topic = {_quoted(topic)} AND kafka_partition = {partition:d} "
                        f"AND kafka_index = {index:d} AND kafka_offset IN ({', '.join(some)})"
                    )
        return gone

    def vacuum(self) -> int:
        """Delete the files that hold rows no longer in the table, at once; return how many.

        Those that a dead writer left without a commit go an hour after they were written: one that is at work has
        such files too. A query that runs meanwhile may miss a file, and says so.
        """
        with self._plainly():
            delta = self._fresh()
            gone = delta.vacuum(0, dry_run=False, enforce_retention_duration=False)
            gone += delta.vacuum(
                _ORPHANED, dry_run=False, enforce_retention_duration=False, full=True
            )
        return len(gone)

    def _delete(self, condition: str) -> int:
        """Delete the rows that a condition names; again where a writer came between, which Delta refuses."""
        tries = 0
        while True:
            try:
                done = self._fresh().delete(condition, writer_properties=self._writer)
                return int(done["num_deleted_rows"])
            except CommitFailedError:
                if (tries := tries + 1) == _TRIES:
                    raise

    def _files(self) -> list[dict[str, Any]]:
        with self._plainly():
            delta = self._existing()
            if delta is None:
                return []
            return list(pa.table(delta.get_add_actions(flatten=True)).to_pylist())

    def _fresh(self) -> DeltaTable:
        delta = self._existing()
        if delta is None:
            raise StoreError(
                "there is no prediction log", where=self.uri, fix="Run `monitor archive` first."
            )
        return delta

    def _existing(self) -> DeltaTable | None:
        try:
            if self._delta is None:
                self._delta = DeltaTable(self.uri, storage_options=self._storage)
            else:
                self._delta.update_incremental()
        except TableNotFoundError:
            return None
        return self._delta

    def _check_schema(self) -> None:
        assert self._delta is not None
        found = pa.schema(self._delta.schema().to_arrow())
        for field in self._layout.schema:
            at = found.get_field_index(field.name)
            there = found.field(at).type if at >= 0 else None
            if there is not None and plain_type(there) != field.type:
                raise StoreError(
                    f"its column {field.name} holds {there}, this release writes {field.type}",
                    where=self.uri,
                    fix="Name another directory (log.path).",
                )

    def _grow(self) -> None:
        """Add the columns that a later release has brought; of several writers, one does."""
        delta = self._fresh()
        there = set(pa.schema(delta.schema().to_arrow()).names)
        fresh = [field for field in self._layout.schema if field.name not in there]
        if not fresh:
            return
        fields = Schema.from_arrow(pa.schema(fresh)).fields
        try:
            delta.alter.add_columns(fields)
        except CommitFailedError:
            self._delta = None
            again = pa.schema(self._fresh().schema().to_arrow()).names
            if not {field.name for field in fresh} <= set(again):
                raise

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except (DeltaError, DeltaProtocolError, OSError, pa.ArrowException) as error:
            self._delta = None
            raise StoreError(
                f"the prediction log cannot be read or written: {_sentence(error)}",
                where=self.uri,
                fix="Look at its disk or bucket, and at log.path and log.storage.",
            ) from error


def _batches(numbers: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield numbers[start : start + _AT_ONCE]


def _quoted(text: str) -> str:
    """Return an SQL string; Delta's deletions take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def _sentence(error: Exception) -> str:
    """Return what an error says on one line; Delta's are drawn in colours, over several."""
    return " ".join(_COLOURS.sub("", str(error)).split())


def _fenced(uri: str, why: str) -> Fenced:
    return Fenced(f"another writer has gone on: {why}", where=uri)

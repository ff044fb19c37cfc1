"""The prediction log as people use it: asked, expired, erased, its keys rotated; each on the record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from monitor.errors import SettingsError, StoreError
from monitor.predictionlog.expiry import Due, due
from monitor.predictionlog.labels import ORDER
from monitor.predictionlog.query import Query, ask
from monitor.predictionlog.table import Place, PredictionTable

if TYPE_CHECKING:
    from monitor.policy.model import Policy
    from monitor.predictionlog.keys import KeyRing, Rewrapped

#: Writes to the audit chain: seconds since 1970 UTC, and JSON values.
Record = Callable[[float, Mapping[str, Any]], None]

#: Of a label, what is told.
_SAID = {
    "label": "label",
    "revision": "revision",
    "event_time": "known_at",
    "arrived": "arrived",
    "source": "source",
}

_PLACES = ["kafka_topic", "kafka_partition", "kafka_offset", "kafka_index"]


@dataclass(frozen=True, slots=True)
class Erased:
    """What erasing one person did.

    Attributes
    ----------
    rows
        How many were deleted.
    held
        How many stay, because of a legal hold.
    files
        How many files were deleted; what is left of them was written anew.
    """

    rows: int
    held: int
    files: int


class PredictionLog:
    """The log, for whoever is allowed to its files and keys.

    Parameters
    ----------
    keys
        None for a reader without the master key: no subjects, no protected attributes.
    record
        Everything done here is written to it; what cannot be recorded is not done.
    actor
        Who asks.
    now
        Seconds since 1970 UTC.
    labels
        The labels beside the log: they are forgotten with it.
    """

    def __init__(
        self,
        table: PredictionTable,
        keys: KeyRing | None,
        record: Record,
        *,
        actor: str,
        now: Callable[[], float],
        labels: PredictionTable | None = None,
    ) -> None:
        self._table, self._keys, self._labels = table, keys, labels
        self._record, self._actor, self._now = record, actor, now

    def used_by(self, actor: str) -> PredictionLog:
        """Return the same log for somebody else."""
        return PredictionLog(
            self._table,
            self._keys,
            self._record,
            actor=actor,
            now=self._now,
            labels=self._labels,
        )

    def ask(
        self, query: Query, *, protected: bool = False, seconds: float | None = None
    ) -> pa.Table:
        """Return the newest rows that are asked for, oldest first.

        Parameters
        ----------
        protected
            With protected attributes, opened.
        seconds
            How long it may take; without, as long as it takes.

        Raises
        ------
        SettingsError
            If a subject or protected attributes are asked for without the master key.
        InputError, StoreError, QuestionTooLong
            As of `monitor.predictionlog.query.ask`; or if the question cannot be recorded.
        """
        pseudonym = None if query.subject is None else self._ring().pseudonym(query.subject)
        keys = self._ring() if protected else None
        asked = {"filter": query.said(pseudonym), "protected": protected}
        try:
            rows = ask(self._table, query, pseudonym=pseudonym, keys=keys, seconds=seconds)
        except Exception as error:
            self._write("log_query", **asked, rows=0, failed=type(error).__name__)
            raise
        self._write("log_query", **asked, rows=rows.num_rows)
        return rows

    def labels(self, model: str, prediction_id: str) -> list[dict[str, Any]]:
        """Return what was ever said to be true of a prediction, the label that holds last.

        Raises
        ------
        StoreError
            If the labels cannot be read.
        """
        held = None if self._labels is None else self._labels.dataset()
        if held is None:
            return []
        asked = (ds.field("model") == model) & (ds.field("prediction_id") == prediction_id)
        assert self._labels is not None
        with self._labels.reading():
            rows = held.to_table(filter=asked).sort_by([(name, "ascending") for name in ORDER])
        found: list[dict[str, Any]] = rows.select([*_SAID]).rename_columns(_SAID).to_pylist()
        return found

    def rows(self) -> int:
        """Return how many rows the log holds: a number that says nothing of anybody, and is not recorded."""
        return sum(rows for _, _, rows in self._table.partitions())

    def due(self, policy: Policy) -> list[Due]:
        """Return what is due to be deleted now, by model."""
        days: dict[str, list[tuple[dt.date, int]]] = {}
        for date, model, rows in self._table.partitions():
            days.setdefault(model, []).append((date, rows))
        ring = self._ring()
        for model in policy.models:
            days.setdefault(model, [])
        today = dt.datetime.fromtimestamp(self._now(), dt.UTC).date()
        found = [
            due(model, policy, today, rows=rows, keys=ring.days(model))
            for model, rows in sorted(days.items())
        ]
        return [one for one in found if one or one.held]

    def expire(self, policy: Policy) -> list[Due]:
        """Delete what is due, destroy the keys that are, and let no file of either be left; return what it was.

        Raises
        ------
        StoreError
            If something cannot be deleted. Run it again: what is gone is passed over.
        """
        found = self.due(policy)
        for one in filter(None, found):
            self._write("log_expire", stage="intent", **_plain(one))
            for date in one.keys:
                self._ring().destroy(date, one.model)
            if one.days:
                self._table.delete_days(one.model, list(one.days))
        self._expire_labels(policy)
        if self._table.exists():
            files = self._table.vacuum()
            self._write(
                "log_expire", stage="done", files=files, models=[one.model for one in found]
            )
        return found

    def erase(self, subject: str, policy: Policy) -> Erased:
        """Delete every row of one person, and the files that held them; legal holds stand.

        Raises
        ------
        SettingsError
            Without the master key: only it says which rows are that person's.
        StoreError
            If the rows cannot be deleted.
        """
        pseudonym = self._ring().pseudonym(subject)
        places, held = self._places(pseudonym, policy)
        self._write("log_erase", stage="intent", subject=pseudonym, rows=len(places), held=held)
        # First, while the rows still say which predictions were that person's.
        self._erase_labels(pseudonym, places)
        rows = self._table.delete_rows(places) if places else 0
        # Also where there is nothing: an erasure that broke off may have left its files.
        files = self._table.vacuum()
        self._write("log_erase", stage="done", subject=pseudonym, rows=rows, held=held, files=files)
        if rows != len(places):
            raise StoreError(
                f"{rows} rows were deleted, of {len(places)}",
                where=self._table.uri,
                fix="Others were at work on the log: run it again.",
            )
        return Erased(rows, held, files)

    def rotate(self) -> Rewrapped:
        """Wrap every key with the present master key; errors as of `KeyRing.rewrap`."""
        done = self._ring().rewrap()
        self._write("log_rotate", **asdict(done))
        return done

    def _expire_labels(self, policy: Policy) -> None:
        """Delete labels that became known before the predictions' time is over; holds stand."""
        if self._labels is None or not self._labels.exists():
            return
        today = dt.datetime.fromtimestamp(self._now(), dt.UTC).date()
        days: dict[str, list[tuple[dt.date, int]]] = {}
        for date, model, rows in self._labels.partitions():
            days.setdefault(model, []).append((date, rows))
        for model, held in sorted(days.items()):
            found = due(model, policy, today, rows=held, keys=())
            if found.days:
                self._write("labels_expire", stage="intent", **_plain(found))
                self._labels.delete_days(model, list(found.days))
        self._labels.vacuum()

    def _erase_labels(self, pseudonym: str, places: list[Place]) -> None:
        """Delete the labels of a person's predictions that are to be deleted, and the files that held them."""
        labels = None if self._labels is None else self._labels.dataset()
        rows = self._table.dataset()
        if self._labels is None or labels is None or rows is None:
            return
        with self._table.reading():
            theirs = rows.to_table(
                columns=["model", "prediction_id", *_PLACES],
                filter=ds.field("subject") == pa.scalar(pseudonym),
            ).to_pylist()
        free = set(places)
        names = {(row["model"], row["prediction_id"]) for row in theirs if _place(row) in free}
        ids = pa.array([prediction_id for _, prediction_id in names], pa.string())
        with self._labels.reading():
            found = labels.to_table(
                columns=["model", "prediction_id", *_PLACES],
                filter=ds.field("prediction_id").isin(ids),
            ).to_pylist()
        # Two models may have given one id to two people.
        chosen = [_place(row) for row in found if (row["model"], row["prediction_id"]) in names]
        self._write("labels_erase", stage="intent", subject=pseudonym, rows=len(chosen))
        if chosen:
            self._labels.delete_rows(chosen)
        self._labels.vacuum()

    def _places(self, pseudonym: str, policy: Policy) -> tuple[list[Place], int]:
        """Return where the person's rows came from, and how many others are held."""
        dataset = self._table.dataset()
        if dataset is None:
            return [], 0
        with self._table.reading():
            found = dataset.to_table(
                columns=["date", "model", *_PLACES],
                filter=ds.field("subject") == pa.scalar(pseudonym),
            ).to_pylist()
        free = [
            _place(row)
            for row in found
            if policy.of(row["model"]).retention.held_by(row["date"]) is None
        ]
        return free, len(found) - len(free)

    def _ring(self) -> KeyRing:
        if self._keys is None:
            raise SettingsError(
                "the master key is missing",
                where="log.master_key",
                fix="Set MONITOR_LOG__MASTER_KEY, or MONITOR_LOG__MASTER_KEY_FILE to a file with it.",
            )
        return self._keys

    def _write(self, what: str, **said: Any) -> None:
        self._record(self._now(), {"kind": what, "actor": self._actor, **said})


def _place(row: Mapping[str, Any]) -> Place:
    return Place(*(row[name] for name in _PLACES))


def _plain(one: Due) -> dict[str, Any]:
    return {
        "model": one.model,
        "rows": one.rows,
        **{name: [str(day) for day in getattr(one, name)] for name in ("days", "keys", "held")},
    }

"""The embedded store: one SQLite file, read by others while it is written."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from monitor.errors import StoreError
from monitor.reports import Basis, Decision, Report, encode
from monitor.stores.protocol import SetAside, in_order

#: Raised whenever the tables below change.
FORMAT = 1

_REPORTS_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    window_start REAL NOT NULL,
    window_end REAL NOT NULL,
    revision INTEGER NOT NULL,
    severity TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (model, version, window_start, window_end)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS {table}_by_end ON {table} (window_end);
"""

_DECISIONS_TABLE = """
CREATE TABLE IF NOT EXISTS decisions (
    decision_id TEXT NOT NULL,
    stage TEXT NOT NULL,
    model TEXT NOT NULL,
    at REAL NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (decision_id, stage)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS decisions_by_time ON decisions (at);
"""

#: By basis; the names are ours, and never an asker's.
_TABLE = {Basis.PREDICTIONS: "reports", Basis.LABELLED: "labelled_reports"}

_TABLES = "".join(_REPORTS_TABLE.format(table=name) for name in _TABLE.values()) + _DECISIONS_TABLE

_KEEP_REPORT = """
INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE
SET revision = excluded.revision, severity = excluded.severity, body = excluded.body
WHERE excluded.revision >= {table}.revision
"""

_KEEP_DECISION = "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?)"

_REPORTS = """
SELECT body FROM {table}
WHERE (:model IS NULL OR model = :model) AND (:version IS NULL OR version = :version)
  AND window_end >= :since AND window_end < :until
ORDER BY window_end DESC, model, version, window_start LIMIT :limit
"""

#: From name to name by the primary key: what it costs grows with the versions, and not with their windows.
_NEWEST = """
WITH RECURSIVE
models(model) AS (
    SELECT min(model) FROM reports
    UNION ALL
    SELECT (SELECT min(model) FROM reports WHERE model > models.model)
    FROM models WHERE model IS NOT NULL
),
subjects(model, version) AS (
    SELECT model, (SELECT min(version) FROM reports WHERE model = models.model)
    FROM models WHERE model IS NOT NULL
    UNION ALL
    SELECT model, (
        SELECT min(version) FROM reports WHERE model = subjects.model AND version > subjects.version
    )
    FROM subjects WHERE version IS NOT NULL
)
SELECT (
    SELECT body FROM reports WHERE model = subjects.model AND version = subjects.version
    ORDER BY window_start DESC, window_end DESC LIMIT 1
)
FROM subjects WHERE version IS NOT NULL
"""

_DECISIONS = """
SELECT body FROM decisions
WHERE (:model IS NULL OR model = :model) AND at >= :since AND at < :until
ORDER BY at DESC, decision_id, stage LIMIT :limit
"""

S = TypeVar("S", bound=msgspec.Struct)


class SqliteStore:
    """Reports and decisions in one file, in write-ahead mode; safe to share between threads.

    Parameters
    ----------
    path
        Of the file; it is made, with its directories, if it is missing.

    Raises
    ------
    StoreError
        If it cannot be opened, or a newer release wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._speaking():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            (found,) = self._connection.execute("PRAGMA user_version").fetchone()
            if found > FORMAT:
                self._connection.close()
                raise StoreError(
                    f"a newer release wrote it, in format {found}; this one knows {FORMAT}",
                    where=str(path),
                    fix="Run that release, or name another file.",
                )
            self._connection.executescript(_TABLES)
            self._connection.execute(f"PRAGMA user_version = {FORMAT:d}")

    def write(self, reports: Sequence[Report], decisions: Sequence[Decision]) -> list[SetAside]:
        """Keep all in one transaction; nothing is ever set aside. See `ReportStore`."""
        with self._speaking(), self._lock, self._connection:
            for basis, table in _TABLE.items():
                rows = (_report_row(report) for report in reports if report.basis is basis)
                self._connection.executemany(_KEEP_REPORT.format(table=table), rows)
            self._connection.executemany(_KEEP_DECISION, map(_decision_row, decisions))
        return []

    def reports(
        self,
        model: str | None = None,
        version: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        basis: Basis = Basis.PREDICTIONS,
    ) -> list[Report]:
        """Return the newest reports, oldest first. See `ReportStore`."""
        asked = {"model": model, "version": version, "limit": limit} | _span(since, until)
        return self._read(_REPORTS.format(table=_TABLE[basis]), asked, Report)

    def newest(self) -> list[Report]:
        """Return the newest report of every version, oldest first. See `ReportStore`."""
        return in_order(self._read(_NEWEST, {}, Report))

    def decisions(
        self,
        model: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
    ) -> list[Decision]:
        """Return the newest steps of decisions, oldest first. See `ReportStore`."""
        asked = {"model": model, "limit": limit} | _span(since, until)
        return self._read(_DECISIONS, asked, Decision)

    def health(self) -> None:
        """Return if the file can be read and written. See `ReportStore`."""
        with self._speaking(), self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.rollback()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _read(self, query: str, asked: dict[str, object], type_: type[S]) -> list[S]:
        with self._speaking(), self._lock:
            rows = self._connection.execute(query, asked).fetchall()
        return _decoded((body for (body,) in rows), type_)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the report store refuses: {error}",
                where=str(self._path),
                fix="Check that the directory exists, may be written to, and has room.",
            ) from error


def _report_row(report: Report) -> tuple[object, ...]:
    return (
        report.model,
        report.version,
        report.window.start,
        report.window.end,
        report.revision,
        report.severity.value,
        encode(report).decode(),
    )


def _decision_row(decision: Decision) -> tuple[object, ...]:
    return (
        decision.decision_id,
        decision.stage.value,
        decision.model,
        decision.at,
        encode(decision).decode(),
    )


def _span(since: float | None, until: float | None) -> dict[str, object]:
    return {
        "since": -math.inf if since is None else since,
        "until": math.inf if until is None else until,
    }


def _decoded(bodies: Iterable[str], type_: type[S]) -> list[S]:
    return [msgspec.json.decode(body, type=type_) for body in bodies][::-1]

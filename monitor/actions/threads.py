"""Which Slack message a version's messages answer to: kept in the outbox's file, so that a restart opens no new thread."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from monitor.errors import NoticeError


class Threads(Protocol):
    """Remembers the first message of a thread."""

    def get(self, channel: str, thread: str) -> str | None:
        """Return the first message's id, if the thread is open."""

    def open(self, channel: str, thread: str, message: str) -> None:
        """Remember the first message."""

    def close(self, channel: str, thread: str) -> None:
        """Forget it: what comes next is another matter."""


class ThreadFile:
    """Threads in a SQLite file, opened for each question: there are few.

    Parameters
    ----------
    path
        The file; the outbox's own will do.

    Examples
    --------
    >>> import tempfile
    >>> threads = ThreadFile(Path(tempfile.mkdtemp()) / "notices.db")
    >>> threads.open("C1", "credit:2", "1700000000.000100")
    >>> threads.get("C1", "credit:2")
    '1700000000.000100'
    >>> threads.close("C1", "credit:2")
    >>> threads.get("C1", "credit:2")
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, channel: str, thread: str) -> str | None:
        """Return the first message's id, if the thread is open."""
        rows = self._run(
            "SELECT message FROM threads WHERE channel = ? AND thread = ?", channel, thread
        )
        return str(rows[0][0]) if rows else None

    def open(self, channel: str, thread: str, message: str) -> None:
        """Remember the first message."""
        self._run("INSERT OR REPLACE INTO threads VALUES (?, ?, ?)", channel, thread, message)

    def close(self, channel: str, thread: str) -> None:
        """Forget it."""
        self._run("DELETE FROM threads WHERE channel = ? AND thread = ?", channel, thread)

    def _run(self, statement: str, *values: str) -> list[tuple[str]]:
        try:
            with closing(sqlite3.connect(self._path, timeout=5)) as database, database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS threads (channel TEXT, thread TEXT, message TEXT,"
                    " PRIMARY KEY (channel, thread)) WITHOUT ROWID"
                )
                return database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise NoticeError(
                f"the threads cannot be kept: {error}",
                where=str(self._path),
                fix="Make room on its disk, or let this user write it.",
            ) from error

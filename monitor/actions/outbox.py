"""Messages to people: taken at once, delivered when their channel answers.

A notice is delivered once; only if the process dies between a channel's answer and the mark, twice.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import structlog

from monitor.actions.notice import Notice
from monitor.errors import NoticeError

log = structlog.get_logger(__name__)

FIRST_WAIT, LAST_WAIT = 1.0, 600.0

#: Seconds after which a notice that no channel took is no news any more.
GIVE_UP_AFTER = 3 * 86_400.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notices (
    key TEXT NOT NULL, channel TEXT NOT NULL, body BLOB NOT NULL, taken_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL, delivered_at REAL, gave_up TEXT,
    PRIMARY KEY (key, channel)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting ON notices (due_at) WHERE delivered_at IS NULL AND gave_up IS NULL;
"""


class Refused(NoticeError):
    """The channel did not take it.

    Parameters
    ----------
    again
        Whether another try may help.
    after
        Seconds that the channel asks to wait.
    """

    def __init__(
        self, what: str, *, where: str, fix: str, again: bool = True, after: float = 0.0
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.again, self.after = again, after


class Channel(Protocol):
    """A way to reach people."""

    def send(self, notice: Notice) -> None:
        """Deliver a notice, or leave it if it is none for this channel; may take seconds.

        Raises
        ------
        Refused
            If it was not taken.
        """


class Outbox:
    """Keeps notices in a file until they are delivered.

    Parameters
    ----------
    path
        SQLite file.
    channels
        By name; without any, notices are dropped.
    now
        Seconds since 1970 UTC.
    """

    def __init__(
        self, path: Path, channels: Mapping[str, Channel], *, now: Callable[[], float]
    ) -> None:
        self._path = path
        self._channels = dict(channels)
        self._now = now
        self._news = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        with self._in_plain_words():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=5, check_same_thread=False)
            self._database.executescript(_SCHEMA)
        self._thread = threading.Thread(target=self._run, name="monitor-outbox", daemon=True)

    def put(self, notice: Notice) -> None:
        """Take a notice; one with a key that was taken before is dropped.

        Raises
        ------
        NoticeError
            If the file cannot be written.
        """
        now = self._now()
        body = msgspec.json.encode(notice)
        rows = [(notice.key, channel, body, now, now) for channel in self._channels]
        with self._in_plain_words(), self._lock, self._database:
            self._database.executemany(
                "INSERT OR IGNORE INTO notices (key, channel, body, taken_at, due_at)"
                " VALUES (?, ?, ?, ?, ?)",
                rows,
            )
        self._news.set()

    def start(self) -> None:
        """Deliver from now on, in a thread of its own."""
        self._thread.start()

    def close(self, *, within: float = 5.0) -> None:
        """Stop delivering; what is not delivered stays in the file.

        Parameters
        ----------
        within
            Seconds to wait for a delivery that is under way.
        """
        self._closed.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(within)
        if not self._thread.is_alive():
            self._database.close()

    @property
    def backlog(self) -> int:
        """How many notices wait to be delivered."""
        return len(self._waiting())

    def deliver(self) -> float:
        """Try to deliver what is due; return how many seconds until something else is."""
        for row in self._waiting():
            if row.due_at <= self._now() and not self._closed.is_set():
                self._try(row)
        due = min((row.due_at for row in self._waiting()), default=self._now() + LAST_WAIT)
        return max(due - self._now(), 0.0)

    # ---------------------------------------------------------------------------------------- inside

    def _try(self, row: _Waiting) -> None:
        try:
            self._channels[row.channel].send(msgspec.json.decode(row.body, type=Notice))
        except Refused as refused:
            self._postpone(row, refused)
        except Exception as error:  # noqa: BLE001 - one notice must neither end the thread nor hold up the others
            name = type(error).__name__
            # Where, and not what: the error's own words may quote an address, which may be the password.
            place = "".join(traceback.format_tb(error.__traceback__))
            log.error("a channel broke down", channel=row.channel, error=name, place=place)  # noqa: TRY400
            self._postpone(row, Refused(name, where=row.channel, fix="See the log."))
        else:
            self._write(
                "UPDATE notices SET delivered_at = ?, attempts = attempts + 1"
                " WHERE key = ? AND channel = ?",
                (self._now(), row.key, row.channel),
            )

    def _postpone(self, row: _Waiting, refused: Refused) -> None:
        now = self._now()
        wait = min(FIRST_WAIT * 2 ** min(row.attempts, 20), LAST_WAIT)
        gives_up = not refused.again or now - row.taken_at > GIVE_UP_AFTER
        log.warning(
            "a notice is given up" if gives_up else "a notice has to wait",
            channel=row.channel,
            key=row.key,
            attempts=row.attempts + 1,
            error=str(refused),
        )
        self._write(
            "UPDATE notices SET attempts = attempts + 1, due_at = ?, gave_up = ?"
            " WHERE key = ? AND channel = ?",
            (
                now + max(wait, refused.after),
                str(refused) if gives_up else None,
                row.key,
                row.channel,
            ),
        )

    def _waiting(self) -> list[_Waiting]:
        """Return what waits for a channel that is there, oldest first."""
        with self._in_plain_words(), self._lock:
            rows = self._database.execute(
                "SELECT key, channel, body, taken_at, attempts, due_at FROM notices"
                " WHERE delivered_at IS NULL AND gave_up IS NULL ORDER BY taken_at, key"
            ).fetchall()
        return [row for row in map(_Waiting._make, rows) if row.channel in self._channels]

    def _write(self, statement: str, values: Sequence[object]) -> None:
        with self._in_plain_words(), self._lock, self._database:
            self._database.execute(statement, values)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._news.clear()
            try:
                wait = self.deliver()
            except NoticeError as error:  # a full disk: what was sent may be sent again, later
                log.warning("the outbox cannot be used", error=str(error))
                wait = LAST_WAIT / 10
            self._news.wait(wait)

    @contextlib.contextmanager
    def _in_plain_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise NoticeError(
                f"the outbox cannot be used: {error}",
                where=str(self._path),
                fix="Make room on its disk, or let this user write it.",
            ) from error


class _Waiting(NamedTuple):
    key: str
    channel: str
    body: bytes
    taken_at: float
    attempts: int
    due_at: float

"""Who publishes: a producer id, and sequence numbers that are never used twice.

The worker counts an event only if its sequence is above the highest that it saw from that producer. So a
number that is used twice is an event that is lost, and a number that is never used costs nothing.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec
import uuid_utils

from monitor.errors import SettingsError

_BLOCK = 1 << 20
_MOST_SLOTS = 1024


class _Stored(msgspec.Struct, frozen=True):
    producer_id: str
    reserved: int


class Identity:
    """A producer id and its next sequence.

    Without a directory the id is random and lives as long as the process. With one, the id is kept there,
    and numbers are reserved on disk a million at a time: after a restart the id is the same, and the
    sequence goes on behind the reserved ones.

    Several processes may share a spool directory: each locks a slot of its own (``0``, ``1``, ...) for as
    long as it lives, and with it that slot's id and spooled messages.

    Parameters
    ----------
    directory
        The spool directory, or None.
    producer_id
        A chosen id; it names the slot, so only one process at a time can have it.

    Raises
    ------
    SettingsError
        If the directory cannot be used, or the chosen id is taken by a living process.
    """

    def __init__(self, directory: Path | None, producer_id: str | None = None) -> None:
        self.slot: Path | None = None
        self._lock: int | None = None
        self._next = 0
        self._reserved = 0
        self.producer_id = producer_id or _random_id()
        if directory is None:
            return
        try:
            self.slot, self._lock = _take_slot(directory, producer_id)
            stored = self._load()
            if stored is not None:
                self.producer_id, self._next = stored.producer_id, stored.reserved
            self._reserved = self._next
            self._reserve()
        except OSError as error:
            self.close()
            raise SettingsError(
                f"the spool directory cannot be used ({error.strerror})",
                where=str(directory),
                fix="Name a directory that this process may write to.",
            ) from error

    def next_sequence(self) -> int:
        """Return a number above all that were ever given out under this id."""
        sequence = self._next
        self._next += 1
        if self.slot is not None and sequence >= self._reserved:
            try:
                self._reserve()
            except OSError:
                # The disk is full. A restart would use these numbers again under the stored id;
                # under a new one, which no restart will know, they are safe.
                self.producer_id = _random_id()
                self._reserved += _BLOCK
        return sequence

    def skip_to(self, sequence: int) -> None:
        """Go on at this number at the earliest.

        What was reserved may be forgotten, by a torn file or a full disk, while spooled events still have those numbers;
        new ones must come behind them.

        Raises
        ------
        OSError
            If the reservation cannot be written.
        """
        if sequence > self._next:
            self._next = self._reserved = sequence
            self._reserve()

    def close(self) -> None:
        """Let go of the slot."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _load(self) -> _Stored | None:
        if self.slot is None:
            return None
        try:
            return msgspec.json.decode((self.slot / "producer.json").read_bytes(), type=_Stored)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            # What was reserved is unknown, so the old id must not be used again.
            self.producer_id = _random_id()
            return None

    def _reserve(self) -> None:
        if self.slot is None:
            return
        reserved = self._reserved + _BLOCK
        fresh = self.slot / "producer.json.new"
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(_Stored(self.producer_id, reserved)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.slot / "producer.json")
        directory = os.open(self.slot, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._reserved = reserved


def _random_id() -> str:
    return str(uuid_utils.uuid4())


def _take_slot(directory: Path, producer_id: str | None) -> tuple[Path, int]:
    names = [producer_id] if producer_id else [str(number) for number in range(_MOST_SLOTS)]
    for name in names:
        slot = directory / name
        slot.mkdir(parents=True, exist_ok=True)
        lock = os.open(slot / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        except OSError:
            os.close(lock)
            raise
        return slot, lock
    raise SettingsError(
        "another process publishes from this spool directory under the same producer_id",
        where=f"{directory}: {producer_id or 'all slots'}",
        fix="Leave producer_id out, and each process takes a slot of its own.",
    )

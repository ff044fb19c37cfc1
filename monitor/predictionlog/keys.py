"""Keys: one per day and model for protected attributes, one for subjects, all wrapped by a master key.

A data key lies in a file of its own, wrapped. Rotating the master key wraps these files anew and touches no row.
Deleting a file is for good: what its key sealed cannot be read by anybody.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import os
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import starmap
from operator import add
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from monitor.errors import SettingsError, StoreError

_NONCE = 12
_KEY = 32
_SUBJECTS = "subjects.json"

#: Data keys and pseudonyms remembered.
_CACHE = 10_000


class MasterKey:
    """The key that wraps the others: 256 bits, from a secret store.

    Parameters
    ----------
    text
        32 bytes in base64, such as ``openssl rand -base64 32`` prints.

    Raises
    ------
    SettingsError
        If it is anything else.

    Examples
    --------
    >>> key = MasterKey("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    >>> key.unwrap(key.wrap(b"data key", "a day"), "a day")
    b'data key'
    """

    def __init__(self, text: str) -> None:
        try:
            secret = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != _KEY:
            raise SettingsError(
                "the master key is not 32 bytes in base64",
                where="log.master_key",
                fix="Make one with `openssl rand -base64 32`.",
            )
        self._cipher = AESGCM(secret)
        #: Tells master keys apart, and gives nothing away.
        self.name = hmac.digest(secret, b"name of this master key", "sha256")[:8].hex()

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt a key, bound to what it is for."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, purpose.encode())

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Return the key.

        Raises
        ------
        InvalidTag
            If another master key wrapped it, or for another purpose.
        """
        return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], purpose.encode())


class DataKey:
    """Seals the protected attributes of one day and model.

    Nonces are random: one key is good for 2^32 rows, which are 50,000 a second for a whole day.
    """

    def __init__(self, name: str, secret: bytes) -> None:
        self.name = name
        self._cipher = AESGCM(secret)

    def seal(self, plains: Sequence[bytes], event_ids: Sequence[str]) -> list[bytes]:
        """Encrypt each, bound to its event: another row's value does not open in its place."""
        encrypt = self._cipher.encrypt
        # Drawn at once: asking the system for each costs more than sealing.
        drawn = os.urandom(_NONCE * len(plains))
        nonces = struct.unpack(f"{_NONCE}s" * len(plains), drawn)
        names = map(str.encode, event_ids)
        sealed = starmap(encrypt, zip(nonces, plains, names, strict=True))
        return list(map(add, nonces, sealed))

    def open(self, sealed: bytes, event_id: str) -> bytes:
        """Return what was sealed.

        Raises
        ------
        StoreError
            If it was altered.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], event_id.encode())
        except InvalidTag:
            raise StoreError(
                "the protected attributes were altered: their seal does not hold",
                where=f"event {event_id}",
                fix="Compare the row with the topic, or with a copy.",
            ) from None


class KeyFile(Struct, frozen=True):
    """A wrapped key, as it lies on the disk."""

    purpose: str
    id: str
    master: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What a rotation did: files wrapped anew, and files that were so already."""

    changed: int
    unchanged: int


class KeyRing:
    """The wrapped keys of one prediction log, in a directory.

    Parameters
    ----------
    directory
        Made when it is first written, readable by its owner only.
    master
        Wraps what is written from now on.
    previous
        May still be needed to read: a rotation that is not done yet.
    """

    def __init__(
        self, directory: Path, master: MasterKey, previous: MasterKey | None = None
    ) -> None:
        self._directory = directory
        self._master = master
        self._masters = {key.name: key for key in (master, previous) if key is not None}
        self._known: dict[tuple[dt.date, str], DataKey] = {}
        self._pseudonyms: dict[str, str] = {}
        self._subjects: bytes | None = None

    def key(self, date: dt.date, model: str) -> DataKey:
        """Return the key of a day and model, made if there is none.

        Raises
        ------
        StoreError
            If its file cannot be read or written.
        SettingsError
            If another master key wrapped it.
        """
        known = self._known.get((date, model))
        if known is None:
            if len(self._known) >= _CACHE:
                self._known.clear()
            known = DataKey(*self._make(_place(date, model), _purpose(date, model)))
            self._known[date, model] = known
        return known

    def find(self, date: dt.date, model: str) -> DataKey | None:
        """Return the key of a day and model as it lies on the disk; None if it was destroyed, or never made."""
        found = self._read(_place(date, model), _purpose(date, model))
        return None if found is None else DataKey(*found)

    def destroy(self, date: dt.date, model: str) -> bool:
        """Delete a day's key for good; False if there was none.

        Raises
        ------
        StoreError
            If it cannot be deleted.
        """
        self._known.pop((date, model), None)
        path = self._directory / _place(date, model)
        with _plainly(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            _sync(path.parent)
        return True

    def days(self, model: str) -> list[dt.date]:
        """Return the days of which a model has a key, oldest first."""
        name = _file_name(model)
        with _plainly(self._directory):
            found = [path.parent.name for path in self._directory.glob(f"*/{name}")]
        return sorted(dt.date.fromisoformat(day) for day in found)

    def pseudonym(self, subject: str) -> str:
        """Return the keyed hash under which a subject's rows stand: 32 hexadecimal digits.

        It outlives rotations of the master key.
        """
        known = self._pseudonyms.get(subject)
        if known is None:
            if self._subjects is None:
                _, self._subjects = self._make(_SUBJECTS, _SUBJECTS)
            if len(self._pseudonyms) >= _CACHE:
                self._pseudonyms.clear()
            digest = hmac.digest(self._subjects, subject.encode(), "sha256")
            known = self._pseudonyms[subject] = digest[:16].hex()
        return known

    def pseudonyms(self, subjects: Sequence[str | None]) -> list[str | None]:
        """Return the pseudonyms of many; None has none. Errors as of `pseudonym`."""
        look_up: Any = self._pseudonyms.get  # None has none
        found = list(map(look_up, subjects))
        if None in found:
            return [
                known or (None if subject is None else self.pseudonym(subject))
                for known, subject in zip(found, subjects, strict=True)
            ]
        return found

    def rewrap(self) -> Rewrapped:
        """Wrap every key with the present master key; no row is touched.

        It may be broken off, and run again; readers need the previous master key until it is through.

        Raises
        ------
        StoreError
            Naming the first file that neither master key opens.
        """
        changed = unchanged = 0
        with _plainly(self._directory):
            paths = sorted(self._directory.glob("**/*.json"))
        for path in paths:
            with _plainly(path):
                file = _decode(path.read_bytes(), path)
            if file.master == self._master.name:
                unchanged += 1
                continue
            secret = self._unwrap(file, path)
            again = KeyFile(
                file.purpose, file.id, self._master.name, self._master.wrap(secret, file.purpose)
            )
            with _plainly(path):
                fresh = _write_beside(path, again)
                fresh.replace(path)
                _sync(path.parent)
            changed += 1
        return Rewrapped(changed, unchanged)

    def _make(self, place: str, purpose: str) -> tuple[str, bytes]:
        """Return a key's id and secret; whoever is first makes it, and the others read it."""
        found = self._read(place, purpose)
        if found is not None:
            return found
        path = self._directory / place
        name, secret = os.urandom(8).hex(), AESGCM.generate_key(8 * _KEY)
        file = KeyFile(purpose, name, self._master.name, self._master.wrap(secret, purpose))
        with _plainly(path):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            fresh = _write_beside(path, file)
            try:
                os.link(fresh, path)  # unlike a rename, it never takes another's place
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
            _sync(path.parent)
            _sync(self._directory)
        made = self._read(place, purpose)
        assert made is not None, "a key that was just made is there"
        return made

    def _read(self, place: str, purpose: str) -> tuple[str, bytes] | None:
        path = self._directory / place
        with _plainly(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
        file = _decode(data, path)
        if file.purpose != purpose:
            raise StoreError(f"this is the key of {file.purpose}", where=str(path))
        return file.id, self._unwrap(file, path)

    def _unwrap(self, file: KeyFile, path: Path) -> bytes:
        master = self._masters.get(file.master)
        if master is None:
            raise SettingsError(
                f"another master key wrapped it: {file.master}, not {' or '.join(self._masters)}",
                where=str(path),
                fix="Set log.master_key to that key; while rotating, log.previous_master_key.",
            )
        try:
            return master.unwrap(file.wrapped, file.purpose)
        except InvalidTag:
            raise StoreError(
                "the wrapped key was altered", where=str(path), fix="Restore the file."
            ) from None


def _purpose(date: dt.date, model: str) -> str:
    return f"{date} {model}"


def _place(date: dt.date, model: str) -> str:
    return f"{date}/{_file_name(model)}"


def _file_name(model: str) -> str:
    """Return a name that any model has, that people recognise, and no other model shares."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", model)[:40]
    return f"{plain}-{hashlib.sha256(model.encode()).hexdigest()[:16]}.json"


def _write_beside(path: Path, file: KeyFile) -> Path:
    fresh = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(msgspec.json.encode(file) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    return fresh


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _decode(data: bytes, path: Path) -> KeyFile:
    try:
        return msgspec.json.decode(data, type=KeyFile)
    except msgspec.DecodeError as error:
        raise StoreError(
            f"it is no key file: {error}", where=str(path), fix="Restore it."
        ) from error


@contextmanager
def _plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"a key cannot be read or written: {error.strerror or error}",
            where=str(path),
            fix="Make room on its disk, or let this user in (log.keys).",
        ) from error

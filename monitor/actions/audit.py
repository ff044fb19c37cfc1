"""The record of decisions: lines that each hold the hash of the one before.

Whoever alters, drops or reorders a line breaks the chain from there on. What a chain cannot show by itself is that
its last lines were cut off: keep its head (`Chain.head`) somewhere else, or compare it with topic ``decisions``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from monitor.errors import AuditChainBroken, StoreError
from monitor.reports import Decision, as_dict

#: What the first line calls the one before it.
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Chain:
    """What a record that is in order looks like.

    Attributes
    ----------
    links
        How many lines it has.
    head
        The last line's sha256.
    torn
        Bytes after the last line: a write that was interrupted, and never acknowledged.
    """

    links: int
    head: str
    torn: int = 0


class AuditRecord:
    """An append-only file of JSON lines: seq, at, prev, body, sha256.

    Several processes may append: the file is locked for each line, and its end is read anew.

    Parameters
    ----------
    path
        Made if it is missing, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_to = 0
        self._ids: set[str] = set()

    def add(self, decision: Decision) -> None:
        """Write a decision, unless it is in the record already; when this returns, it is on the disk.

        Raises
        ------
        StoreError
            If it cannot be written.
        AuditChainBroken
            If the last line was altered: what is added to it would prove nothing.
        """
        with self._locked() as file:
            self._learn(file)
            if decision.decision_id not in self._ids:
                self._append(file, decision.at, as_dict(decision))
                self._learn(file)

    def write(self, at: float, body: Mapping[str, Any]) -> None:
        """Write anything else that belongs on record; errors as in `add`.

        Parameters
        ----------
        at
            Seconds since 1970 UTC.
        body
            JSON values.
        """
        with self._locked() as file:
            self._append(file, at, body)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
        except OSError as error:
            raise StoreError(
                f"the audit record cannot be written: {error.strerror or error}",
                where=str(self.path),
                fix="Make room on its disk, or let this user write it (audit.path).",
            ) from error

    def _append(self, file: BinaryIO, at: float, body: Mapping[str, Any]) -> None:
        end, last = _last_line(file)
        if last is None:
            seq, prev = 0, GENESIS
        else:
            link = _read_link(last, self.path, "its last line")
            seq, prev = link["seq"] + 1, link["sha256"]
        line = _line({"seq": seq, "at": at, "prev": prev, "body": body})
        file.truncate(end)  # what a crash left after the last line was never acknowledged
        file.seek(end)
        written = file.write(line)
        if written != len(line):  # a full disk may take a part; the next writer cuts it off
            raise OSError(None, f"only {written} of {len(line)} bytes were taken")
        os.fsync(file.fileno())

    def _learn(self, file: BinaryIO) -> None:
        """Read the ids of the decisions that were added since the last look, by whichever process."""
        if file.seek(0, os.SEEK_END) < self._read_to:  # another file by now
            self._read_to = 0
            self._ids.clear()
        file.seek(self._read_to)
        whole, newline, _ = file.read().rpartition(b"\n")
        for number, line in enumerate(whole.splitlines()):
            body = _read_link(line, self.path, f"line {number} of the new ones")["body"]
            if isinstance(body, dict) and "decision_id" in body:
                self._ids.add(body["decision_id"])
        self._read_to += len(whole) + len(newline)


def verify(path: Path) -> Chain:
    """Prove the chain from its first line to its last.

    Raises
    ------
    AuditChainBroken
        Naming the first bad line.
    StoreError
        If the file cannot be read.
    """
    prev, links = GENESIS, 0
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return Chain(links, prev, torn=len(line))
                where = f"line {links + 1}"
                link = _read_link(line, path, where)
                if link["seq"] != links:
                    raise _broken(path, f"{where} is number {link['seq']}, not {links}")
                if link["prev"] != prev:
                    raise _broken(path, f"{where} does not follow the line before it")
                prev, links = link["sha256"], links + 1
    except OSError as error:
        raise StoreError(
            f"the audit record cannot be read: {error.strerror or error}",
            where=str(path),
            fix="Check audit.path.",
        ) from error
    return Chain(links, prev)


def _line(link: Mapping[str, Any]) -> bytes:
    return _canonical({**link, "sha256": _hash_of(link)}) + b"\n"


def _hash_of(link: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(link)).hexdigest()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _read_link(line: bytes, path: Path, where: str) -> dict[str, Any]:
    try:
        link = json.loads(line)
        named = link.pop("sha256")
        found = _hash_of(link)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _broken(path, f"{where} is no link of a chain") from error
    if named != found or {"seq", "at", "prev", "body"} - link.keys():
        raise _broken(path, f"{where} was altered: its hash is not that of what it says")
    return {**link, "sha256": named}


def _last_line(file: BinaryIO) -> tuple[int, bytes | None]:
    """Return where the last whole line ends, and the line."""
    size = file.seek(0, os.SEEK_END)
    tail, step = b"", 1 << 16
    begin = size
    while begin > 0:
        begin = max(0, begin - step)
        file.seek(begin)
        tail = file.read(size - begin)
        end = tail.rfind(b"\n")
        if end >= 0 and (start := tail.rfind(b"\n", 0, end)) >= 0:
            return begin + end + 1, tail[start + 1 : end]
    end = tail.rfind(b"\n")
    return (end + 1, tail[:end]) if end >= 0 else (0, None)


def _broken(path: Path, what: str) -> AuditChainBroken:
    fix = "Keep the file as it is, find out who altered it, and compare it with topic decisions."
    return AuditChainBroken(what, where=str(path), fix=fix)

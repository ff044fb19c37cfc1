"""Predictions and an empty prediction log for tests."""

from __future__ import annotations

import base64
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

from deltalake import WriterProperties

from monitor.events import JSON_CONTENT, HumanOverride, PredictionEvent, encode
from monitor.predictionlog.archiver import Gathered
from monitor.predictionlog.keys import KeyRing, MasterKey
from monitor.predictionlog.log import PredictionLog
from monitor.predictionlog.messages import Message
from monitor.predictionlog.rows import Rows
from monitor.predictionlog.table import PredictionTable

TOPIC = "predictions"
SOURCE = f"{TOPIC}-0"
TODAY = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)

#: So that a search through a file's bytes finds what is in it.
PLAIN = WriterProperties(compression="UNCOMPRESSED")


def master_key() -> MasterKey:
    return MasterKey(base64.b64encode(os.urandom(32)).decode())


def event(index: int, **said) -> PredictionEvent:
    """The prediction of one person in ten, every twelve hours into the past."""
    return PredictionEvent(
        **{
            "event_id": f"event-{index}",
            "prediction_id": f"prediction-{index}",
            "event_time": TODAY - dt.timedelta(hours=12 * index),
            "model_name": "team's/credit",
            "model_version": str(1 + index % 2),
            "run_id": "run-1",
            "features": {"age": 20 + index % 50, "region": "north" if index % 3 else "south"},
            "prediction": index % 2,
            "score": index / 1000,
            "groups": {"sex": "Frau" if index % 2 else "Mann"},
            "subject": f"person-{index % 10}",
            "session_id": f"session-of-person-{index % 10}",
        }
        | said
    )


def message(event: PredictionEvent, offset: int = 0) -> Message:
    return Message(
        TOPIC, 0, offset, TODAY.timestamp(), event.version.key, encode(event), JSON_CONTENT
    )


def gather(rows: Gathered, *messages: Message) -> None:
    """Have messages taken, or say what is wrong with the first that is not."""
    for _, fault in sorted(rows.add(messages).items()):
        raise fault


class World:
    """A prediction log in a directory, with all that was recorded of its use."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.master = master_key()
        self.keys = KeyRing(directory / "keys", self.master)
        self.table = PredictionTable(str(directory / "log"), writer=PLAIN)
        self.table.create()
        self.rows = Rows(self.keys)
        self.recorded: list[dict] = []
        self.log = self.log_with(self.keys)
        self.offset = -1

    def log_with(self, keys: KeyRing | None) -> PredictionLog:
        return PredictionLog(
            self.table,
            keys,
            lambda _, body: self.recorded.append(dict(body)),
            actor="tester",
            now=TODAY.timestamp,
        )

    def write(self, *events: PredictionEvent) -> None:
        """Archive events, in a commit of their own."""
        held = self.table.positions([SOURCE])
        first = self.offset + 1
        self.offset += len(events)
        gather(self.rows, *(message(one, first + at) for at, one in enumerate(events)))
        self.table.append(self.rows.take(), {SOURCE: self.offset}, held)

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Every file of the log and its keys, with its bytes."""
        for path in self.directory.rglob("*"):
            if path.is_file():
                yield path, path.read_bytes()

    def holds(self, text: str) -> bool:
        """Whether any file has these bytes."""
        return any(text.encode() in data for _, data in self.files())


OVERRIDE = HumanOverride(
    decision="granted", reviewer="officer-7", reason="papers came late", at=TODAY
)

"""Follows what the monitor publishes: reports, verdicts, decisions."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection
from typing import Any

import msgspec
from confluent_kafka import Consumer

from monitor.demo.stack import MODEL
from monitor.reports import Basis, Decision, Report, Stage, Verdict
from monitor.settings import Kafka, Topics

_TYPES: dict[str, Any] = {"reports": Report, "verdicts": Verdict, "decisions": Decision}


class Watch:
    """Reads the monitor's topics in the background.

    Parameters
    ----------
    versions
        Of the demo's model: servers that ran before may hold other stories.

    Attributes
    ----------
    reports
        Latest revision of each window's report, by its id.
    labelled
        The same, on the basis of labels.
    heard_at
        When each report was first written, seconds since 1970 UTC, by its id.
    """

    def __init__(self, kafka: Kafka, topics: Topics, versions: Collection[str]) -> None:
        self._versions = frozenset(versions)
        names = topics.names()
        self._what = {names[what]: what for what in _TYPES}
        self._consumer = Consumer(
            kafka.confluent()
            | {
                "group.id": f"demo-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.reports: dict[str, Report] = {}
        self.labelled: dict[str, Report] = {}
        self.heard_at: dict[str, float] = {}
        self.verdicts: list[Verdict] = []
        self.decisions: list[Decision] = []

    def start(self) -> None:
        """Begin reading, from the beginning."""
        self._consumer.subscribe(list(self._what))
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def windows(self, version: str) -> list[Report]:
        """Return a version's reports, oldest window first."""
        mine = [report for report in list(self.reports.values()) if report.version == version]
        return sorted(mine, key=lambda report: report.window)

    def decision(self, stage: Stage) -> Decision | None:
        """Return the first decision of a stage."""
        return next((d for d in list(self.decisions) if d.stage is stage), None)

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.2)
            body = None if message is None or message.error() else message.value()
            if message is None or body is None:
                continue
            value = msgspec.json.decode(body, type=_TYPES[self._what[str(message.topic())]])
            if not self._is_mine(value):
                continue
            if isinstance(value, Report):
                if value.basis is Basis.LABELLED:
                    self.labelled[value.id] = value
                    continue
                known = self.reports.get(value.id)
                if known is None or known.revision < value.revision:
                    self.reports[value.id] = value
                self.heard_at.setdefault(value.id, message.timestamp()[1] / 1000)
            elif isinstance(value, Verdict):
                self.verdicts.append(value)
            else:
                self.decisions.append(value)

    def _is_mine(self, value: Report | Verdict | Decision) -> bool:
        version = value.from_version if isinstance(value, Decision) else value.version
        return value.model == MODEL and version in self._versions

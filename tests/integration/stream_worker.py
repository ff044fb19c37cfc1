"""A worker process for the stream tests: the real stream room around an engine that only counts.

Run as ``python stream_worker.py BOOTSTRAP APP [FLAG...]``.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec
import structlog

from monitor.engine.intake import FORWARDED_HEADER
from monitor.engine.records import Forward, Outbox, Vitals
from monitor.errors import RegistryUnavailable
from monitor.events import ModelVersion
from monitor.reports import DeadLetter, Report, Severity, Status, Window
from monitor.stream import StreamOptions, TopicNames, run_worker


class Counted(msgspec.Struct):
    position: int = 0
    count: int = 0
    total: int = 0
    idle: float = 0.0


@dataclass
class CountingEngine:
    """Counts and sums records whose value is a number and whose key is the number of their partition.

    Every `take` reports what was counted since the one before, so that the reports add up to the state.
    """

    partition: int
    counted: Counted = field(default_factory=Counted)
    reported: int = 0
    poison: bytes = b""
    blocked: set[ModelVersion] = field(default_factory=set)

    @property
    def position(self) -> int:
        return self.counted.position

    @property
    def vitals(self) -> Vitals:
        return Vitals({"counted": self.counted.count})

    @property
    def due(self) -> bool:
        return self.counted.count - self.reported >= 50_000

    def restore(self, state):
        if b"counted" in state:
            self.counted = msgspec.json.decode(state[b"counted"], type=Counted)
            self.reported = self.counted.count
        self.outbox = Outbox()

    def versions(self, records):
        if any(record.value == b"-1" for record in records):
            return {ModelVersion("blocked", "1")} - self.blocked
        return set()

    def was_asked_after(self, version):
        return False

    def learn(self, version, baseline):
        self.blocked.add(version)

    def fold(self, records):
        here = str(self.partition).encode()
        counted = self.counted
        for record in records:
            if record.key != here and all(name != FORWARDED_HEADER for name, _ in record.headers):
                self.outbox.forwards.append(Forward(record, int(record.key)))
            elif self.poison and record.value == self.poison:
                msg = "poison"
                raise RuntimeError(msg)
            elif not record.value.lstrip(b"-").isdigit():
                self.outbox.dead_letters.append(
                    DeadLetter(
                        topic="predictions",
                        partition=self.partition,
                        offset=record.offset,
                        field="$",
                        reason="no number",
                        at=time.time(),
                        key=record.key,
                        value=record.value,
                    )
                )
            else:
                counted.count += 1
                counted.total += int(record.value)
        counted.position = records[-1].offset + 1

    def idle(self, seconds):
        self.counted.idle += seconds
        sys.stdout.write(f"idle {self.partition} {self.counted.idle}\n")
        sys.stdout.flush()

    def take(self):
        outbox, self.outbox = self.outbox, Outbox()
        outbox.position = self.position
        outbox.state[b"counted"] = msgspec.json.encode(self.counted)
        if self.counted.count > self.reported:
            outbox.reports.append(
                Report(
                    model="counted",
                    version=str(self.partition),
                    window=Window(self.reported, self.counted.count),
                    revision=0,
                    status=Status.OK,
                    severity=Severity.PASS,
                    n=self.counted.count - self.reported,
                    n_reference=0,
                )
            )
        self.reported = self.counted.count
        return outbox


@dataclass
class Kafka:
    bootstrap: str

    def aiokafka(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.bootstrap}


class Source:
    """Has no baseline for anybody; `blocked/1` cannot even be asked for."""

    def baseline(self, version):
        if version.model == "blocked":
            raise RegistryUnavailable("the registry does not answer")


def main(bootstrap: str, app: str, *flags: str) -> int:
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stdout, format="%(asctime)s %(name)s %(message)s"
    )
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stdout))
    poison = next((flag.encode() for flag in flags), b"")
    options = StreamOptions(
        app=app,
        topics=TopicNames(**{f.name: f"{app}-{f.default}" for f in fields(TopicNames)}),
        snapshot_seconds=0.5,
        session_seconds=6.0,
        heartbeat_seconds=0.5,
        transaction_seconds=10.0,
        idle_seconds=3.0,
    )

    def make_engine(partition: int, partitions: int) -> CountingEngine:
        return CountingEngine(partition, poison=poison)

    return run_worker(Kafka(bootstrap), options, make_engine, Source())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

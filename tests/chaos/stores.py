"""InfluxDB down, slow, and answering 500, 401, and 400 for one point: lag, and then every report once."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from confluent_kafka import Producer
from msgspec.structs import replace

from monitor.bootstrap import make_topics
from monitor.reports import Report, Severity, Status, Window, encode
from monitor.stores.influx import InfluxStore
from monitor.testing import until
from tests.chaos.outcome import Fault, Outcome, Servers
from tests.chaos.proxy import Mood, Proxy, Request, answering, gone, passing, slow
from tests.deployment import Deployment

PATIENCE = 240.0

#: A model whose points InfluxDB is made to refuse.
CURSED = "cursed"

_NO = b'{"code": "invalid", "message": "field type conflict"}'


@dataclass
class Desk:
    """Reports on their way into a real InfluxDB, through a proxy."""

    deployment: Deployment
    proxy: Proxy
    store: InfluxStore
    producer: Producer
    latest: dict[str, Report] = field(default_factory=dict)
    sent: int = 0

    def publish(self, count: int) -> None:
        """Reports of the next windows of a model; each fourth of them once more, revised."""
        for _ in range(count):
            number = self.sent % 4 and len(self.latest)
            known = list(self.latest.values())
            if known and self.sent % 4 == 3:
                report = replace(known[-1], revision=known[-1].revision + 1, n=known[-1].n + 1)
            else:
                report = self.report("credit", number)
            self._send(report)

    def report(self, model: str, number: int) -> Report:
        start = 1_700_000_000.0 + 300 * self.sent
        return Report(
            model=f"{model}-{self.deployment.settings.stream.app}",
            version="7",
            window=Window(start, start + 300),
            revision=0,
            status=Status.OK,
            severity=Severity.PASS,
            n=1000 + number,
            n_reference=5000,
        )

    def _send(self, report: Report) -> None:
        self.sent += 1
        self.latest[report.id] = report
        self.producer.produce(self.deployment.topic("reports"), encode(report), partition=0)
        assert self.producer.flush(60) == 0

    def kept(self) -> list[Report]:
        model = f"credit-{self.deployment.settings.stream.app}"
        return self.store.reports(model, since=1_600_000_000.0, limit=10_000)

    @property
    def expected(self) -> dict[str, Report]:
        return {id_: r for id_, r in self.latest.items() if not r.model.startswith(CURSED)}

    def caught_up(self) -> bool:
        return {report.id: report for report in self.kept()} == self.expected

    def outcome(self, *, tried: int, recovered_s: float, wrong: tuple[str, ...] = ()) -> Outcome:
        kept = self.kept()
        found = {report.id: report for report in kept}
        return Outcome(
            tried=tried,
            events=len(self.expected),
            lost=sum(found.get(id_) != report for id_, report in self.expected.items()),
            doubled=len(kept) - len(found),
            recovered_s=recovered_s,
            revised=sum(report.revision > 0 for report in self.expected.values()),
            what="reports",
            wrong=wrong,
        )


@contextmanager
def desk(servers: Servers, folder: Path) -> Iterator[Desk]:
    influx = servers.influx
    with Proxy(influx.url) as proxy:
        deployment = Deployment(
            servers.kafka,
            servers.mlflow,
            folder,
            "",
            MONITOR_STORE__KIND="influx",
            MONITOR_STORE__INFLUX__URL=proxy.url,
            MONITOR_STORE__INFLUX__ORG=influx.org,
            MONITOR_STORE__INFLUX__BUCKET=influx.bucket,
            MONITOR_STORE__INFLUX__TOKEN=influx.token,
            MONITOR_STREAM__APP=f"desk-{uuid.uuid4().hex[:8]}",
        )
        make_topics(deployment.settings)
        store = InfluxStore(
            influx.url, org=influx.org, bucket=influx.bucket, token=influx.token, timeout=60
        )
        producer = Producer(deployment.settings.kafka.confluent())
        made = Desk(deployment, proxy, store, producer)
        deployment.run("act")
        try:
            made.publish(6)
            until(made.caught_up, deadline=PATIENCE, pause=0.3)
            yield made
        finally:
            deployment.stop()
            store.close()


def in_trouble(mood: Mood, servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Reports come while InfluxDB is in trouble; then it is well again."""
    with desk(servers, folder) as here:
        here.proxy.mood = mood
        here.publish(20)
        until(lambda: here.proxy.troubled >= 2, deadline=PATIENCE)
        here.publish(20)
        threading.Event().wait(dice.uniform(1, 3))
        here.proxy.mood = passing
        well = time.monotonic()
        until(here.caught_up, deadline=PATIENCE, pause=0.3)
        return here.outcome(tried=1, recovered_s=time.monotonic() - well)


def down(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """The real influxd is killed, and started again."""
    with desk(servers, folder) as here:
        for _ in range(2):
            servers.influx.kill()
            here.publish(20)
            threading.Event().wait(dice.uniform(2, 5))
            servers.influx.start()
            well = time.monotonic()
            until(here.caught_up, deadline=PATIENCE, pause=0.3)
        return here.outcome(tried=2, recovered_s=time.monotonic() - well)


def slow_answers(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Each answer takes seconds."""
    with desk(servers, folder) as here:
        here.proxy.mood = slow(dice.uniform(0.5, 1.5))
        here.publish(8)
        began = time.monotonic()
        until(here.caught_up, deadline=PATIENCE, pause=0.3)
        return here.outcome(tried=1, recovered_s=time.monotonic() - began)


def one_bad_point(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """400 for the points of one report: set aside with the reason, the rest written."""

    def mood(request: Request):
        cursed = "/write" in request.path and CURSED.encode() in request.body
        return answering(400, _NO)(request) if cursed else None

    with desk(servers, folder) as here:
        here.proxy.mood = mood
        here.publish(10)
        here._send(here.report(CURSED, 0))
        here.publish(10)
        began = time.monotonic()
        until(here.caught_up, deadline=PATIENCE, pause=0.3)
        said = [line for line in here.deployment.logs().splitlines() if "set_aside" in line]
        good = said and all(CURSED in line and "field type conflict" in line for line in said)
        wrong = () if good else (f"not set aside with its reason: {said}",)
        return here.outcome(tried=1, recovered_s=time.monotonic() - began, wrong=wrong)


FAULTS: dict[str, Fault] = {
    "InfluxDB is killed": down,
    "InfluxDB is gone": partial(in_trouble, gone),
    "InfluxDB answers 500": partial(in_trouble, answering(500)),
    "InfluxDB answers 401": partial(in_trouble, answering(401)),
    "InfluxDB is slow": slow_answers,
    "InfluxDB refuses one point": one_bad_point,
}

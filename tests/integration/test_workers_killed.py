"""Whatever happens to the workers, the reports say what an offline computation over all events says."""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Producer

from monitor.desk.tables import Roles
from monitor.events import ModelVersion, PredictionEvent, cloud_event_headers, encode, new_event_id
from monitor.policy.load import parse_policy
from monitor.publish import PredictionPublisher
from monitor.reports import DeadLetter, Report, Status
from monitor.stream.partitioner import partition_of
from monitor.testing import until
from tests.deployment import Deployment, kill_worker, register
from tests.offline import check_counts, check_measures

pytestmark = pytest.mark.kafka

POLICY = """
defaults:
  action: record
  windows: {length: 60s, grace: 20s, allowed_lateness: 1h, min_events: 200, max_length: 5m}
  fairness: {favourable: "1"}
"""
ROLES = Roles("prediction", "score", groups=("sex", "region"))
PARTITIONS = 4

#: Of event time, in seconds: from one step of the traffic to the next, one window, what is too late for ever.
STEP, WINDOW, FOR_EVER = 1.5, 60.0, 7200.0

#: Of our time, in seconds: the event clock runs 30 times as fast.
PAUSE = 0.05


def people(n: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    income = draw.lognormal(3, 0.8, n)
    score = 1 / (1 + np.exp(-(np.log(income) - 3) - draw.normal(0, 0.5, n)))
    return pd.DataFrame(
        {
            "age": draw.integers(18, 90, n),
            "income": np.where(draw.random(n) < 0.03, np.nan, income),
            "town": draw.choice(["Ulm", "Bonn", "Kiel", "Trier"], n, p=[0.5, 0.3, 0.15, 0.05]),
            "member": draw.random(n) < 0.4,
            "score": score,
            "prediction": (score > 0.5).astype(int),
            "sex": draw.choice(["f", "m"], n),
            "region": draw.choice(["east", "north", "west"], n, p=[0.6, 0.37, 0.03]),
        }
    )


class Line:
    """One model version's part of the traffic, and which of its events must be counted."""

    def __init__(self, subject: ModelVersion, per_step: float, start: float, seed: int) -> None:
        self.subject = subject
        self.per_step = per_step
        self.start = start
        self.frame = people(40_000, seed)
        self.rows = self.frame.astype(object).where(self.frame.notna(), None).to_dict("records")
        self.used = 0
        self.counted: list[tuple[float, int]] = []
        self.closed_at = 0.0

    def event(self, at: float) -> PredictionEvent:
        """The next person, asked about at this event time."""
        row = self.rows[self.used]
        self.used += 1
        return PredictionEvent(
            event_id=new_event_id(),
            prediction_id="p",
            event_time=dt.datetime.fromtimestamp(at, dt.UTC),
            model_name=self.subject.model,
            model_version=self.subject.version,
            features={name: row[name] for name in ("age", "income", "town", "member")},
            prediction=row["prediction"],
            score=row["score"],
            groups={"sex": row["sex"], "region": row["region"]},
        )

    def count(self, event: PredictionEvent) -> None:
        """The event given out last is to be counted."""
        self.counted.append((event.event_time.timestamp(), self.used - 1))


class Traffic(threading.Thread):
    """Many versions at once: out of order, twice, late, too late, from the future, garbled, in wrong partitions."""

    def __init__(self, deployment: Deployment, lines: list[Line], seed: int) -> None:
        super().__init__(daemon=True)
        self.deployment, self.lines = deployment, lines
        self.dice = random.Random(seed)
        self.over = threading.Event()
        self.refused: Counter[bytes] = Counter()
        self.steps = 0
        self.twice = 0
        self.topic = deployment.topic("predictions")
        kafka = deployment.settings.kafka.confluent()
        self.publisher = PredictionPublisher(kafka["bootstrap.servers"], topic=self.topic)
        #: Another team's logger: some of its records have a sequence, some have none, and its partitioner is another.
        self.logger = Producer({**kafka, "enable.idempotence": True})
        self.sequence = 0
        self.again: list[tuple[bytes, bytes, list[tuple[str, bytes]]]] = []
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self.over.wait(PAUSE):
                for line in self.lines:
                    self._step(line)
                if self.steps == 300:
                    self._replay()
                self.steps += 1
            for key, value, headers in self.again:
                self._log(key, value, headers)
            assert self.publisher.flush(30)
            assert self.logger.flush(30) == 0
            self._close_windows()
        except Exception as error:
            self.failure = error
            raise

    def end(self) -> None:
        self.over.set()
        self.join(60)
        assert not self.is_alive()
        assert self.failure is None

    def _step(self, line: Line) -> None:
        clock = line.start + self.steps * STEP
        many = int(line.per_step) + (self.dice.random() < line.per_step % 1)
        for _ in range(many):
            chance = self.dice.random()
            if self.steps > 200 and chance < 0.004:
                self._publish(line, clock - 3 * WINDOW)
            elif self.steps > 200 and chance < 0.005:
                self._refuse(line.event(clock - FOR_EVER))
            elif chance < 0.006:
                self._refuse(line.event(dt.datetime(2099, 1, 1, tzinfo=dt.UTC).timestamp()))
            elif chance < 0.05:
                self._through_the_logger(line, clock)
            else:
                self._publish(line, clock + self.dice.uniform(-8, 8))
        if many and self.steps % 50 == 7:
            self._garble(line, clock)

    def _publish(self, line: Line, at: float) -> None:
        event = line.event(at)
        line.count(event)
        self.publisher.publish(event)

    def _refuse(self, event: PredictionEvent) -> None:
        self.refused[encode(event)] += 1
        self.publisher.publish(event)

    def _garble(self, line: Line, clock: float) -> None:
        unreadable, incomplete, mistyped = (encode(line.event(clock)) for _ in range(3))
        for value in (
            unreadable[:-1],
            incomplete.replace(b'"features"', b'"festures"'),
            mistyped.replace(b'"age":', b'"age":"old","was":'),
        ):
            self.refused[value] += 1
            self._log(line.subject.key, value, [])

    def _through_the_logger(self, line: Line, clock: float) -> None:
        event = line.event(clock)
        line.count(event)
        key, value = line.subject.key, encode(event)
        headers = cloud_event_headers(event.event_id, event.event_time, "/logger")
        home = partition_of(key, PARTITIONS)
        kind = self.dice.randrange(4)
        if kind < 2:  # with a sequence, and every other time in another partition
            headers += [("producer_id", b"logger"), ("sequence", str(self.sequence).encode())]
            self.sequence += 1
        self._log(key, value, headers, (home + kind % 2) % PARTITIONS)
        if kind == 2:  # without a sequence: its id tells that it comes twice
            self.again.append((key, value, headers))
        if len(self.again) > 20:
            self.twice += 1
            self._log(*self.again.pop(0))

    def _log(self, key: bytes, value: bytes, headers: list, partition: int | None = None) -> None:
        place = partition_of(key, PARTITIONS) if partition is None else partition
        self.logger.produce(self.topic, value, key=key, headers=headers, partition=place)
        self.logger.poll(0)

    def _replay(self) -> None:
        """Publish what the publisher published again, bytes and headers: as after a timeout, from a spool."""
        mine = self.publisher.producer_id.encode()
        for record in self.deployment.records("predictions", 5_000):
            headers = record.headers() or []
            if ("producer_id", mine) in headers:
                self.twice += 1
                self._log(record.key(), record.value(), headers, record.partition())

    def _close_windows(self) -> None:
        """One event of each version that is so much later that all windows before it close."""
        for line in self.lines:
            line.closed_at = line.start + self.steps * STEP + 10 * WINDOW
            self.publisher.publish(line.event(line.closed_at))
        assert self.publisher.flush(30)
        counts = self.publisher.counts
        assert counts.delivered == counts.accepted, counts
        self.publisher.close()


class World:
    """A deployment under load, its versions, and the proof at the end."""

    def __init__(self, deployment: Deployment, uri: str, seed: int) -> None:
        self.deployment = deployment
        self.dice = random.Random(seed)
        self.policy = parse_policy(POLICY, where="test")
        word = uuid.uuid4().hex[:6]
        start = (time.time() - 3 * 3600) // WINDOW * WINDOW
        self.lines, self.baselines = [], {}
        for model, version, per_step in (
            ("credit", "1", 12), ("credit", "2", 12), ("fraud", "1", 12), ("churn", "1", 2.6), ("churn", "9", 8),
        ):  # fmt: skip
            subject = ModelVersion(f"{model}-{word}", version)
            self.lines.append(Line(subject, per_step, start, len(self.lines)))
            if version != "9":
                reference = people(4_000, 100 + len(self.lines))
                self.baselines[subject] = register(
                    uri, subject, frame=reference, roles=ROLES, policy=self.policy.of(model)
                )
        self.traffic = Traffic(deployment, self.lines, seed)

    def begin(self) -> None:
        until(lambda: self.deployment.has_topics, deadline=60)
        self.traffic.start()
        until(lambda: self.reports, deadline=60, what="a first report")

    @property
    def reports(self) -> list[Report]:
        return self.deployment.values("reports", Report)

    def latest(self, line: Line) -> list[Report]:
        """The latest revisions of a version's reports, but for that of the event that closed the others."""
        mine = [
            r for r in self.reports if r.subject == line.subject and r.window.end <= line.closed_at
        ]
        latest = {r.id: r for r in sorted(mine, key=lambda report: report.revision)}
        return sorted(latest.values(), key=lambda report: report.window)

    def finish(self) -> None:
        """End the traffic; wait until as many events are reported as must be counted."""
        until(lambda: self.traffic.steps > 320, deadline=60)
        self.traffic.end()
        missing: dict[str, int] = {}

        def all_are_reported() -> bool:
            for line in self.lines:
                reported = sum(report.n for report in self.latest(line))
                missing["/".join(line.subject)] = len(line.counted) - reported
            return all(n <= 0 for n in missing.values())

        try:
            until(all_are_reported, deadline=60, pause=0.5)
        except TimeoutError:
            pytest.fail(f"not reported: {missing}\n{self.deployment.logs()[-10_000:]}")

    def check(self) -> None:
        """All windows' reports equal the offline computation."""
        revisions: dict[str, list[int]] = defaultdict(list)
        for report in self.reports:
            revisions[report.id].append(report.revision)
        # Each revision is written once: not lost, and not written by two workers.
        assert {id_: sorted(found) for id_, found in revisions.items()} == {
            id_: list(range(len(found))) for id_, found in revisions.items()
        }
        assert max(map(len, revisions.values())) > 1
        assert self.traffic.twice > 100
        assert len({report.partition for report in self.reports}) > 1
        for line in self.lines:
            self._check_line(line, self.latest(line))
        letters = self.deployment.values("dead_letters", DeadLetter)
        set_aside = Counter(letter.value for letter in letters)
        assert (set_aside - self.traffic.refused, self.traffic.refused - set_aside) == ({}, {})

    def _check_line(self, line: Line, reports: list[Report]) -> None:
        times = np.array([at for at, _ in line.counted])
        rows = line.frame.iloc[[row for _, row in line.counted]]
        baseline = self.baselines.get(line.subject)
        assert len(reports) > 2  # the sparsest version's windows are two or three of the clock's
        covered = 0
        for before, report in zip([None, *reports], reports, strict=False):
            assert before is None or before.window.end <= report.window.start
            inside = rows[(times >= report.window.start) & (times < report.window.end)]
            covered += len(inside)
            check_counts(report, inside, ("sex", "region"))
            if baseline is None:
                assert report.status is Status.NO_BASELINE
            else:
                assert report.baseline_sha256 == baseline.sha256
                check_measures(report, inside, baseline, self.policy.of(line.subject.model))
        assert covered == len(rows)


@pytest.fixture
def world(kafka, mlflow_uri, tmp_path):
    seed = int(os.environ.get("WORKERS_SEED", "5"))
    sys.stdout.write(f"WORKERS_SEED={seed}\n")
    deployment = Deployment(
        kafka.bootstrap, mlflow_uri, tmp_path, POLICY,
        MONITOR_STREAM__PARTITIONS=str(PARTITIONS), MONITOR_STREAM__IDLE_SECONDS="3",
    )  # fmt: skip
    made = World(deployment, mlflow_uri, seed)
    yield made
    made.traffic.over.set()
    deployment.stop()


def test_reports_equal_the_offline_computation_though_workers_are_killed_under_load(world):
    deployment, dice = world.deployment, world.dice
    workers = [deployment.run("stream"), deployment.run("stream")]
    world.begin()
    for blow in range(4):
        threading.Event().wait(dice.uniform(2, 6))
        place = dice.randrange(2)
        if blow % 2:
            kill_worker(workers[place])  # its parent starts it again
        else:
            workers[place].kill()  # as if the machine were gone
            workers[place] = deployment.run("stream")
    world.finish()
    for worker in workers:
        worker.stop()
    assert "the worker failed; it is started again" in deployment.logs()
    world.check()


def test_reports_equal_the_offline_computation_though_a_worker_joins_and_another_leaves(world):
    deployment = world.deployment
    first = deployment.run("stream")
    world.begin()
    second = deployment.run("stream")
    until(lambda: "partitions taken over" in second.log.read_text(), deadline=60)
    shared = len(world.reports)
    until(lambda: len(world.reports) > shared + 20, deadline=60, pause=0.5)
    first.stop()
    assert first.exit_code == 0
    world.finish()
    second.stop()
    world.check()

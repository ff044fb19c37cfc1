"""Traffic as it comes: many versions at once, out of order, twice, late, from wrong clocks, garbled, in wrong partitions."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from confluent_kafka import KafkaError, Message, Producer

from monitor.events import ModelVersion, PredictionEvent, cloud_event_headers, encode, new_event_id
from monitor.publish import PredictionPublisher
from monitor.stream.partitioner import partition_of
from tests.deployment import Deployment

PARTITIONS = 4

#: Of event time, in seconds: from one step of the traffic to the next, one window, what is too late for ever, and what
#: a clock is off that is wrong.
STEP, WINDOW, FOR_EVER, HOUR = 1.5, 60.0, 10_800.0, 3_600.0

#: Of our time, in seconds: the event clock runs 30 times as fast.
PAUSE = 0.05

#: Steps after which late events begin, what was published is published again, and there are windows enough to end.
STEPS = 320


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
        row = self.rows[self.used % len(self.rows)]
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
        self.counted.append((event.event_time.timestamp(), (self.used - 1) % len(self.rows)))


class Traffic(threading.Thread):
    """Publishes all lines until it is over; what must be counted, and what refused, is on its own record.

    Attributes
    ----------
    kinds
        How many events of each odd kind were sent.
    """

    def __init__(
        self,
        deployment: Deployment,
        lines: list[Line],
        seed: int,
        spool: Path | None = None,
        enough: int = STEPS,
    ) -> None:
        super().__init__(daemon=True)
        self.deployment, self.lines = deployment, lines
        self.dice = random.Random(seed)
        self.over = threading.Event()
        self.refused: Counter[bytes] = Counter()
        self.kinds: Counter[str] = Counter()
        self.steps = 0
        self.enough = enough
        self.topic = deployment.topic("predictions")
        kafka = deployment.settings.kafka.confluent()
        self.publisher = PredictionPublisher(
            kafka["bootstrap.servers"],
            topic=self.topic,
            spool_directory=None if spool is None else str(spool),
        )
        #: Another team's logger: some of its records have a sequence, some have none, and its partitioner is another.
        careful = {"enable.idempotence": True, "max.in.flight": 1}  # docs/decisions/008
        self.logger = Producer(
            {**kafka, **careful, "message.max.bytes": 4_000_000, "message.timeout.ms": 0}
        )
        self.sequence = 0
        self.again: list[tuple[bytes, bytes, list[tuple[str, bytes]]]] = []
        self.failure: Exception | None = None
        self.acknowledged: dict[tuple[int, int], bytes] = {}

    def is_welcome(self) -> bool:
        """Whether each partition has a leader, and the logger's client knows it."""
        known = self.logger.list_topics(self.topic, timeout=60).topics[self.topic].partitions
        return len(known) == PARTITIONS and all(part.leader >= 0 for part in known.values())

    def run(self) -> None:
        try:
            while not self.over.wait(PAUSE):
                for line in self.lines:
                    self._step(line)
                if self.steps == self.enough - 20:
                    self._replay()
                self.steps += 1
            for key, value, headers in self.again:
                self._log(key, value, headers)
            assert self.publisher.flush(180)
            assert self.logger.flush(180) == 0
            self._close_windows()
        except Exception as error:
            self.failure = error
            raise

    def end(self) -> None:
        self.over.set()
        self.join(400)
        assert not self.is_alive()
        assert self.failure is None

    def _step(self, line: Line) -> None:
        clock = line.start + self.steps * STEP
        many = int(line.per_step) + (self.dice.random() < line.per_step % 1)
        for _ in range(many):
            chance = self.dice.random()
            late = self.steps > self.enough - 120
            if late and chance < 0.004:
                self._publish(line, clock - 3 * WINDOW, "late")
            elif late and chance < 0.005:
                self._refuse(line.event(clock - FOR_EVER), "too late for ever")
            elif late and chance < 0.006:
                self._publish(line, clock - HOUR, "an hour behind")
            elif chance < 0.0065:
                self._refuse(line.event(time.time() + HOUR), "an hour ahead")
            elif chance < 0.007:
                self._refuse(line.event(dt.datetime(2099, 1, 1, tzinfo=dt.UTC).timestamp()), "2099")
            elif chance < 0.05:
                self._through_the_logger(line, clock)
            else:
                self._publish(line, clock + self.dice.uniform(-8, 8))
        # Not among the first: they say which features a version without a baseline has.
        if many and self.steps % 50 == 49:
            self._garble(line, clock)

    def _publish(self, line: Line, at: float, kind: str = "in time") -> None:
        event = line.event(at)
        line.count(event)
        self.kinds[kind] += 1
        self.publisher.publish(event)

    def _refuse(self, event: PredictionEvent, kind: str) -> None:
        self.refused[encode(event)] += 1
        self.kinds[kind] += 1
        self.publisher.publish(event)

    def _garble(self, line: Line, clock: float) -> None:
        unreadable, incomplete, mistyped = (encode(line.event(clock)) for _ in range(3))
        for value in (
            unreadable[:-1],
            incomplete.replace(b'"features"', b'"festures"'),
            mistyped.replace(b'"age":', b'"age":"old","was":'),
        ):
            self.refused[value] += 1
            self.kinds["garbled"] += 1
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
        self.kinds["mis-keyed"] += kind % 2
        self._log(key, value, headers, (home + kind % 2) % PARTITIONS)
        if kind == 2:  # without a sequence: its id tells that it comes twice
            self.again.append((key, value, headers))
        if len(self.again) > 20:
            self.kinds["twice"] += 1
            self._log(*self.again.pop(0))

    def _log(self, key: bytes, value: bytes, headers: list, partition: int | None = None) -> None:
        place = partition_of(key, PARTITIONS) if partition is None else partition
        self.logger.produce(
            self.topic, value, key=key, headers=headers, partition=place, on_delivery=self._logged
        )
        self.logger.poll(0)

    def _logged(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failure = AssertionError(f"Kafka did not take what the logger wrote: {error}")
        self.acknowledged[message.partition(), message.offset()] = message.value()

    def _replay(self) -> None:
        """Publish what the publisher published again, bytes and headers: as after a timeout, from a spool."""
        mine = self.publisher.producer_id.encode()
        for record in self.deployment.records("predictions", 5_000):
            headers = record.headers() or []
            if ("producer_id", mine) in headers:
                self.kinds["twice"] += 1
                self._log(record.key(), record.value(), headers, record.partition())

    def _close_windows(self) -> None:
        """One event of each version that is so much later that all windows before it close."""
        for line in self.lines:
            line.closed_at = line.start + self.steps * STEP + 10 * WINDOW
            self.publisher.publish(line.event(line.closed_at))
        assert self.publisher.flush(180)
        counts = self.publisher.counts
        assert counts.delivered == counts.accepted, counts
        self.publisher.close()

"""The engine under random interleavings of events, snapshots, crashes, rebalances and clock jumps, against a naive model.

The model knows no windows, no watermarks and no snapshots. It knows what was published, and asks of what came out:
every event is in exactly one place, each window's last report holds exactly the events of its time, and whatever was
set aside deserved it.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import msgspec
import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from monitor.desk.baseline import make_baseline
from monitor.desk.tables import Roles
from monitor.engine.intake import FORWARDED_HEADER
from monitor.engine.partition import PartitionEngine, Place
from monitor.events import ModelVersion
from monitor.policy.load import parse_policy
from monitor.reports import DeadLetter, Report
from tests.unit.engine_world import Message

LENGTH, GRACE, LATENESS, SKEW = 10.0, 2.0, 60.0, 30.0
POLICY = parse_policy(
    "defaults: {windows: {length: 10s, grace: 2s, allowed_lateness: 60s, min_events: 5, max_length: 40s}}",
    where="test",
)
START = 1_700_000_100.0
PARTITIONS = 2

#: The first has a baseline, the second is one that nobody registered.
SUBJECTS = (ModelVersion("credit", "7"), ModelVersion("churn", "1"))
HOME = {subject.key: number for number, subject in enumerate(SUBJECTS)}


@cache
def baseline():
    draw = np.random.default_rng(0)
    rows = pd.DataFrame({"income": draw.normal(0, 1, 500), "prediction": draw.integers(0, 2, 500)})
    roles = Roles(prediction="prediction")
    return make_baseline(rows, roles, SUBJECTS[0], POLICY.of("credit"), created_at="")


@dataclass(frozen=True)
class Event:
    """What a publisher meant."""

    subject: ModelVersion
    name: str
    time: float
    readable: bool

    @property
    def value(self) -> bytes:
        body = msgspec.json.encode(
            {
                "event_id": self.name,
                "prediction_id": self.name,
                "event_time": dt.datetime.fromtimestamp(self.time, dt.UTC).isoformat(),
                "model_name": self.subject.model,
                "model_version": self.subject.version,
                "features": {"income": len(self.name) / 2},
                "prediction": int(self.time) % 2,
            }
        )
        return body if self.readable else body[:-1]


@dataclass
class Partition:
    """A source partition's log, what is committed of its state, and its owner."""

    number: int
    log: list[Message] = field(default_factory=list)
    state: dict[bytes, bytes] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.own()

    def own(self) -> None:
        """A new owner takes up where the committed state stands."""
        place = Place("predictions", self.number, lambda key: HOME.get(key, 0))
        self.engine = PartitionEngine(place, POLICY, max_skew=SKEW, silence=5.0)
        self.engine.restore(self.state)
        self.read = self.engine.position

    def fold(self, most: int) -> None:
        records = self.log[self.read : self.read + most]
        if records:
            for version in self.engine.versions(records):
                self.engine.learn(version, baseline() if version == SUBJECTS[0] else None)
            self.engine.fold(records)
            self.read += len(records)


class Engines(RuleBasedStateMachine):
    """Two partitions, each with an owner that may be gone at any time."""

    @initialize()
    def begin(self) -> None:
        self.partitions = [Partition(number) for number in range(PARTITIONS)]
        self.arrival = self.clock = START
        self.events: dict[str, Event] = {}
        self.silence = 0.0
        self.sequence: Counter[str] = Counter()

    # ------------------------------------------------------------------------------------ publishing

    @rule(
        subject=st.sampled_from(SUBJECTS),
        gaps=st.lists(st.floats(0, 6), min_size=1, max_size=12),
        numbered=st.booleans(),
    )
    def publish(self, subject, gaps, numbered):
        for gap in gaps:
            self.clock += gap
            self._publish(subject, self.clock, "p" if numbered else None)

    @rule(subject=st.sampled_from(SUBJECTS), ago=st.floats(0, 200), numbered=st.booleans())
    def publish_late(self, subject, ago, numbered):
        self._publish(subject, self.clock - ago, "p" if numbered else None)

    @rule(subject=st.sampled_from(SUBJECTS), ahead=st.floats(SKEW + 1, 1e9))
    def publish_from_a_wrong_clock(self, subject, ahead):
        self._publish(subject, max(self.arrival, self.clock) + ahead, "p")

    @rule(subject=st.sampled_from(SUBJECTS))
    def publish_garbled(self, subject):
        self._publish(subject, self.clock, "p", readable=False)

    @rule(subject=st.sampled_from(SUBJECTS), numbered=st.booleans())
    def publish_in_the_wrong_partition(self, subject, numbered):
        place = 1 - HOME[subject.key]
        self._publish(subject, self.clock, "stranger" if numbered else None, place)

    @rule(number=st.integers(0, PARTITIONS - 1), part=st.floats(0, 1))
    def publish_again(self, number, part):
        """As after a timeout: the bytes and headers of an earlier message."""
        log = self.partitions[number].log
        if log:
            old = log[int(part * (len(log) - 1))]
            names = dict(old.headers)
            if FORWARDED_HEADER not in names and "sequence" in names:
                self._append(number, old.key, old.value, old.headers)

    @rule(seconds=st.one_of(st.floats(0, 30), st.just(3600.0), st.just(86400.0 * 3)))
    def the_clock_jumps(self, seconds):
        """Of the broker and of everybody: an outage, say."""
        self.arrival += seconds
        self.clock += seconds

    # --------------------------------------------------------------------------------------- working

    @rule(number=st.integers(0, PARTITIONS - 1), most=st.integers(1, 40))
    def fold(self, number, most):
        self.partitions[number].fold(most)

    @rule(number=st.integers(0, PARTITIONS - 1))
    def commit(self, number):
        self._commit(self.partitions[number])

    @rule(number=st.integers(0, PARTITIONS - 1))
    def crash(self, number):
        self.partitions[number].own()

    @rule(number=st.integers(0, PARTITIONS - 1))
    def crash_within_the_transaction(self, number):
        """All that was to be written is lost with it."""
        self.partitions[number].engine.take()
        self.partitions[number].own()

    @rule()
    def rebalance(self):
        """Each owner writes what it has, and another takes over."""
        for partition in self.partitions:
            self._commit(partition)
            partition.own()

    @precondition(lambda self: any(p.read == len(p.log) for p in self.partitions))
    @rule(seconds=st.floats(5, 400))
    def nothing_comes(self, seconds):
        self.silence += seconds
        for partition in self.partitions:
            if partition.read == len(partition.log):
                partition.engine.idle(seconds)

    # ------------------------------------------------------------------------------------ the naive model

    def teardown(self) -> None:
        if not self.events:
            return
        self.closing = max(self.clock, self.arrival) + 1000
        self.arrival = self.clock = self.closing
        for subject in SUBJECTS:
            self._publish(subject, self.clock, "p")
        for _ in range(2):  # what one partition sends on, the other has to count
            for partition in self.partitions:
                partition.fold(len(partition.log))
                self._commit(partition)
        for number, subject in enumerate(SUBJECTS):
            self._check(subject, self.partitions[number])

    def _check(self, subject: ModelVersion, partition: Partition) -> None:
        mine = {name: event for name, event in self.events.items() if event.subject == subject}
        aside = self._set_aside(mine)
        latest: dict[str, Report] = {}
        revisions: dict[str, list[int]] = defaultdict(list)
        for report in partition.reports:
            assert report.subject == subject
            revisions[report.id].append(report.revision)
            latest[report.id] = report
        assert all(found == list(range(len(found))) for found in revisions.values())
        windows = sorted(latest.values(), key=lambda report: report.window)
        for before, report in pairwise(windows):
            assert before.window.end <= report.window.start
        left = {name: event.time for name, event in mine.items() if name not in aside}
        for report in windows:
            inside = [
                name
                for name, time in left.items()
                if report.window.start <= time < report.window.end
            ]
            assert report.n == len(inside), (report.id, report.revision)
            for name in inside:
                del left[name]
        # What no report has is the event that closed all others, and what lies in its own open window.
        assert all(time >= self.closing - LENGTH for time in left.values()), left

    def _set_aside(self, mine: dict[str, Event]) -> set[str]:
        """Names of the events among the dead letters: each once, and each deserved it."""
        values = {event.value: name for name, event in mine.items()}
        letters = [letter for partition in self.partitions for letter in partition.letters]
        said = Counter(values[letter.value] for letter in letters if letter.value in values)
        newest = max(event.time for event in mine.values() if event.readable)
        for letter in letters:
            name = values.get(letter.value)
            if name is None:
                continue
            event = mine[name]
            if not event.readable:
                continue
            if "after its arrival" in letter.reason:
                assert event.time > letter.at + SKEW
            else:
                assert "too late" in letter.reason, letter.reason
                # The watermark is never past the newest event by more than the time that went by in silence.
                assert event.time + LATENESS <= newest + self.silence + (letter.at - START)
        for name, event in mine.items():
            if not event.readable:
                assert said[name] >= 1, "a garbled event is nowhere"
        return set(said)

    # ---------------------------------------------------------------------------------------- inside

    def _publish(self, subject, time, producer, place=None, *, readable=True):
        name = f"e{len(self.events)}"
        event = self.events[name] = Event(subject, name, round(time, 3), readable)
        headers = [("ce_id", name.encode())]
        number = HOME[subject.key] if place is None else place
        if producer is not None:
            headers += [
                ("producer_id", producer.encode()),
                ("sequence", str(self.sequence[producer]).encode()),
            ]
            self.sequence[producer] += 1
        self._append(number, subject.key, event.value, tuple(headers))

    def _append(self, number, key, value, headers):
        log = self.partitions[number].log
        self.arrival = max(self.arrival, self.clock)
        log.append(Message(len(log), int(self.arrival * 1000), key, value, tuple(headers)))

    def _commit(self, partition: Partition) -> None:
        outbox = partition.engine.take()
        for key, value in outbox.state.items():
            if value is None:
                partition.state.pop(key, None)
            else:
                partition.state[key] = value
        partition.reports += outbox.reports
        partition.letters += outbox.dead_letters
        for forward in outbox.forwards:
            record = forward.record
            origin = (FORWARDED_HEADER, f"{partition.number}:{record.offset}".encode())
            self._append(forward.partition, record.key, record.value, (*record.headers, origin))


TestEngines = Engines.TestCase
TestEngines.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)

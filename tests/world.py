"""A deployment under load, and the proof at the end: its reports are an offline computation over every event."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from monitor.baselines import Baseline
from monitor.desk.tables import Roles
from monitor.events import ModelVersion
from monitor.policy.load import parse_policy
from monitor.reports import DeadLetter, Report, Status
from monitor.stream.partitioner import partition_of
from monitor.testing import until
from tests.autopsy import autopsy
from tests.deployment import Deployment, register
from tests.offline import check_counts, check_measures
from tests.traffic import HOUR, PARTITIONS, STEPS, WINDOW, Line, Traffic, people

POLICY = """
defaults:
  action: record
  windows: {length: 60s, grace: 20s, allowed_lateness: 150m, min_events: 200, max_length: 5m}
  fairness: {favourable: "1"}
"""
ROLES = Roles("prediction", "score", groups=("sex", "region"))

#: Model, version and events per step; ``churn/9`` is not registered.
VERSIONS = (
    ("credit", "1", 12.0),
    ("credit", "2", 12.0),
    ("fraud", "1", 12.0),
    ("churn", "1", 2.6),
    ("churn", "9", 8.0),
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the events, against what must become of them.

    Attributes
    ----------
    events
        Accepted by the publisher or acknowledged by Kafka, copies left out.
    lost, doubled
        Events that must be counted, or set aside, and are not; and those that are too often. A revision that was
        written twice counts as a doubled event.
    revised
        Reports that have a later revision.
    wrong
        Reports whose figures are not those of their events.
    """

    events: int
    lost: int
    doubled: int
    revised: int
    wrong: tuple[str, ...]


class World:
    """A deployment, the traffic of five versions, and the offline computation.

    Parameters
    ----------
    spool
        Where the publisher keeps what Kafka does not take.
    enough
        Steps of the traffic, at least.
    own
        Register versions that no other world has.
    """

    def __init__(
        self,
        deployment: Deployment,
        uri: str,
        seed: int,
        *,
        spool: Path | None = None,
        enough: int = STEPS,
        own: bool = False,
    ) -> None:
        self.deployment = deployment
        self.dice = random.Random(seed)
        self.policy = parse_policy(POLICY, where="test")
        self.baselines = dict(
            registered(uri, word_of_several_partitions() if own else shared_word())
        )
        start = (time.time() - 6 * HOUR) // WINDOW * WINDOW
        self.lines = [
            Line(subject, per_step, start, seed)
            for seed, (subject, (_, _, per_step)) in enumerate(
                zip(self.baselines, VERSIONS, strict=True)
            )
        ]
        self.traffic = Traffic(deployment, self.lines, seed, spool, enough)

    def begin(self) -> None:
        until(lambda: self.deployment.has_topics, deadline=240)
        until(self.traffic.is_welcome, deadline=240)
        self.traffic.start()
        until(lambda: self.reports, deadline=240, what="a first report")

    @property
    def reports(self) -> list[Report]:
        return self.deployment.values("reports", Report)

    def latest(self, line: Line, reports: list[Report]) -> list[Report]:
        """The latest revisions of a version's reports, but for that of the event that closed the others."""
        mine = [r for r in reports if r.subject == line.subject and r.window.end <= line.closed_at]
        latest = {r.id: r for r in sorted(mine, key=lambda report: report.revision)}
        return sorted(latest.values(), key=lambda report: report.window)

    def finish(self) -> None:
        """End the traffic; wait until as many events are reported and set aside as must be."""
        until(lambda: self.traffic.steps > self.traffic.enough, deadline=240)
        self.traffic.end()

        def all_are_reported() -> bool:
            reports = self.reports
            counted = all(
                sum(report.n for report in self.latest(line, reports)) >= len(line.counted)
                for line in self.lines
            )
            set_aside = len(self.deployment.records("dead_letters"))
            return counted and set_aside >= self.traffic.refused.total()

        # If that never comes true, the tally says what is missing.
        with contextlib.suppress(TimeoutError):
            until(all_are_reported, deadline=240, pause=0.5)

    def tally(self) -> Tally:
        """Hold all windows' reports against the offline computation."""
        reports = self.reports
        revisions = Counter((report.id, report.revision) for report in reports)
        written_twice = sum(count - 1 for count in revisions.values())
        skipped = [
            id_ for id_, revision in revisions if revision and not revisions[id_, revision - 1]
        ]
        lost, doubled = 0, written_twice
        wrong = [f"{id_}: a revision is missing" for id_ in skipped]
        for line in self.lines:
            for said in self._compare(line, self.latest(line, reports)):
                if isinstance(said, str):
                    wrong.append(said)
                else:
                    lost, doubled = lost + max(said, 0), doubled + max(-said, 0)
        letters = self.deployment.values("dead_letters", DeadLetter)
        set_aside = Counter(letter.value for letter in letters)
        for letter in letters:
            if letter.value not in self.traffic.refused:
                where = f"{letter.topic}-{letter.partition}@{letter.offset}"
                wrong.append(f"{where} is set aside: {letter.field} {letter.reason}")
        lost += (self.traffic.refused - set_aside).total()
        doubled += (set_aside - self.traffic.refused).total()
        if lost:
            wrong += autopsy(self.deployment, self.lines, self.traffic.acknowledged)
        events = sum(len(line.counted) for line in self.lines) + self.traffic.refused.total()
        revised = len({id_ for id_, revision in revisions if revision})
        return Tally(events, lost, doubled, revised, tuple(wrong))

    def _compare(self, line: Line, reports: list[Report]) -> Iterator[int | str]:
        """Yield how many events each window lacks, negative if it has too many; and what else is wrong."""
        times = np.array([at for at, _ in line.counted])
        rows = line.frame.iloc[[row for _, row in line.counted]]
        covered = np.zeros(len(rows), bool)
        for before, report in zip([None, *reports], reports, strict=False):
            if before is not None and before.window.end > report.window.start:
                yield f"{report.id}: overlaps the window before it"
            inside = (times >= report.window.start) & (times < report.window.end)
            covered |= inside
            missing = int(inside.sum()) - report.n
            yield missing
            if missing:
                yield f"{report.id} revision {report.revision}: {missing} of {inside.sum()} missing"
            try:
                self._check(line, report, rows[inside])
            except AssertionError as error:
                yield str(error)
        yield int((~covered).sum())

    def _check(self, line: Line, report: Report, rows: pd.DataFrame) -> None:
        check_counts(report, rows, ("sex", "region"))
        baseline = self.baselines.get(line.subject)
        if baseline is None:
            assert report.status is Status.NO_BASELINE, report.id
        else:
            assert report.baseline_sha256 == baseline.sha256, report.id
            check_measures(report, rows, baseline, self.policy.of(line.subject.model))


@cache
def registered(uri: str, word: str) -> dict[ModelVersion, Baseline | None]:
    """Register all versions that have a baseline; worlds share them, since MLflow takes seconds for each."""
    policy = parse_policy(POLICY, where="test")
    made: dict[ModelVersion, Baseline | None] = {}
    for model, version, _ in VERSIONS:
        subject = ModelVersion(f"{model}-{word}", version)
        reference = people(4_000, 101 + len(made))
        made[subject] = (
            None
            if version == "9"
            else register(uri, subject, frame=reference, roles=ROLES, policy=policy.of(model))
        )
    return made


@cache
def shared_word() -> str:
    """The word of the versions that worlds share."""
    return word_of_several_partitions()


def word_of_several_partitions() -> str:
    """A word that no other test has in its models' names, with which they do not all lie in one partition."""
    while True:
        word = uuid.uuid4().hex[:6]
        keys = {f"{model}-{word}/{version}".encode() for model, version, _ in VERSIONS}
        if len({partition_of(key, PARTITIONS) for key in keys}) > 2:
            return word

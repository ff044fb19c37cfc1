"""The state machine of one source partition: many versions, each event counted once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.engine.deadletters import LETTER_BYTES, dead_letter, size_of
from monitor.engine.intake import Intake, Run, identity
from monitor.engine.notices import refused
from monitor.engine.provisional import NO_COLUMNS, provisional_layout
from monitor.engine.records import Forward, Outbox, Record, Vitals
from monitor.engine.roads import Road
from monitor.engine.silence import arrival, spells
from monitor.engine.snapshot import Snapshots
from monitor.engine.version import Source, Version
from monitor.errors import EventError
from monitor.metrics.protocol import NO_OTHERS

if TYPE_CHECKING:
    from monitor.baselines import Baseline
    from monitor.engine.roads import Batch
    from monitor.events import ModelVersion
    from monitor.metrics.protocol import DriftMetric
    from monitor.policy.model import Policy
    from monitor.profiles.layout import Layout

#: Versions without a baseline that one partition counts, by default; more are an error upstream, or an attack.
UNREGISTERED_CAP = 200

#: Seconds of arrival time after which a version without a baseline is asked for again, and gives up its place if
#: none of its windows is under way.
ASK_AGAIN = 60.0

#: Seconds of arrival time after which a version that fell silent is forgotten: it was replaced long ago.
RETIRED_AFTER = 90 * 86400.0

#: Versions beyond the cap that are remembered, so as not to ask for each of them with each fetch.
_TURNED_AWAY = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Which source partition an engine is for.

    Attributes
    ----------
    partition_of
        The partition of a message key, as the publishers' partitioner has it.
    """

    topic: str
    partition: int
    partition_of: Callable[[bytes], int]


class PartitionEngine:
    """Counts one partition's records; see `monitor.engine.records.Engine` for how it is driven.

    Parameters
    ----------
    place
        Which partition.
    policy
        The deployment's policy.
    max_skew
        Seconds by which an event's time may lie after its arrival.
    silence
        Seconds without a record after which a version is silent, and its windows move on by that time.
    others
        Third parties' measures of drift, by name.
    road
        How a version's records are read under a layout.
    unregistered
        How many versions without a baseline are counted; records of more of them are dead letters.
    """

    def __init__(
        self,
        place: Place,
        policy: Policy,
        *,
        max_skew: float = 300.0,
        silence: float = 30.0,
        others: Mapping[str, DriftMetric] = NO_OTHERS,
        road: Callable[[ModelVersion, Layout], Road] = Road,
        unregistered: int | None = None,
    ) -> None:
        self._unregistered = UNREGISTERED_CAP if unregistered is None else unregistered
        self._place = place
        self._road = road
        self._policy = policy
        self._policy_sha256 = policy.sha256
        self._max_skew = max_skew
        self._silence = silence
        self._others = others
        self._intake = Intake(place.partition, place.partition_of)
        self._versions: dict[ModelVersion, Version] = {}
        self._unasked: set[ModelVersion] = set()
        self._turned_away: dict[ModelVersion, float] = {}
        self._snapshots = Snapshots()
        self._outbox = Outbox()
        self._now = self._asking = 0.0
        self._moved = False
        self.position = 0
        self.counts = {"counted": 0, "duplicates": 0, "dead_letters": 0, "forwarded": 0}

    @property
    def watermarks(self) -> dict[ModelVersion, float]:
        """Each version's watermark, seconds of event time."""
        return {subject: version.spans.watermark for subject, version in self._versions.items()}

    @property
    def vitals(self) -> Vitals:
        """How it is."""
        busy = [version for version in self._versions.values() if version.contents]
        return Vitals(
            dict(self.counts),
            {version.subject: version.spans.watermark for version in busy},
            sum(len(version.contents) for version in busy),
        )

    @property
    def due(self) -> bool:
        """Whether a window is frozen and not reported yet."""
        return any(version.due for version in self._versions.values())

    def restore(self, state: Mapping[bytes, bytes]) -> None:
        """Take up where an earlier owner's last transaction left off.

        What an older release wrote in a format that is read no more is erased, with the next snapshot, and all that
        the log still holds is counted again: the same reports and verdicts come, and whoever keeps or acts on them
        knows them by their ids.

        Raises
        ------
        StateError
            If a later release wrote it, or it is not whole.
        """
        if self._snapshots.is_outdated(state):
            self._outbox.state |= dict.fromkeys(state)
            return
        progress, versions = self._snapshots.read(state, self._policy)
        self._versions = versions
        self._unasked = set(versions)
        if progress is not None:
            self.position, self._now = progress.position, progress.now
            self._intake.restore(progress.sequences)

    def versions(self, records: Sequence[Record]) -> set[ModelVersion]:
        """Return the versions, in these records or restored, whose baseline is not known or worth another question."""
        asked = set(self._unasked)
        self._asking = max(self._now, *map(arrival, records[-1:]), 0.0)
        for subject in self._intake.subjects(records):
            version = self._versions.get(subject)
            if version is None:
                asked_at = self._turned_away.get(subject, -math.inf)
            else:
                asked_at = math.inf if version.baseline is not None else version.asked_at
            if self._now >= asked_at + ASK_AGAIN:
                asked.add(subject)
        return asked

    def was_asked_after(self, version: ModelVersion) -> bool:
        """Whether the registry has told this owner of the partition before that a version has no baseline."""
        return version in self._turned_away or (
            version in self._versions and version not in self._unasked
        )

    def learn(self, version: ModelVersion, baseline: Baseline | None) -> None:
        """Take note of a version's baseline, or that it has none."""
        self._unasked.discard(version)
        known = self._versions.get(version)
        if known is None:
            if baseline is None and not self._has_room():
                self._turn_away(version)
                return
            known = self._versions[version] = Version(version, self._policy.of(version.model))
        known.asked_at = self._asking
        if baseline is None:
            return
        known.approve(baseline, self._policy.of(version.model))
        if known.layout != baseline.layout:
            known.road = self._road(version, baseline.layout)

    def fold(self, records: Sequence[Record]) -> None:
        """Count each record once, or set it aside with a reason, and advance `position` past them."""
        for run in self._intake.sort(records):
            if run.error is not None:
                self._set_aside(run.records[0], run.error)
            elif run.forward is not None:
                self._send_on(run, run.forward)
            else:
                self._count(run)
        self._note_repeated(self._intake.take_repeated())
        if records:
            self.position = records[-1].offset + 1
            self._now = max(self._now, arrival(records[-1]))
            self._moved = True
        self._pass_time(self._silence)

    def idle(self, seconds: float) -> None:
        """Say that the end of the partition was reached and nothing came for so many more seconds."""
        self._now += seconds
        self._pass_time(0.0)

    def take(self) -> Outbox:
        """Close what is due, judge it, and return all that changed since the last time."""
        for version in list(self._versions.values()):
            self._forget_if_resting(version, RETIRED_AFTER)
        outbox, self._outbox = self._outbox, Outbox()
        outbox.position = self.position
        source = Source(self._place.partition, self.position - 1, self._now, self._policy_sha256)
        for version in self._versions.values():
            reports, verdicts = version.judge(source, self._others)
            outbox.reports += reports
            outbox.verdicts += verdicts
            outbox.state |= self._snapshots.changes(version, reports)
        if outbox.state or self._moved:
            self._moved = False
            outbox.state |= self._snapshots.progress(
                self.position, self._now, self._intake.progress(self._now)
            )
        return outbox

    def _count(self, run: Run) -> None:
        version = self._versions.get(run.subject)
        if version is None:
            reason = f"more than {self._unregistered} versions without a baseline"
            self._refuse(run, EventError("model_version", reason))
            return
        records = run.records
        if version.road is None:
            layout = provisional_layout([record.value for record in records], run.content)
            if layout is None:
                self._refuse_unreadable(run)
                return
            version.road = self._road(run.subject, layout)
        for spell in spells(records, version.last_arrival, self._silence):
            version.pass_time(arrival(spell[0]), self._silence)
            for batch in version.road.decode(spell, run.content):
                if batch.bad:
                    batch.refused = refused(batch, version.clock, max_skew=self._max_skew)
                self._count_batch(version, batch, by_id=run.by_id)
            version.last_arrival = max(version.last_arrival, arrival(spell[-1]))

    def _count_batch(self, version: Version, batch: Batch, *, by_id: bool) -> None:
        self._refuse_impossible(batch)
        repeated = self._leave_out_known(version, batch) if by_id else []
        if len(batch.times) or batch.refused:
            late, unread = version.count(batch, by_id=by_id)
            self.counts["counted"] += len(batch.times) - len(late) - unread
            reason = "too late: the watermark is past its window and the allowed lateness"
            self._refuse_events(batch, late, reason)
        version.note_repeats(repeated)
        for record, error in {
            record.offset: (record, error) for record, error in batch.bad
        }.values():
            self._set_aside(record, error)

    def _refuse_impossible(self, batch: Batch) -> None:
        """Set aside events of before 1970, and those beyond their arrival: they must not move the watermark."""
        if len(batch.times) and batch.times.min() < 0:
            reason = "before 1970: not a time at which a model answered"
            self._refuse_events(batch, np.flatnonzero(batch.times < 0).tolist(), reason)
            batch.keep(np.flatnonzero(batch.times >= 0))
        times = batch.times
        if not len(times) or times.max() <= batch.records[0].timestamp / 1000 + self._max_skew:
            return
        ahead = times > batch.arrivals() + self._max_skew
        reason = f"more than {self._max_skew:g} s after its arrival: the producer's clock is wrong"
        self._refuse_events(batch, np.flatnonzero(ahead).tolist(), reason)
        batch.keep(np.flatnonzero(~ahead))

    def _refuse_events(self, batch: Batch, events: Sequence[int], reason: str) -> None:
        per_record: dict[int, list[int]] = {}
        for event in events:
            per_record.setdefault(batch.record(event).offset, []).append(event)
        for those in per_record.values():
            said = reason if len(those) == 1 else f"{len(those)} events are {reason}"
            self._set_aside(batch.record(those[0]), EventError("event_time", said))

    def _leave_out_known(self, version: Version, batch: Batch) -> list[float]:
        """Leave out records whose event id stands on an earlier one: of this batch, or counted and open to revision.

        Only what can be counted is asked: a record that is mended and sent again has the id of the bad one.

        Returns
        -------
        list of float
            Times of the events left out.
        """
        first: dict[bytes, int] = {}
        known: dict[int, bool] = {}
        records = [batch.record(event) for event in range(len(batch.times))]
        for record in records:
            if record.offset not in known:
                name = identity(record)
                known[record.offset] = name is not None and (
                    first.setdefault(name, record.offset) != record.offset or version.knows(name)
                )
        if not any(known.values()):
            return []
        self.counts["duplicates"] += sum(known.values())
        again = np.array([known[record.offset] for record in records])
        times: list[float] = batch.times[again].tolist()
        batch.keep(np.flatnonzero(~again))
        return times

    def _note_repeated(self, records: Sequence[Record]) -> None:
        self.counts["duplicates"] += len(records)
        by_key: dict[bytes, list[Record]] = {}
        for record in records:
            by_key.setdefault(record.key or b"", []).append(record)
        for key, group in by_key.items():
            for subject in self._intake.subjects(group) if key else ():
                version = self._versions.get(subject)
                if version is not None:
                    version.note_repeats(version.clock.repeated(group))

    def _refuse_unreadable(self, run: Run) -> None:
        """Set aside records of which none says what columns there are, each with what is wrong with it."""
        vague = EventError("$", "no event here says which features there are")
        for batch in Road(run.subject, NO_COLUMNS).decode(run.records, run.content):
            known = {record.offset: error for record, error in batch.bad}
            for record in batch.records:
                self._set_aside(record, known.get(record.offset, vague))

    def _refuse(self, run: Run, error: EventError) -> None:
        for record in run.records:
            self._set_aside(record, error)

    def _set_aside(self, record: Record, error: EventError) -> None:
        self.counts["dead_letters"] += 1
        self._outbox.dead_letters.append(
            dead_letter(record, error, topic=self._place.topic, partition=self._place.partition)
        )

    def _send_on(self, run: Run, partition: int) -> None:
        for record in run.records:
            if size_of(record) > LETTER_BYTES:
                reason = (
                    f"larger than {LETTER_BYTES} bytes, and of partition {partition}: not sent on"
                )
                self._set_aside(record, EventError("$", reason))
            else:
                self.counts["forwarded"] += 1
                self._outbox.forwards.append(Forward(record, partition))

    def _pass_time(self, silence: float) -> None:
        for version in self._versions.values():
            version.pass_time(self._now, silence)

    def _has_room(self) -> bool:
        """Whether one more version without a baseline may be counted; the one that rests longest makes room."""
        unregistered = [version for version in self._versions.values() if version.baseline is None]
        if len(unregistered) < self._unregistered:
            return True
        resting = min(unregistered, key=lambda version: version.rests_since, default=None)
        return resting is not None and self._forget_if_resting(resting, ASK_AGAIN)

    def _turn_away(self, subject: ModelVersion) -> None:
        if len(self._turned_away) >= _TURNED_AWAY:
            self._turned_away.clear()
        self._turned_away[subject] = self._asking

    def _forget_if_resting(self, version: Version, seconds: float) -> bool:
        if self._now <= version.rests_since + seconds:
            return False
        del self._versions[version.subject]
        self._unasked.discard(version.subject)
        self._outbox.state |= self._snapshots.erase(version)
        return True

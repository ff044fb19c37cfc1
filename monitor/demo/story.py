"""From a served model to a rollback: what the demo does, step by step, and what it saw."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from msgspec import Struct

from monitor.actions.audit import verify
from monitor.baselines import encode_baseline
from monitor.bootstrap import load_policy, open_registry
from monitor.demo.census import GROUPS, LABEL, Census
from monitor.demo.models import Candidate, train_versions
from monitor.demo.outcomes import Labelled, judge_by_labels
from monitor.demo.stack import MODEL, Stack
from monitor.demo.traffic import GAP, Plan, Traffic
from monitor.demo.watch import Watch
from monitor.demo.wronged import Wronged, archived_rows, find_wronged
from monitor.desk.baseline import make_baseline
from monitor.desk.tables import Roles
from monitor.errors import MonitorError
from monitor.events import ModelVersion
from monitor.policy.severity import is_block
from monitor.policy.thresholds import encode_thresholds
from monitor.registry.scored import register_classifier
from monitor.reports import Action, Report, Stage

Say = Callable[[str], None]

#: People before the feed breaks, and per second of our time.
FAULT_ROW = 75_000
PER_SECOND = 1_500.0

#: Windows of the restored version to see before the story ends.
AFTERWARDS = 4

#: Seconds that the archiver may need for what is left.
_ARCHIVED_WITHIN = 60.0

PARITY = "demographic_parity_difference"

#: The policy's level for it.
LEVEL = 0.15


class RolledBack(Struct, frozen=True, rename={"from_": "from"}):
    """From which version to which."""

    from_: str
    to: str


class Summary(Struct, frozen=True, kw_only=True):
    """What happened; written to summary.json.

    Attributes
    ----------
    false_alarms_before_fault
        Windows before the fault with a breach, or a verdict that asks for anything.
    audit_ok, notices, archived_rows
        None on servers that ran before: the record and the channels are theirs.
    versions
        The faulty one, and the one to go back to.
    dpd_before, dpd_during, dpd_after
        Median demographic parity difference between the two race groups: in the windows before the fault, in those
        of the faulty version, and in those of the restored one.
    archived_rows
        Predictions in the log: as many as there were events.
    explained
        Id of a prediction that wronged somebody, whose whole story the log tells.
    labelled
        What the labels say that came in at the end: equal opportunity before the fault and during it.
    """

    events: int
    windows: int
    false_alarms_before_fault: int
    breach_windows: int
    rolled_back: RolledBack | None
    seconds_from_third_breach_to_alias: float | None
    audit_ok: bool | None
    dpd_before: float | None
    dpd_during: float | None
    dpd_after: float | None
    confirmed: bool = False
    notices: int | None = 0
    alias_names: str | None = None
    archived_rows: int | None = 0
    explained: str | None = None
    labelled: Labelled | None = None
    versions: tuple[str, str] = ("2", "1")

    @property
    def happened(self) -> bool:
        """Whether all of it really happened."""
        return bool(
            self.false_alarms_before_fault == 0
            and self.rolled_back == RolledBack(*self.versions)
            and self.alias_names == self.versions[1]
            and self.breach_windows >= 3
            and self.audit_ok is not False
            and self.confirmed
            and self.notices != 0
            and self.archived_rows in {None, self.events}
            and (self.archived_rows is None or self.explained is not None)
            and (self.archived_rows is None or self.shows_by_labels)
            and self.dpd_before is not None
            and self.dpd_during is not None
            and self.dpd_after is not None
            and self.dpd_during > 2 * LEVEL
            and max(self.dpd_before, self.dpd_after) < LEVEL
        )

    @property
    def shows_by_labels(self) -> bool:
        """Whether the labels show the fault too."""
        return self.labelled is not None and self.labelled.shows_the_fault


@dataclass(slots=True)
class Story:
    """The demo under way, for the screen to look at.

    Attributes
    ----------
    page
        Address of the page; empty where the deployment has its own.
    """

    stack: Stack
    plan: Plan
    traffic: Traffic
    watch: Watch
    people: pd.DataFrame
    faulty: Candidate
    left: str = "2"
    restored: str = "1"
    page: str = ""

    @property
    def before(self) -> list[Report]:
        """Windows that ended before the feed broke."""
        return [r for r in self.watch.windows(self.left) if r.window.end <= self.plan.fault_time]

    @property
    def during(self) -> list[Report]:
        """Windows of the faulty version that hold broken rows only."""
        return [r for r in self.watch.windows(self.left) if r.window.start >= self.plan.fault_time]

    @property
    def after(self) -> list[Report]:
        """Windows of the restored version."""
        return self.watch.windows(self.restored)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to see."""
        return not self.traffic.running or (
            len(self.after) >= AFTERWARDS
            and self.watch.decision(Stage.CONFIRMED) is not None
            and (self.stack.slack is None or bool(self.stack.slack.texts))
        )

    def end(self) -> Wronged | None:
        """Let nobody else ask, wait until all is archived, and return somebody whom the fault has wronged."""
        self.traffic.stop()
        if self.stack.external:  # what is archived there is theirs to read
            return None
        settings, deadline = self.stack.settings, time.monotonic() + _ARCHIVED_WITHIN
        while archived_rows(settings) < self.traffic.sent and time.monotonic() < deadline:
            time.sleep(0.5)
        if not self.during:
            return None
        return find_wronged(settings, self.during[0].window, self.people, self.faulty)

    def judge_by_labels(self) -> Labelled | None:
        """Let the labels come of the faulty windows, and of as many before, and judge by them.

        None on servers that ran before, as for what is archived there.
        """
        if self.stack.external:
            return None
        during = self.during
        before = self.before[-max(len(during), 3) :]
        return judge_by_labels(self.stack.settings, self.people, self.plan, before, during)

    def summary(self, wronged: Wronged | None, labelled: Labelled | None) -> Summary:
        """Return what happened."""
        watch, fault = self.watch, self.plan.fault_time
        registry, slack = open_registry(self.stack.settings), self.stack.slack
        done = watch.decision(Stage.DONE)
        breaching = [
            r for r in watch.windows(self.left) if any(is_block(b.severity) for b in r.breaches)
        ]
        early = {r.window for r in breaching if r.window.end <= fault}
        early |= {
            v.window
            for v in watch.verdicts
            if v.action is not Action.NONE and v.window.end <= fault
        }
        since = [r for r in breaching if r.window.end > fault]
        seconds = None
        if done is not None and len(since) >= 3:
            seconds = round(done.at - watch.heard_at[since[2].id], 2)
        return Summary(
            events=self.traffic.sent,
            windows=len(watch.reports),
            false_alarms_before_fault=len(early),
            breach_windows=len(since),
            rolled_back=RolledBack(done.from_version, done.to_version or "") if done else None,
            seconds_from_third_breach_to_alias=seconds,
            audit_ok=None if slack is None else _audit_ok(self.stack.settings.audit.path),
            dpd_before=median_parity(self.before),
            dpd_during=median_parity(self.during),
            dpd_after=median_parity(self.after),
            confirmed=watch.decision(Stage.CONFIRMED) is not None,
            notices=None if slack is None else len(slack.texts),
            alias_names=registry.alias(MODEL, "champion"),
            archived_rows=None if slack is None else archived_rows(self.stack.settings),
            explained=None if wronged is None else wronged.prediction_id,
            labelled=labelled,
            versions=(self.left, self.restored),
        )


def begin(stack: Stack, census: Census, say: Say, *, fault_row: int = FAULT_ROW) -> Story:
    """Train and register both versions, serve the second, start the monitor and the traffic."""
    say("Training two models: version 1 without the column MIL, version 2 with it")
    versions = []
    candidates = train_versions(census)
    for candidate in candidates:
        version = _register(stack, candidate)
        versions.append(version.version)
        say(
            f"Registered {MODEL}/{version.version}: accuracy {candidate.accuracy:.3f}, baseline frozen"
        )
    open_registry(stack.settings).set_alias(MODEL, "champion", versions[1])
    say(f"Serving the champion, version {versions[1]}, over HTTP")
    url = stack.serve()
    say("The monitor that runs watches" if stack.external else "Starting the monitor")
    stack.watch()
    page = stack.show()
    if page:
        say(f"The page is at {page}")
    length = load_policy(stack.settings).of(MODEL).windows.length
    span = len(census.production) * GAP
    start = (time.time() - span) // length * length - length
    plan = Plan(start, fault_row, PER_SECOND)
    watch = Watch(stack.settings.kafka, stack.settings.topics, versions)
    traffic = Traffic(census.production, url, plan)
    watch.start()
    traffic.start()
    return Story(
        stack,
        plan,
        traffic,
        watch,
        census.production,
        candidates[1],
        left=versions[1],
        restored=versions[0],
        page=page,
    )


def parity(report: Report) -> float | None:
    """Return the demographic parity difference between the two race groups."""
    return next(
        (m.value for m in report.fairness if m.metric == PARITY and m.attributes == ("race",)), None
    )


def median_parity(reports: list[Report]) -> float | None:
    """Return the reports' median parity difference; None without any."""
    values = [value for report in reports if (value := parity(report)) is not None]
    return round(statistics.median(values), 4) if values else None


def _register(stack: Stack, candidate: Candidate) -> ModelVersion:
    settings = stack.settings
    features = list(candidate.features)
    example = candidate.reference[features].astype("int64")
    version = register_classifier(settings.registry.uri, MODEL, candidate.model, example.head(50))
    registry = open_registry(settings)
    columns: list[str] = [*features, "prediction", "score", LABEL, *GROUPS]
    frame = candidate.reference[columns]
    policy = load_policy(settings).of(MODEL)
    baseline = make_baseline(
        frame,
        Roles("prediction", "score", LABEL, GROUPS),
        version,
        policy,
        created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        signature=registry.signature(version),
    )
    registry.publish_baseline(
        version, encode_baseline(baseline), thresholds=encode_thresholds(policy)
    )
    return version


def _audit_ok(path: Path) -> bool:
    try:
        verify(path)
    except MonitorError:
        return False
    return True


def write_summary(summary: Summary, path: Path) -> dict[str, Any]:
    """Write the summary as JSON, and return it as it was written."""
    plain: dict[str, Any] = msgspec.to_builtins(summary)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n")
    return plain

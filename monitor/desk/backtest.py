"""The prediction log through the very engine, under another policy: what it would have said, and done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from monitor.engine.partition import PartitionEngine, Place
from monitor.metrics.protocol import NO_OTHERS
from monitor.outcomes.judge import LabelJudge
from monitor.reports import Action, Basis, Report, Verdict, as_dict

if TYPE_CHECKING:
    from monitor.baselines import Baseline
    from monitor.engine.records import BaselineSource, Record
    from monitor.events import ModelVersion
    from monitor.metrics.protocol import DriftMetric
    from monitor.policy.model import Policy
    from monitor.predictionlog.joined import LabelledLog

_BATCH = 5_000


@dataclass(slots=True)
class Backtest:
    """What came of it.

    Attributes
    ----------
    reports
        The latest revision of each window's report, by version and time; labelled ones after those of the predictions.
    """

    counted: int = 0
    dead_letters: int = 0
    reports: list[Report] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def breaching(self) -> list[Report]:
        """The windows that would have breached."""
        return [report for report in self.reports if report.breaches]

    @property
    def rollbacks(self) -> list[Verdict]:
        """The first verdict of each version that asks for a rollback, earliest first."""
        first: dict[str, Verdict] = {}
        for verdict in sorted(self.verdicts, key=lambda one: one.window.end):
            if verdict.action is Action.ROLLBACK:
                first.setdefault(verdict.version, verdict)
        return list(first.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the object that `monitor backtest --json` prints."""
        return {
            "counted": self.counted,
            "dead_letters": self.dead_letters,
            "windows": len(self.reports),
            "breaching": [
                {
                    "version": report.version,
                    "basis": report.basis.value,
                    "start": report.window.start,
                    "end": report.window.end,
                    "n": report.n,
                    "breaches": [as_dict(breach) for breach in report.breaches],
                }
                for report in self.breaching
            ],
            "rollbacks": [as_dict(verdict) for verdict in self.rollbacks],
        }


def backtest(
    records: Iterable[Record],
    baselines: BaselineSource,
    policy: Policy,
    model: str,
    *,
    labelled: LabelledLog | None = None,
    others: Mapping[str, DriftMetric] = NO_OTHERS,
) -> Backtest:
    """Run the engine over a model's records, and then judge its windows by the labels that are known today.

    The policy holds for every version: the thresholds that a version was registered under are what it is tried against.

    Everything is judged as if the version had gone on serving: after a rollback its traffic would have ended.

    Parameters
    ----------
    records
        In the order in which they arrived.
    labelled
        The log with its labels; None leaves labels out.
    others
        Third parties' measures of drift, by name.
    """
    baselines = _Untied(baselines)
    engine = PartitionEngine(Place("backtest", 0, lambda _: 0), policy, others=others)
    done, found = Backtest(), list[Report]()
    rest = iter(records)
    while batch := list(islice(rest, _BATCH)):
        for subject in engine.versions(batch):
            engine.learn(subject, baselines.baseline(subject))
        engine.fold(batch)
        found += _take(engine, done)
    rules = policy.of(model).windows
    engine.idle(rules.grace + rules.length + rules.max_length)
    found += _take(engine, done)
    done.counted = engine.counts["counted"]
    seen = _Seen(found)
    if labelled is not None:
        judge = LabelJudge(
            labelled, seen, baselines, policy, seen, patience=math.inf, now=lambda: 0.0
        )
        done.verdicts += judge.cycle(models=[model]).verdicts
    done.reports = seen.reports()
    return done


def _take(engine: PartitionEngine, done: Backtest) -> list[Report]:
    outbox = engine.take()
    done.verdicts += outbox.verdicts
    done.dead_letters += len(outbox.dead_letters)
    return outbox.reports


@dataclass(frozen=True, slots=True)
class _Untied:
    """Baselines without the thresholds that are kept with them."""

    source: BaselineSource

    def baseline(self, version: ModelVersion) -> Baseline | None:
        found = self.source.baseline(version)
        return None if found is None else replace(found, thresholds=None, thresholds_sha256="")


class _Seen:
    """The reports so far, as a store of them, and where labelled ones are said."""

    def __init__(self, reports: Sequence[Report]) -> None:
        self._reports: dict[str, Report] = {}
        self.say(reports, [])

    def say(self, reports: Sequence[Report], _: Sequence[Verdict]) -> None:
        """Keep the latest revision of each."""
        self._reports |= {report.id: report for report in reports}

    def reports(
        self,
        model: str | None = None,
        version: str | None = None,
        *,
        since: float = -math.inf,
        until: float = math.inf,
        basis: Basis | None = None,
        **_: Any,
    ) -> list[Report]:
        """Return those asked for, as a `ReportStore` does."""
        chosen = [
            report
            for report in self._reports.values()
            if (model is None or report.subject == (model, version))
            and since <= report.window.end < until
            and report.basis is (basis or (report.basis if model is None else Basis.PREDICTIONS))
        ]
        return sorted(
            chosen, key=lambda one: (one.version, one.basis.value != "predictions", one.window)
        )

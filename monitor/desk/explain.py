"""The whole story of one decision: the row of the log, and what was measured and decided around it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.errors import InputError, RegistryError
from monitor.events import ModelVersion
from monitor.predictionlog.query import Query
from monitor.reports import Basis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.policy.model import Policy
    from monitor.predictionlog.log import PredictionLog
    from monitor.registry.mlflow_registry import Registry
    from monitor.reports import Decision, Report
    from monitor.stores.protocol import ReportStore

#: Most reports and decisions looked at.
_MANY = 10_000


class NoSuchPrediction(InputError):
    """The prediction log does not hold it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision and what is known about it.

    Attributes
    ----------
    prediction
        The row of the log.
    labels
        What was ever said to be true of it; the one that holds is the last.
    reports
        Of the windows that the prediction fell in, as they were judged when they closed, and by their labels.
    decisions
        Steps of decisions whose verdict looked at one of these windows.
    registry
        What the model registry says of the version today; or why it says nothing.
    """

    prediction: Mapping[str, Any]
    labels: list[dict[str, Any]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    registry: Mapping[str, Any] = field(default_factory=dict)


def explain(
    prediction_id: str,
    log: PredictionLog,
    store: ReportStore,
    registry: Registry,
    policy: Policy,
    *,
    model: str | None = None,
    protected: bool = False,
    seconds: float | None = None,
) -> Explanation:
    """Gather the story of one prediction.

    Parameters
    ----------
    model
        Where several models' predictions bear this id.
    protected
        With the person's protected attributes; needs the master key.
    seconds
        How long finding it may take.

    Raises
    ------
    InputError
        If there is no such prediction, or it is not the only one.
    SettingsError, StoreError
        If the log or the store cannot be read.
    """
    row = _row(prediction_id, log, model, protected=protected, seconds=seconds)
    subject, time = ModelVersion(row["model"], row["version"]), row["event_time"].timestamp()
    longest = policy.of(subject.model).windows.max_length
    reports = [
        report
        for basis in Basis
        for report in store.reports(
            *subject, since=time, until=time + 2 * longest, limit=_MANY, basis=basis
        )
        if report.window.start <= time < report.window.end
    ]
    decisions = [
        decision
        for decision in store.decisions(subject.model, since=time, limit=_MANY)
        if _looked_at(decision, subject, time)
    ]
    labels = log.labels(subject.model, prediction_id)
    return Explanation(row, labels, reports, decisions, _registered(registry, subject, policy))


def _row(
    prediction_id: str,
    log: PredictionLog,
    model: str | None,
    *,
    protected: bool,
    seconds: float | None,
) -> dict[str, Any]:
    query = Query(model=model, prediction_id=prediction_id, limit=2)
    rows: list[dict[str, Any]] = log.ask(query, protected=protected, seconds=seconds).to_pylist()
    if not rows:
        raise NoSuchPrediction(
            "the prediction log has no such prediction",
            where=prediction_id,
            fix="It may not be archived yet, or its time is over.",
        )
    if len(rows) > 1:
        raise InputError(
            "several predictions bear this id",
            where=prediction_id,
            fix="Name the model, or ask `monitor log query --prediction-id`.",
        )
    nested = {n: json.loads(rows[0][n]) for n in ("features", "groups") if rows[0].get(n)}
    return rows[0] | nested


def _looked_at(decision: Decision, subject: ModelVersion, time: float) -> bool:
    verdict = decision.verdict
    if verdict is None or verdict.subject != subject:
        return False
    return any(w.start <= time < w.end for w in (*verdict.windows, verdict.window))


def _registered(registry: Registry, subject: ModelVersion, policy: Policy) -> dict[str, Any]:
    try:
        versions = registry.versions(subject.model)
        found = next((v for v in versions if v.subject == subject), None)
        alias = policy.of(subject.model).alias
        return {
            "registered": found is not None,
            "tags": {} if found is None else dict(found.tags),
            "alias": alias,
            "alias_names": registry.alias(subject.model, alias) if versions else None,
        }
    except RegistryError as error:
        return {"unknown": str(error)}

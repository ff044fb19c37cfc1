"""The census file's own row order, where people in group quarters lie together: drift, and no fault of the model."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from monitor.demo.census import FEATURES, GROUPS, LABEL, load_census
from monitor.demo.traffic import GAP
from monitor.desk.baseline import make_baseline
from monitor.desk.replay import replay_frame
from monitor.desk.tables import Roles
from monitor.events import ModelVersion
from monitor.policy.load import parse_policy
from monitor.reports import Action, Severity, Status
from tests.conftest import REPOSITORY

CENSUS = REPOSITORY / "examples" / "census"
SUBJECT = ModelVersion("census", "2")
POLICY = parse_policy(
    (REPOSITORY / "monitor/demo/policy.yaml").read_text(), where="the demo's policy"
)
ROLES = Roles("prediction", "score", LABEL, GROUPS)

#: Event time of the first row: a start of a window.
START = 1_500_000_000.0


@pytest.fixture(scope="module")
def census():
    return load_census(CENSUS)


@pytest.fixture(scope="module")
def model(census):
    made = HistGradientBoostingClassifier(max_iter=25, random_state=0)
    return made.fit(census.training[list(FEATURES)], census.training[LABEL])


@pytest.fixture(scope="module")
def baseline(census, model):
    return make_baseline(
        answered(census.reference, model), ROLES, SUBJECT, POLICY.of("census"), created_at=""
    )


def answered(rows: pd.DataFrame, model) -> pd.DataFrame:
    """The rows with the model's answers, without columns that are no part of an event."""
    scores = model.predict_proba(rows[list(FEATURES)])[:, 1]
    kept = rows[[*FEATURES, LABEL, *GROUPS]]
    return kept.assign(prediction=(scores >= 0.5).astype(int), score=scores)


def replay(rows: pd.DataFrame, model, baseline):
    timed = answered(rows, model).assign(at=[START + i * GAP for i in range(len(rows))])
    roles = Roles("prediction", "score", LABEL, GROUPS, ("at",))
    return replay_frame(
        timed, roles, time_column="at", subject=SUBJECT, baseline=baseline, policy=POLICY
    )


def test_the_raw_order_is_reported_as_huge_drift_and_never_rolled_back(census, model, baseline):
    raw = census.production.sort_values("id", ignore_index=True)
    result = replay(raw[120_000:150_000], model, baseline)
    assert result.counted == 30_000
    assert {report.status for report in result.reports} == {Status.OK}
    households = [drift_of(report, "RELP") for report in result.reports]
    assert max(column.psi for column in households) > 4
    assert [column.severity for column in households].count(Severity.BLOCK) >= 6
    answers = [report.prediction_drift[0] for report in result.reports]
    assert max(column.psi for column in answers) > 0.5
    assert Severity.SEVERE in {column.severity for column in answers}
    # The earlier version would meet the same people: people are told, and told why nothing was moved.
    assert result.rollback is None
    assert Action.NOTIFY in {verdict.action for verdict in result.verdicts}
    severe = [v for v in result.verdicts if v.severity is Severity.SEVERE]
    assert any("RELP" in verdict.reason for verdict in severe), [v.reason for v in severe]


def test_the_same_people_in_shuffled_order_alarm_nobody(census, model, baseline):
    result = replay(census.production[:75_000], model, baseline)
    assert len(result.reports) == 50
    assert [breach for report in result.reports for breach in report.breaches] == []
    assert {verdict.action for verdict in result.verdicts} <= {Action.NONE}


def drift_of(report, feature: str):
    return next(column for column in report.drift if column.feature == feature)

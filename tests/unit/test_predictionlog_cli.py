from __future__ import annotations

import csv
import datetime as dt
import io
import json
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from monitor.cli import explain as explain_command
from monitor.cli import log as log_command
from monitor.cli.archive import archive
from monitor.errors import InputError, RegistryUnavailable, SettingsError
from monitor.events import JSON_CONTENT, LabelEvent, ModelVersion, encode
from monitor.policy.model import Policy
from monitor.predictionlog.labels import LABELS, LabelRows
from monitor.predictionlog.log import PredictionLog
from monitor.predictionlog.messages import Message
from monitor.predictionlog.table import PredictionTable
from monitor.registry.versions import RegisteredVersion
from monitor.reports import (
    Action,
    Basis,
    Breach,
    Decision,
    Estimate,
    FairnessMeasure,
    Family,
    GroupRate,
    PerformanceMeasure,
    Report,
    Severity,
    Stage,
    Status,
    Verdict,
    Window,
)
from tests.archive import OVERRIDE, TODAY, World, event, gather

START = TODAY.timestamp() - 100
WINDOW = Window(START, START + 300)


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path)
    made.write(event(0, human_override=OVERRIDE), *map(event, range(1, 10)))
    for module in (log_command, explain_command):
        monkeypatch.setattr(module, "open_prediction_log", lambda *_: made.log)
        monkeypatch.setattr(module, "load_policy", lambda *_: Policy())
    return made


def run(command, *arguments: str):
    done = CliRunner().invoke(command, [*arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def query(*arguments: str) -> str:
    return run(log_command.log, "query", "--model", "team's/credit", *arguments)


def test_a_question_is_answered_in_each_format(world, tmp_path):
    rows = json.loads(
        query("--format", "json", "--where", "features.region = south", "--protected")
    )
    assert [row["event_id"] for row in rows] == ["event-9", "event-6", "event-3", "event-0"]
    assert (rows[-1]["features"], rows[-1]["groups"]) == (event(0).features, {"sex": "Mann"})
    (line,) = csv.DictReader(io.StringIO(query("--format", "csv", "--limit", "1")))
    assert (line["prediction_id"], line["override_reviewer"]) == ("prediction-0", "officer-7")
    assert "groups" not in line
    file = tmp_path / "rows.parquet"
    query("--format", "parquet", "--output", str(file), "--since", "2026-02-28T12:00:00Z")
    assert pq.read_table(file)["event_id"].to_pylist() == ["event-2", "event-1", "event-0"]
    assert "event_time" in query("--limit", "1")
    with pytest.raises(InputError, match="parquet is no text"):
        query("--format", "parquet")


def test_expire_erase_and_rotate_say_what_they_did(world):
    world.write(event(3, event_time=TODAY - dt.timedelta(days=400)))
    assert "1 rows of 1 days would be deleted" in run(log_command.log, "expire", "--dry-run")
    assert json.loads(run(log_command.log, "expire", "--json"))["models"][0]["rows"] == 1
    assert run(log_command.log, "expire") == "Nothing is due.\n"
    assert run(log_command.log, "erase", "--subject", "person-3").startswith("1 rows deleted")
    assert "0 keys wrapped anew" in run(log_command.log, "rotate")


def test_without_a_master_key_nothing_is_archived(monkeypatch):
    monkeypatch.delenv("MONITOR_LOG__MASTER_KEY", raising=False)
    with pytest.raises(SettingsError, match="needs a master key"):
        run(archive, "--once")


def report() -> Report:
    rates = {
        "Frau": GroupRate(n=50, selection_rate=0.2),
        "Mann": GroupRate(n=50, selection_rate=0.6),
    }
    return Report(
        model="team's/credit",
        version="1",
        window=WINDOW,
        revision=0,
        status=Status.OK,
        severity=Severity.BLOCK,
        n=100,
        n_reference=1000,
        fairness=(
            FairnessMeasure(
                attributes=("sex",), metric="demographic_parity_difference", value=0.4, groups=rates
            ),
        ),
        breaches=(
            Breach(
                rule="demographic_parity_difference[sex]",
                family=Family.FAIRNESS,
                severity=Severity.BLOCK,
                value=0.4,
                threshold=0.15,
            ),
        ),
        baseline_sha256="abc123",
        estimate=Estimate(accuracy=0.8765),
    )


def decision() -> Decision:
    verdict = Verdict(
        model="team's/credit",
        version="1",
        window=WINDOW,
        revision=0,
        severity=Severity.BLOCK,
        action=Action.ROLLBACK,
    )
    return Decision(
        decision_id="d",
        rollback_id="r",
        model="team's/credit",
        from_version="1",
        to_version="0",
        action=Action.ROLLBACK,
        stage=Stage.DONE,
        reason="unfair to women",
        at=WINDOW.end + 5,
        verdict=verdict,
    )


class Registry:
    def __init__(self, *, away: bool = False) -> None:
        self.away = away

    def versions(self, model):
        if self.away:
            raise RegistryUnavailable("MLflow does not answer")
        return [RegisteredVersion(ModelVersion(model, "1"), 1, {"monitor.state": "bad"})]

    def alias(self, *_):
        return "0"


@pytest.fixture
def around(world, monkeypatch):
    other = Window(START - 9000, START - 8700)
    reports = [report(), Report(**{**_fields(report()), "window": other})]
    by_labels = Report(
        **{
            **_fields(report()),
            "basis": Basis.LABELLED,
            "labelled": 80,
            "performance": (PerformanceMeasure(metric="recall", n=80, value=0.6, baseline=0.9),),
        }
    )
    store = SimpleNamespace(
        reports=lambda *_, basis, **__: [by_labels] if basis is Basis.LABELLED else reports,
        decisions=lambda *_, **__: [decision()],
    )
    monkeypatch.setattr(explain_command, "open_store", lambda _: store)
    monkeypatch.setattr(explain_command, "open_registry", lambda _: Registry())


def _fields(value) -> dict:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def test_one_page_tells_the_whole_story_of_a_decision(around):
    page = run(explain_command.explain, "prediction-0", "--protected")
    for said in (
        "run-1",
        "region",
        "{'sex': 'Mann'}",
        "offset 0",
        "officer-7",
        "papers came late",
        "abc123",
        "Frau 0.200, Mann 0.600",
        "BREACH demographic_parity_difference[sex]",
        "unfair to women",
        "monitor.state",
        "What turned out to be true is not known",
        "recall 0.600, 0.900 in the reference data",
        "ESTIMATED from the scores, not measured: 0.876",
    ):
        assert said in page, page
    assert page.count("Its window") == 1


def test_the_story_says_what_turned_out_to_be_true_and_which_label_holds(around, world, tmp_path):
    labels = PredictionTable(str(tmp_path / "log.labels"), layout=LABELS)
    labels.create()
    rows = LabelRows()
    for offset, (label, revision) in enumerate([(1, 1), (0, 0)]):
        said = LabelEvent(
            prediction_id="prediction-0",
            model_name="team's/credit",
            label=label,
            label_time=TODAY,
            revision=revision,
            source="ledger",
        )
        gather(
            rows, Message("labels", 0, offset, TODAY.timestamp(), b"", encode(said), JSON_CONTENT)
        )
    labels.append(rows.take(), {"labels-0": 1}, labels.positions(["labels-0"]))
    world.log = PredictionLog(
        world.table,
        world.keys,
        lambda *_: None,
        actor="tester",
        now=TODAY.timestamp,
        labels=labels,
    )
    page = run(explain_command.explain, "prediction-0")
    assert "0, known 2026-03-01 12:00:00Z, revision 0, by ledger: no longer holds" in page
    assert "1, known 2026-03-01 12:00:00Z, revision 1, by ledger: holds" in page


def test_the_story_is_told_as_json_too_and_without_what_is_protected(around):
    told = json.loads(run(explain_command.explain, "prediction-0", "--json"))
    assert told["prediction"]["features"] == event(0).features
    assert "groups" not in told["prediction"]
    assert {one["baseline_sha256"] for one in told["reports"]} == {"abc123"}
    assert [one.get("basis", "predictions") for one in told["reports"]] == [
        "predictions",
        "labelled",
    ]
    assert told["registry"]["alias_names"] == "0"


def test_a_registry_that_is_away_hinders_no_story(around, monkeypatch):
    monkeypatch.setattr(explain_command, "open_registry", lambda _: Registry(away=True))
    assert "MLflow does not answer" in run(explain_command.explain, "prediction-0")


def test_a_prediction_that_is_not_in_the_log_is_said_to_be_missing(around):
    with pytest.raises(InputError, match="no such prediction"):
        run(explain_command.explain, "prediction-99")

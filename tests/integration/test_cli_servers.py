"""The commands against a real broker and a real MLflow server: what they do, and what they say when it cannot be done."""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from sklearn.linear_model import LogisticRegression

from monitor.actions.audit import verify
from monitor.baselines import ARTIFACT, HASH_TAG
from monitor.bootstrap import make_topics
from monitor.errors import KafkaError
from monitor.registry.scored import register_classifier
from monitor.reports import Decision, Stage
from monitor.testing import until
from tests.command import call
from tests.deployment import Deployment

pytestmark = pytest.mark.kafka

FEATURES = ["income", "age"]
COLUMNS = ("--prediction", "prediction", "--score", "score", "--label", "repaid", "--groups", "sex")


def people(n: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    income = draw.normal(0, 1, n)
    score = 1 / (1 + np.exp(-income))
    return pd.DataFrame(
        {
            "age": draw.integers(18, 90, n),
            "income": income,
            "row": np.arange(n),
            "sex": draw.choice(["f", "m"], n),
            "score": score,
            "prediction": (score > 0.5).astype(int),
            "repaid": (draw.random(n) < score).astype(int),
        }
    )


@pytest.fixture
def deployment(kafka, mlflow_uri, tmp_path, monkeypatch):
    """A deployment whose settings are those of this process too; its topics are not made."""
    made = Deployment(kafka.bootstrap, mlflow_uri, tmp_path, "", MONITOR_STREAM__PARTITIONS="2")
    for name in [name for name in os.environ if name.startswith("MONITOR_")]:
        monkeypatch.delenv(name)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def monitor(deployment, capsys):
    """Calls the command within this process."""
    return lambda *words: call(capsys, *words)


@pytest.fixture
def make_topic(deployment):
    def make(what: str, partitions: int) -> None:
        admin = AdminClient(deployment.settings.kafka.confluent())
        name = deployment.topic(what)
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(120)
        until(lambda: name in admin.list_topics(timeout=60).topics)

    return make


@pytest.fixture(scope="module")
def trained(mlflow_uri):
    """Registers a real model with a signature as the next version of the named model."""
    rows = people(500, 9)
    classifier = LogisticRegression().fit(rows[FEATURES], rows["repaid"])

    def register(model: str) -> str:
        return register_classifier(mlflow_uri, model, classifier, rows[FEATURES].head(20)).version

    return register


@pytest.fixture
def model(trained):
    """A registered model with two versions; champion is the second."""
    name = f"credit-{uuid.uuid4().hex[:6]}"
    with contextlib.redirect_stderr(io.StringIO()):  # MLflow's hints
        assert [trained(name), trained(name)] == ["1", "2"]
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", "2")
    return name


def checks_of(ended) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in ended.json["checks"]}


# -------------------------------------------------------------------------------------------- doctor


def test_the_doctor_names_topics_that_are_not_there_yet(monitor, deployment):
    ended = monitor("doctor", "--json")
    topics = checks_of(ended)["topics"]
    assert (ended.code, topics["result"]) == (0, "warn")
    assert deployment.topic("predictions") in topics["sentence"]
    assert "`monitor run` makes them" in topics["fix"]


def test_the_doctor_finds_nothing_wrong_where_nothing_is(monitor, deployment):
    make_topics(deployment.settings)
    ended = monitor("doctor", "--json")
    assert (ended.code, ended.json["ok"]) == (0, True)
    assert {n: c["result"] for n, c in checks_of(ended).items()} == {
        "kafka": "ok", "topics": "ok", "arrival time": "ok", "record sizes": "ok", "registry": "ok",
        "store": "ok", "policy": "ok", "notices": "warn",
    }  # fmt: skip
    assert "2 source partitions" in checks_of(ended)["topics"]["sentence"]


def test_the_doctor_warns_of_arrival_times_that_are_the_producers(monitor, deployment, make_topic):
    make_topic("predictions", 2)
    make_topics(deployment.settings)
    ended = monitor("doctor", "--json")
    arrival = checks_of(ended)["arrival time"]
    assert (ended.code, arrival["result"]) == (0, "warn")
    assert f"LogAppendTime on {deployment.topic('predictions')}" in arrival["fix"]


def test_the_doctor_warns_of_topics_that_refuse_the_largest_record(monitor, deployment, make_topic):
    make_topic("state", 2)
    make_topics(deployment.settings)
    ended = monitor("doctor", "--json")
    sizes = checks_of(ended)["record sizes"]
    assert (ended.code, sizes["result"]) == (0, "warn")
    assert f"{deployment.topic('state')}=16777216" in sizes["fix"]
    assert deployment.topic("reports") not in sizes["sentence"]


def test_partition_counts_that_differ_are_found_by_the_doctor_and_refused_by_the_worker(
    monitor, deployment, make_topic
):
    make_topic("state", 3)
    with pytest.raises(KafkaError, match="it has 3 partitions"):
        make_topics(deployment.settings)
    ended = monitor("doctor", "--json")
    topics = checks_of(ended)["topics"]
    assert (ended.code, topics["result"]) == (1, "fail")
    assert "2 partitions" in topics["sentence"]
    assert "3" in topics["sentence"]
    worker = deployment.command("run", "--once", "--role", "stream")
    assert worker.returncode == 70
    assert "Traceback" not in worker.stderr
    assert f"topic {deployment.topic('state')}: it has 3 partitions" in worker.stderr


def test_credentials_that_the_broker_does_not_take_are_told_from_a_broker_that_is_away(
    monitor, deployment, monkeypatch
):
    wrong = {
        "MONITOR_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "MONITOR_KAFKA__SASL_MECHANISM": "PLAIN",
        "MONITOR_KAFKA__SASL_USERNAME": "monitor",
        "MONITOR_KAFKA__SASL_PASSWORD": "not-to-be-seen",
    }
    deployment.environment |= wrong
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    ended = monitor("doctor", "--json")
    kafka = checks_of(ended)["kafka"]
    assert (ended.code, kafka["result"]) == (1, "fail")
    assert "kafka.sasl_password" in kafka["fix"]
    worker = deployment.command("run", "--once")
    assert worker.returncode == 70
    assert "Traceback" not in worker.stderr
    assert "does not let this process in" in worker.stderr.splitlines()[-1]
    assert "not-to-be-seen" not in worker.stderr + ended.out


# ------------------------------------------------------------------------------------------ baseline


def create(monitor, model: str, frame: pd.DataFrame, *more: str, version: str = "1"):
    frame.to_parquet("reference.parquet")
    words = ("--model", model, "--version", version, "--data", "reference.parquet")
    return monitor("baseline", "create", *words, *(more or COLUMNS))


def test_a_baseline_has_the_features_of_the_models_signature_and_is_shown_again(monitor, model):
    ended = create(monitor, model, people(2000), *COLUMNS, "--json")
    assert ended.code == 0, ended
    made = ended.json
    assert (made["rows"], made["features"], made["groups"]) == (2000, FEATURES, ["sex"])
    shown = monitor("baseline", "show", "--model", model, "--version", "1", "--json").json
    assert shown["sha256"] == made["sha256"]
    assert shown["features"] == {"income": "numeric", "age": "numeric"}
    tags = mlflow.MlflowClient().get_model_version(model, "1").tags
    assert tags[HASH_TAG] == made["sha256"]


def test_a_version_that_has_a_baseline_gets_another_only_when_that_is_said_and_keeps_its_thresholds(
    monitor, model, deployment
):
    assert create(monitor, model, people(2000)).code == 0
    create(monitor, model, people(3000)).refused(f"{model}/1", "has a baseline", "--replace")
    (deployment.folder / "policy.yaml").write_text("defaults: {consecutive: 5}\n")
    made = create(monitor, model, people(3000), *COLUMNS, "--replace", "--json")
    assert made.json["rows"] == 3000
    which = ("--model", model, "--version", "1")
    assert monitor("policy", "show", *which, "--json").json["thresholds"]["consecutive"] == 3


def test_an_artifact_that_was_altered_is_refused(monitor, model, tmp_path):
    assert create(monitor, model, people(2000)).code == 0
    client = mlflow.MlflowClient()
    run = client.get_model_version(model, "1").run_id
    (folder,) = [f.path for f in client.list_artifacts(run, "monitor")]
    file = tmp_path / ARTIFACT
    approved = client.download_artifacts(run, f"{folder}/{ARTIFACT}", str(tmp_path))
    file.write_bytes(Path(approved).read_bytes().replace(b'"f"', b'"x"', 1))
    client.log_artifact(run, str(file), folder)
    show = monitor("baseline", "show", "--model", model, "--version", "1")
    show.refused(f"{model}/1", "sha256", "Find out who changed it")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda rows: rows[:0], ("reference.parquet", "no rows")),
        (lambda rows: rows.drop(columns="sex"), ("reference.parquet", "no column sex")),
        (lambda rows: rows.drop(columns="income"), ("no column", "income")),
        (lambda rows: rows.assign(sex=None), ("column sex", "are missing")),
        (lambda rows: rows.assign(prediction=None), ("column prediction", "are missing")),
        (
            lambda rows: rows.assign(prediction=1),
            ("prediction", "every answer in the reference data is 1"),
        ),
        (lambda rows: rows.assign(income=np.nan), ("column income", "are missing")),
        (lambda rows: rows.assign(income="much"), ("income", "much")),
    ],
)
def test_data_that_cannot_be_a_reference_is_refused_with_the_column(monitor, model, change, parts):
    create(monitor, model, change(people(500))).refused(*parts)
    assert HASH_TAG not in mlflow.MlflowClient().get_model_version(model, "1").tags


def test_a_protected_attribute_among_the_features_is_refused_unless_the_policy_says_why(
    monitor, model, deployment
):
    words = ("--prediction", "prediction", "--groups", "age")
    create(monitor, model, people(500), *words).refused("age", "protected_features")
    policy = "defaults: {protected_features: {age: the law asks for it}}\n"
    (deployment.folder / "policy.yaml").write_text(policy)
    assert create(monitor, model, people(500), *words).code == 0


def test_a_baseline_for_a_version_that_is_not_registered_is_refused(monitor, model):
    create(monitor, model, people(500), version="7").refused(f"{model}/7", "MLflow knows no such")


def test_a_version_without_a_baseline_is_told_how_to_make_one(monitor, model):
    ended = monitor("baseline", "show", "--model", model, "--version", "2")
    assert ended.code == 1
    assert "Make one with `monitor baseline create`" in ended.err


def test_a_replay_takes_the_versions_own_baseline(monitor, model):
    assert create(monitor, model, people(2000), version="2").code == 0
    rows = people(900, 1).drop(columns=["row", "repaid"])
    rows.assign(at=1_700_000_100 + np.arange(900) * 1.0).to_csv("rows.csv", index=False)
    words = ("--time-column", "at", "--model", model, "--version", "2", "--groups", "sex")
    ended = monitor("replay", "rows.csv", *words, "--score", "score", "--json")
    assert ended.code == 0, ended
    assert [window["n"] for window in ended.json["windows"]] == [300, 300, 300]
    assert {window["status"] for window in ended.json["windows"]} == {"ok"}
    assert ended.json["windows"][0]["n_reference"] == 2000


# ---------------------------------------------------------------------------------------- thresholds


def test_a_version_keeps_the_thresholds_it_was_registered_under_until_others_are_adopted_on_record(
    monitor, model, deployment
):
    make_topics(deployment.settings)
    assert create(monitor, model, people(2000)).code == 0
    (deployment.folder / "policy.yaml").write_text("defaults: {consecutive: 5}\n")
    which = ("--model", model, "--version", "1")
    shown = monitor("policy", "show", *which, "--json").json
    assert (shown["own"], shown["thresholds"]["consecutive"]) == (True, 3)
    assert shown["policy_says_otherwise"] == ["consecutive 3 -> 5"]
    assert monitor("policy", "adopt", *which, "--reason", "fewer windows a day").code == 0
    shown = monitor("policy", "show", *which, "--json").json
    assert (shown["thresholds"]["consecutive"], shown["policy_says_otherwise"]) == (5, [])
    decisions = deployment.values("decisions", Decision)
    assert [d.stage for d in decisions] == [Stage.INTENT, Stage.RECORDED]
    assert "consecutive 3 -> 5. fewer windows a day" in decisions[-1].reason
    assert verify(deployment.settings.audit.path).links == 2
    again = monitor("policy", "adopt", *which, "--reason", "again")
    again.refused(f"{model}/1", "under these thresholds already")


# ------------------------------------------------------------------------------------------ rollback


def test_a_dry_run_checks_everything_and_moves_nothing(monitor, model, deployment):
    make_topics(deployment.settings)
    words = ("rollback", "--model", model, "--to", "1", "--reason", "unfair to women")
    ended = monitor(*words, "--dry-run", "--json")
    assert ended.code == 0, ended
    assert (ended.json["from_version"], ended.json["to_version"]) == ("2", "1")
    assert ended.json["dry_run"]
    assert mlflow.MlflowClient().get_model_version_by_alias(model, "champion").version == "2"
    assert deployment.records("decisions") == []


def test_a_rollback_by_hand_moves_the_alias_once_and_is_on_record(monitor, model, deployment):
    make_topics(deployment.settings)
    words = ("rollback", "--model", model, "--to", "1", "--reason", "unfair to women")
    ended = monitor(*words)
    assert (ended.code, ended.out) == (0, f"{model}: moved champion from 2 to 1.\n")
    assert mlflow.MlflowClient().get_model_version_by_alias(model, "champion").version == "1"
    decisions = deployment.values("decisions", Decision)
    assert [d.stage for d in decisions] == [Stage.INTENT, Stage.DONE]
    assert {d.reason for d in decisions} == {"unfair to women"}
    assert "monitor" not in {d.actor for d in decisions}
    assert verify(deployment.settings.audit.path).links == 2
    monitor(*words).refused(f"{model}@champion", "names version 1 already")
    back = monitor("rollback", "--model", model, "--to", "2", "--reason", "again")
    back.refused(f"{model}/2", "was rolled back before", "delete its tag")


@pytest.mark.parametrize(
    ("named", "to", "parts"),
    [(None, "9", ("no version 9", "1, 2")), ("nobody", "1", ("nobody", "no version 1"))],
)
def test_a_rollback_to_what_is_not_there_names_what_is(
    monitor, model, deployment, named, to, parts
):
    make_topics(deployment.settings)
    ended = monitor("rollback", "--model", named or model, "--to", to, "--reason", "r")
    ended.refused(*parts)


def test_a_rollback_where_nothing_ever_ran_says_how_to_begin(monitor, model, deployment):
    ended = monitor("rollback", "--model", model, "--to", "1", "--reason", "r")
    ended.refused(deployment.topic("decisions"), "Start `monitor run` once")

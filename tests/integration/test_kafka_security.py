"""A broker that lets in whom it knows, and lets each do what its role needs: the whole deployment, on listed ACLs alone."""

from __future__ import annotations

import datetime as dt
import logging
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import NewTopic

from monitor.brokers import reach
from monitor.desk.tables import Roles
from monitor.errors import KafkaError as MonitorKafkaError
from monitor.events import ModelVersion, PredictionEvent, new_event_id
from monitor.fetch.member import Member
from monitor.policy.load import parse_policy
from monitor.publish import PredictionPublisher, PublisherSettings
from monitor.registry.mlflow_registry import Registry
from monitor.reports import DeadLetter, Decision, Report, Stage
from monitor.servers import Process
from monitor.settings import load_settings
from monitor.stores.sqlite import SqliteStore
from monitor.stream.topics import TopicNames, topic_configs
from monitor.testing import until
from tests.conftest import REPOSITORY
from tests.deployment import MONITOR, Deployment, register
from tests.secure_kafka import Authority, SecureKafka, documented_acls

pytestmark = pytest.mark.kafka

ROLES = ("publisher", "worker", "actor", "archiver", "reader", "auditor")
PASSWORDS = {role: f"not-to-be-seen-{role}" for role in ROLES}
POLICY = """
defaults:
  windows: {length: 60s, grace: 5s, min_events: 100, max_length: 2m}
  consecutive: 2
  fairness: {favourable: "1"}
"""
COLUMNS = Roles("prediction", "score", groups=("sex",))
WINDOWS, ROWS = 4, 400


def people(n: int, seed: int, *, unfair: bool) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    sex = draw.choice(["f", "m"], n)
    income = draw.normal(0, 1, n)
    shift = np.where(sex == "f", -1.0, 1.0) if unfair else 0.0
    score = 1 / (1 + np.exp(-income - shift))
    answer = (score > 0.5).astype(int)
    return pd.DataFrame({"income": income, "score": score, "prediction": answer, "sex": sex})


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[SecureKafka]:
    kafka = SecureKafka(tmp_path_factory.mktemp("secure"), PASSWORDS)
    try:
        kafka.start()
        configs = topic_configs(TopicNames())
        made = kafka.admin.create_topics(
            [NewTopic(name, 2, 1, config=config) for name, config in configs.items()]
        )
        for topic in made.values():
            topic.result(timeout=30)
        for role in ROLES:
            kafka.grant(list(documented_acls(role)))
        yield kafka
    finally:
        kafka.server.stop()


@dataclass
class Story:
    """What became of a version that was unfair from its first window on."""

    broker: SecureKafka
    deployment: Deployment
    model: str
    published: int
    archived: Path


def publish(broker: SecureKafka, model: str) -> int:
    """Windows of an unfair version, and one bad record under a key of another partition."""
    begin = (time.time() - 3600) // 60 * 60
    settings = PublisherSettings.from_environment(broker.with_password("publisher"))
    with PredictionPublisher(settings) as publisher:
        for window in range(WINDOWS):
            for i, row in enumerate(people(ROWS, window, unfair=True).to_dict("records")):
                at = begin + window * 60 + i * 60 / ROWS
                publisher.publish(
                    PredictionEvent(
                        event_id=new_event_id(),
                        prediction_id=new_event_id(),
                        event_time=dt.datetime.fromtimestamp(at, dt.UTC),
                        model_name=model,
                        model_version="2",
                        features={"income": row["income"]},
                        prediction=row["prediction"],
                        score=row["score"],
                        groups={"sex": row["sex"]},
                    )
                )
        assert publisher.flush(120)
        return publisher.counts.delivered


@pytest.fixture(scope="module")
def story(broker, mlflow_uri, tmp_path_factory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("least")
    model = f"credit-{uuid.uuid4().hex[:6]}"
    policy = parse_policy(POLICY, where="test").of(model)
    for version in "12":
        frame = people(3_000, 10 + int(version), unfair=False)
        register(
            mlflow_uri, ModelVersion(model, version), frame=frame, roles=COLUMNS, policy=policy
        )
    Registry(mlflow_uri).set_alias(model, "champion", "2")
    deployment = Deployment(
        broker.server.bootstrap,
        mlflow_uri,
        folder,
        POLICY,
        MONITOR_TOPICS__PREFIX="",
        MONITOR_STREAM__APP="monitor",
        MONITOR_STREAM__IDLE_SECONDS="3",
        MONITOR_HEALTH__PORT="0",
        MONITOR_LOG__PATH=str(folder / "log"),
        MONITOR_LOG__MASTER_KEY="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        MONITOR_LOG__BATCH_SECONDS="1",
    )
    ways = {
        "worker": (["run", "--role", "stream"], broker.with_password("worker")),
        "actor": (["run", "--role", "act"], broker.with_password("actor", "PLAIN")),
        "archiver": (["archive"], broker.with_certificate("archiver")),
    }
    try:
        for role, (command, kafka) in ways.items():
            process = Process(
                role,
                [*MONITOR, *command],
                log=folder / f"{role}.log",
                env=deployment.environment | kafka,
            )
            process.start()
            deployment.processes.append(process)
        published = publish(broker, model)
        stages = lambda: {d.stage for d in deployment.values("decisions", Decision)}  # noqa: E731
        until(lambda: Stage.DONE in stages(), deadline=240, pause=0.5)
        made = Story(broker, deployment, model, published, folder / "log")
        until(lambda: rows(made) >= published, deadline=240, pause=0.5)
        until(lambda: len(kept(made)[1]) >= 2, deadline=240, pause=0.5)
        yield made
    finally:
        deployment.stop()


def rows(story: Story) -> int:
    if not (story.archived / "_delta_log").exists():
        return 0
    from deltalake import DeltaTable

    return DeltaTable(story.archived).to_pyarrow_table(columns=["prediction_id"]).num_rows


def kept(story: Story) -> tuple[list[Report], list[Decision]]:
    """What the store holds: the sink reads two topics of its own."""
    store = SqliteStore(story.deployment.folder / "monitor.db")
    try:
        return store.reports(story.model), store.decisions(story.model)
    finally:
        store.close()


def test_a_deployment_does_all_its_work_with_the_listed_rights_alone(story):
    reports = [r for r in story.deployment.values("reports", Report) if r.model == story.model]
    assert sum(r.n for r in reports if r.revision == 0) >= 2 * ROWS
    assert Registry(story.deployment.settings.registry.uri).alias(story.model, "champion") == "1"
    assert kept(story)[0]
    assert rows(story) == story.published == WINDOWS * ROWS
    said = story.deployment.logs()
    assert "AUTHORIZATION" not in said.upper(), said
    assert "Traceback" not in said


def test_a_bad_record_and_a_mis_keyed_one_go_where_they_belong(story):
    """Dead letters and forwarding need rights of their own."""
    before = len(story.deployment.values("dead_letters", DeadLetter))
    config = load_settings(story.broker.with_password("publisher")).kafka.confluent()
    producer = Producer(config)
    for partition in (0, 1):
        producer.produce("predictions", b"{", f"{story.model}/2".encode(), partition=partition)
    assert producer.flush(120) == 0
    until(
        lambda: len(story.deployment.values("dead_letters", DeadLetter)) >= before + 2,
        deadline=240,
        pause=0.5,
    )


def test_no_password_is_in_a_log_or_a_file(story):
    seen = [file.read_bytes() for file in story.deployment.folder.iterdir() if file.is_file()]
    for word in PASSWORDS.values():
        assert not any(word.encode() in text for text in seen)


def refused(config: dict, act) -> int:
    """The code with which the broker refuses."""
    with pytest.raises(KafkaException) as caught:
        act(config)
    return caught.value.args[0].code()


def read(topic: str, group: str):
    def act(config: dict) -> bool:
        settings = {**config, "group.id": group, "auto.offset.reset": "earliest"}
        consumer = Consumer(settings)
        try:
            consumer.subscribe([topic])
            end = time.monotonic() + 120
            while time.monotonic() < end:
                message = consumer.poll(1.0)
                if message is not None and message.error() is not None:
                    raise KafkaException(message.error())
                if message is not None:
                    return True
            return False
        finally:
            consumer.close()

    return act


def write(topic: str):
    def act(config: dict) -> None:
        failed: list[KafkaError] = []
        producer = Producer(config)
        producer.produce(topic, b"{}", on_delivery=lambda error, _: failed.append(error))
        producer.flush(120)
        if failed[0] is not None:
            raise KafkaException(failed[0])

    return act


DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


@pytest.mark.parametrize(
    ("role", "act"),
    [
        ("publisher", read("predictions", "publisher-reads")),
        ("publisher", read("reports", "reader-1")),
        ("publisher", write("decisions")),
        ("reader", write("predictions")),
        ("reader", write("decisions")),
        ("reader", read("predictions", "reader-2")),
        ("reader", read("dead-letters", "reader-3")),
        ("auditor", read("predictions", "auditor-2")),
        ("archiver", write("predictions")),
        ("worker", write("decisions")),
        ("actor", write("predictions")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__qualname__.split(".")[0],
)
def test_a_role_cannot_do_what_another_is_for(story, role, act):
    config = load_settings(story.broker.with_password(role)).kafka.confluent()
    assert refused(config, act) in DENIED


@pytest.mark.parametrize(
    ("role", "topic", "group"),
    [
        ("publisher", "predictions", "publisher-archives"),
        ("archiver", "decisions", "monitor-labels-archive"),
    ],
    ids=["group", "topic"],
)
def test_an_archiver_that_may_not_read_says_so_and_ends(story, role, topic, group):
    access = load_settings(story.broker.with_password(role)).kafka.aiokafka()
    with (
        Member(access, topic, group, session_seconds=30) as member,
        pytest.raises(MonitorKafkaError, match="may not be read"),
    ):
        until(lambda: member.take(0.2), deadline=120)


@pytest.mark.parametrize(("role", "topic"), [("reader", "reports"), ("auditor", "dead-letters")])
def test_a_role_can_do_what_it_is_for(story, role, topic):
    config = load_settings(story.broker.with_password(role)).kafka.confluent()
    assert read(topic, f"{role}-1")(config)


# ---------------------------------------------------------------------------------- wrong credentials


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_one_sentence_that_names_the_setting(broker, mechanism):
    wrong = broker.with_password("worker", mechanism)
    wrong["MONITOR_KAFKA__SASL_PASSWORD"] = "not-this-one"
    assert "kafka.sasl_password" in sentence_of(wrong)


def test_a_wrong_authority_is_one_sentence_that_names_the_setting(broker, tmp_path):
    wrong = broker.with_password("worker")
    wrong["MONITOR_KAFKA__SSL_CA"] = str(Authority(tmp_path, "another").file)
    assert "kafka.ssl_ca" in sentence_of(wrong)


def test_a_certificate_of_another_authority_is_one_sentence_that_names_the_setting(
    broker, tmp_path
):
    wrong = broker.with_certificate("archiver")
    certificate, key = Authority(tmp_path, "another").issue("archiver")
    wrong["MONITOR_KAFKA__SSL_CERT"] = str(certificate)
    wrong["MONITOR_KAFKA__SSL_KEY"] = str(key)
    assert "kafka.ssl_cert" in sentence_of(wrong)


def test_a_client_without_a_certificate_is_told_so_in_one_sentence(broker):
    wrong = broker.with_certificate("archiver")
    del wrong["MONITOR_KAFKA__SSL_CERT"], wrong["MONITOR_KAFKA__SSL_KEY"]
    assert "kafka.ssl_cert" in sentence_of(wrong)


def sentence_of(environment: dict[str, str]) -> str:
    with pytest.raises(MonitorKafkaError, match="does not let this process in") as caught:
        reach(load_settings(environment).kafka.confluent(), seconds=60)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_command_ends_with_that_sentence_and_no_traceback(broker, tmp_path):
    wrong = broker.with_password("worker")
    wrong["MONITOR_KAFKA__SASL_PASSWORD"] = "not-this-one"
    done = subprocess.run(
        [*MONITOR, "run", "--once"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **wrong},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 70, done.stderr
    assert "kafka.sasl_password" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_publisher_with_a_wrong_password_goes_on_serving_and_says_so(broker, caplog):
    wrong = broker.with_password("publisher")
    wrong["MONITOR_KAFKA__SASL_PASSWORD"] = "not-this-one"
    with caplog.at_level(logging.WARNING, "monitor.publish"):
        publisher = PredictionPublisher(PublisherSettings.from_environment(wrong))
        until(lambda: "kafka.sasl_password" in caplog.text, deadline=240)
        publisher.close(timeout=0.1)
    assert "not-this-one" not in caplog.text

"""Acting on verdicts from a real Kafka: once, by one process, whatever dies or joins."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from monitor.actions.audit import AuditRecord, verify
from monitor.actions.log import DecisionReader, Fenced, KafkaDecisionLog
from monitor.actions.past import step_id
from monitor.actions.rollback import decision_on
from monitor.actions.service import ActingService, ActingTopics
from monitor.errors import KafkaError, MonitorError, StateError
from monitor.policy.model import Policy
from monitor.reports import Stage, encode
from monitor.servers.ports import free_ports
from monitor.testing import until
from tests.acting import MODEL, Crash, FakeNotices, FakeRegistry, verdict

pytestmark = pytest.mark.kafka

DECISION = decision_on(
    verdict(),
    rollback_id="r",
    decision_id=step_id("r", Stage.INTENT),
    stage=Stage.INTENT,
    reason="why",
    at=1.0,
    alias="champion",
    to_version="2",
)


class ManyModels:
    """A registry of several models."""

    def __init__(self, count):
        self.models = {f"m{n}": FakeRegistry() for n in range(count)}

    def alias(self, model, alias):
        return self.models[model].alias(model, alias)

    def set_alias(self, model, alias, version):
        self.models[model].set_alias(model, alias, version)

    def versions(self, model):
        return self.models[model].versions(model)

    def tag(self, version, key, value):
        self.models[version.model].tag(version, key, value)


class Deployment:
    """Topics of its own, one registry, and as many acting processes as wanted."""

    def __init__(self, kafka, topics, path):
        self.kafka = {"bootstrap.servers": kafka.bootstrap}
        self.topics = ActingTopics(
            topics("verdicts", partitions=2), topics("decisions", partitions=2)
        )
        self.registry = FakeRegistry()
        self.notices = FakeNotices()
        self.audit = AuditRecord(path / "audit.jsonl")
        self.producer = Producer({**self.kafka, "partitioner": "murmur2_random"})

    def service(self, registry=None):
        return ActingService(
            self.kafka,
            self.topics,
            registry or self.registry,
            Policy(),
            self.notices,
            self.audit.add,
            session_seconds=6.0,
        )

    @contextmanager
    def running(self, registry=None):
        service, stop, failures = self.service(registry), threading.Event(), []

        def run():
            try:
                service.run(stop)
            except (MonitorError, Crash) as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield service
        finally:
            stop.set()
            thread.join(120)
        assert not thread.is_alive()
        assert failures == []

    def publish(self, *verdicts):
        for one in verdicts:
            value = one if isinstance(one, bytes) else encode(one)
            key = MODEL if isinstance(one, bytes) else one.model
            self.producer.produce(self.topics.verdicts, value, key.encode())
        assert self.producer.flush(120) == 0

    def decisions(self, model=MODEL):
        reader = DecisionReader(self.kafka, self.topics.decisions, lambda _: None)
        reader.refresh()
        found = reader.of(model)
        reader.close()
        return found

    def stages(self, model=MODEL):
        return [decision.stage for decision in self.decisions(model)]


def fresh(**about):
    return verdict(closed_at=time.time(), **about)


@pytest.fixture
def deployment(kafka, topics, tmp_path):
    return Deployment(kafka, topics, tmp_path)


def test_a_verdict_moves_the_alias_and_is_on_record_everywhere(deployment):
    deployment.publish(b"no verdict", fresh())
    with deployment.running():
        until(lambda: deployment.stages() == [Stage.INTENT, Stage.DONE])
    assert deployment.registry.aliases["champion"] == "2"
    assert verify(deployment.audit.path).links == 2
    assert deployment.notices.kinds == ["rolled_back"]


def test_a_process_started_anew_does_not_act_again_and_the_audit_record_goes_on(deployment):
    deployment.publish(fresh())
    with deployment.running():
        until(lambda: Stage.DONE in deployment.stages())
    deployment.registry.aliases["champion"] = "3"
    deployment.publish(fresh(last=4, length=4), fresh(model="other", action="notify"))
    with deployment.running():
        until(lambda: deployment.stages("other") == [Stage.NOTIFIED])
    assert deployment.registry.aliases["champion"] == "3"
    assert verify(deployment.audit.path).links == 3


@pytest.mark.parametrize("call", ["alias", "set_alias", "tag"])
def test_a_process_that_dies_while_acting_leaves_the_rest_to_the_next(deployment, call):
    def die(name):
        if name == call:
            raise Crash

    deployment.registry.before = die
    deployment.publish(fresh())
    with pytest.raises(Crash):
        deployment.service().run(threading.Event())
    deployment.registry.before = lambda _: None
    with deployment.running():
        until(lambda: Stage.DONE in deployment.stages())
    assert len(deployment.registry.moves) == 1
    assert deployment.stages() == [Stage.INTENT, Stage.DONE]


def test_while_the_registry_is_away_others_are_acted_on_and_then_it_is_made_up_for(deployment):
    deployment.registry.away = True
    deployment.publish(fresh(), fresh(last=4, length=4), fresh(model="other", action="notify"))
    with deployment.running():
        until(lambda: deployment.stages("other") == [Stage.NOTIFIED])
        assert deployment.notices.kinds.count("waiting") == 1
        deployment.registry.away = False
        until(lambda: Stage.DONE in deployment.stages())
    assert len(deployment.registry.moves) == 1


def test_what_waited_for_the_registry_comes_again_in_the_next_process(deployment):
    deployment.registry.away = True
    deployment.publish(fresh())
    with deployment.running():
        until(lambda: "waiting" in deployment.notices.kinds)
    deployment.registry.away = False
    with deployment.running():
        until(lambda: Stage.DONE in deployment.stages())
    assert deployment.registry.aliases["champion"] == "2"


def test_of_two_deployments_on_the_same_topics_one_acts_for_a_model(deployment):
    registry = ManyModels(6)
    with deployment.running(registry) as first, deployment.running(registry) as second:
        until(lambda: first.partitions | second.partitions == {0, 1} and second.partitions)
        assert not first.partitions & second.partitions
        deployment.publish(*(fresh(model=model) for model in registry.models))
        until(lambda: all(Stage.DONE in deployment.stages(model) for model in registry.models))
    assert all(len(one.moves) == 1 for one in registry.models.values())


def test_when_one_process_leaves_another_takes_its_models_over(deployment):
    with deployment.running() as first:
        with deployment.running() as second:
            until(lambda: len(first.partitions) == len(second.partitions) == 1)
        until(lambda: first.partitions == {0, 1})
        deployment.publish(fresh())
        until(lambda: Stage.DONE in deployment.stages())
    assert len(deployment.registry.moves) == 1


def test_a_second_writer_fences_the_first_which_writes_nothing_more(deployment):
    reader = DecisionReader(deployment.kafka, deployment.topics.decisions, lambda _: None)
    args = (deployment.kafka, deployment.topics.decisions, "actor-0", reader)
    first = KafkaDecisionLog(*args)
    first.append(DECISION)
    second = KafkaDecisionLog(*args)
    with pytest.raises(Fenced, match="another process decides"):
        first.append(replace(DECISION, decision_id="r:done", stage=Stage.DONE))
    assert [d.decision_id for d in second.history(MODEL)] == ["r:intent"]
    second.append(replace(DECISION, decision_id="r:refused", stage=Stage.REFUSED))
    assert deployment.stages() == [Stage.INTENT, Stage.REFUSED]
    reader.close()


def test_a_decision_of_another_release_is_not_passed_over(deployment):
    deployment.producer.produce(deployment.topics.decisions, b'{"stage": "sideways"}', b"m")
    deployment.producer.flush(120)
    with pytest.raises(StateError, match="cannot read a decision"):
        deployment.service().run(threading.Event())


def test_a_missing_topic_and_a_missing_broker_are_named(kafka):
    with pytest.raises(KafkaError, match="topic nowhere: there is no such topic"):
        DecisionReader({"bootstrap.servers": kafka.bootstrap}, "nowhere", lambda _: None)
    (port,) = free_ports(1)
    with pytest.raises(KafkaError, match="Check that Kafka runs"):
        DecisionReader(
            {"bootstrap.servers": f"127.0.0.1:{port}"}, "decisions", lambda _: None, patience=2
        )

"""The servers that the project starts are the real ones, and leave nothing behind."""

from __future__ import annotations

import json
import urllib.request

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from monitor.servers import KafkaServer
from monitor.servers.ports import accepts
from monitor.testing import until


def read_all(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    seen: list[bytes] = []

    def all_came() -> bool:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            seen.append(message.value())
        return len(seen) >= count

    try:
        until(all_came, pause=0)
    finally:
        consumer.close()
    return seen


@pytest.mark.kafka
def test_what_is_published_in_a_transaction_is_read_back(kafka, topics):
    topic = topics("house", partitions=2)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(120)
    producer.begin_transaction()
    producer.produce(topic, b"one", partition=1)
    producer.commit_transaction(120)
    assert read_all(kafka.bootstrap, topic, 1) == [b"one"]


@pytest.mark.kafka
def test_a_topic_that_nobody_created_does_not_come_by_itself(kafka):
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.list_topics("never-created", timeout=60)
    assert "never-created" not in admin.list_topics(timeout=60).topics


@pytest.mark.kafka
def test_a_broker_that_is_killed_comes_back_with_its_data_and_leaves_nothing_behind():
    with KafkaServer(properties={"auto.create.topics.enable": "true"}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        producer.produce("kept", b"value")
        assert producer.flush(120) == 0
        broker.kill()
        assert not broker.running
        broker.start()
        assert read_all(broker.bootstrap, "kept", 1) == [b"value"]
        directory, port = broker.directory, int(broker.bootstrap.rpartition(":")[2])
    assert not directory.exists()
    assert not accepts(port)


def test_mlflow_answers_over_http_from_its_database(mlflow_uri):
    address = f"{mlflow_uri}/api/2.0/mlflow/registered-models/search"
    with urllib.request.urlopen(address, timeout=120) as answer:
        assert answer.status == 200


@pytest.mark.influx
def test_influx_has_the_bucket_and_takes_the_token(influx):
    request = urllib.request.Request(
        f"{influx.url}/api/v2/buckets?name={influx.bucket}",
        headers={"Authorization": f"Token {influx.token}"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        (bucket,) = json.load(answer)["buckets"]
    assert bucket["name"] == influx.bucket

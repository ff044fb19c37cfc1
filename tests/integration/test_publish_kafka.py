"""The publisher against a real broker, there and away."""

from __future__ import annotations

import datetime as dt
import signal
import time
import uuid

import pyarrow as pa
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from monitor.events import PredictionEvent, decode_prediction, new_event_id
from monitor.publish import PredictionPublisher, PublisherSettings
from monitor.publish.session import new_producer
from monitor.servers import KafkaServer
from monitor.testing import until
from tests.deployment import read_to_the_end

pytestmark = pytest.mark.kafka
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


def event(version: int | str = "7", age: int = 41) -> PredictionEvent:
    event_id = new_event_id()
    return PredictionEvent(
        event_id=event_id,
        prediction_id=event_id,
        event_time=NOON,
        model_name="credit",
        model_version=str(version),
        features={"age": age},
        prediction=1,
        groups={"sex": "f"},
    )


def read(bootstrap: str, topic: str):
    """All that lies in the topic once everything was delivered, however long that takes to read."""
    return list(read_to_the_end({"bootstrap.servers": bootstrap}, topic))


def murmur2(data: bytes) -> int:
    """Kafka's own hash, from its Java source, so that the partition is checked independently."""
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    hashed = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        hashed = (hashed * multiplier & mask) ^ word
    if data[whole:]:
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * multiplier & mask
    hashed = (hashed ^ hashed >> 13) * multiplier & mask
    return (hashed ^ hashed >> 15) & 0x7FFFFFFF


def counted(messages) -> list[str]:
    """Event ids as the worker counts them: above the highest sequence of producer and partition."""
    highest: dict[tuple[bytes, int], int] = {}
    ids = []
    for message in messages:
        headers = dict(message.headers())
        whom = headers["producer_id"], message.partition()
        sequence = int(headers["sequence"])
        if sequence > highest.get(whom, -1):
            highest[whom] = sequence
            ids.append(headers["ce_id"].decode())
    return ids


@pytest.fixture
def own_kafka():
    with KafkaServer() as server:
        yield server


def make_topic(bootstrap: str, name: str, partitions: int = 3) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(120)


def test_events_arrive_with_key_headers_and_murmur2_partition(kafka, topics):
    topic = topics("predictions", partitions=4)
    sent = [event(version) for version in range(20)]
    with PredictionPublisher(kafka.bootstrap, topic=topic, source="/test") as publisher:
        for item in sent:
            publisher.publish(item)
        assert publisher.flush(120)
        assert publisher.counts.delivered == publisher.counts.accepted == 20
        assert publisher.counts.pending == 0
    messages = read(kafka.bootstrap, topic)
    assert {decode_prediction(m.value()).event_id: m.partition() for m in messages} == {
        item.event_id: murmur2(item.version.key) % 4 for item in sent
    }
    for message in messages:
        headers = dict(message.headers())
        value = decode_prediction(message.value())
        assert message.key() == value.version.key
        assert headers["ce_id"] == value.event_id.encode()
        assert headers["ce_source"] == b"/test"
        assert headers["ce_time"] == b"2026-01-02T12:00:00+00:00"
        assert headers["content-type"] == b"application/json"
        assert headers["producer_id"] == publisher.producer_id.encode()
    assert sorted(int(dict(m.headers())["sequence"]) for m in messages) == list(range(20))


def test_a_table_arrives_as_arrow_messages_of_one_version_each(kafka, topics):
    topic = topics("predictions", partitions=4)
    rows = 30_000
    table = pa.table(
        {
            "model_name": ["credit"] * rows,
            "model_version": ["7", "8"] * (rows // 2),
            "event_time": pa.array([NOON] * rows, pa.timestamp("ms", tz="Europe/Berlin")),
            "prediction": [0, 1] * (rows // 2),
            "features.age": pa.array(range(rows), pa.int64()),
            "groups.sex": ["f", "m"] * (rows // 2),
        }
    )
    with PredictionPublisher(kafka.bootstrap, topic=topic) as publisher:
        publisher.publish_batch(table)
        assert publisher.flush(120)
        counts = publisher.counts
    assert counts.accepted == counts.delivered == rows
    ages: dict[bytes, list[int]] = {b"credit/7": [], b"credit/8": []}
    for message in read(kafka.bootstrap, topic):
        assert len(message.value()) <= 900_000
        assert dict(message.headers())["content-type"] == b"application/vnd.apache.arrow.stream"
        chunk = pa.ipc.open_stream(message.value()).read_all()
        assert chunk.schema.field("event_time").type == pa.timestamp("us", tz="UTC")
        assert {f"credit/{v}".encode() for v in chunk["model_version"].to_pylist()} == {
            message.key()
        }
        ages[message.key()] += chunk["features.age"].to_pylist()
    assert ages == {
        b"credit/7": list(range(0, rows, 2)),
        b"credit/8": list(range(1, rows, 2)),
    }


def test_while_kafka_is_away_events_wait_on_disk_and_then_arrive_in_order(own_kafka, tmp_path):
    make_topic(own_kafka.bootstrap, "predictions")
    publisher = PredictionPublisher(
        own_kafka.bootstrap, spool_directory=tmp_path, patience_s=0.3, window_events=500
    )
    sent = [event(number % 5, number) for number in range(6_000)]
    for item in sent[:1_000]:
        publisher.publish(item)
    assert publisher.flush(120)
    before = publisher.counts.spooled  # a slow first connection may have been taken for an outage
    own_kafka.stop()
    for item in sent[1_000:]:
        publisher.publish(item)
    # Nothing waited for Kafka: it is away until it is started again below.
    until(lambda: publisher.counts.accepted == 6_000, what="all accepted")
    until(lambda: publisher.counts.spooled == before + 5_000, what="all on disk")
    assert not publisher.flush(0.2)
    assert publisher.counts.pending == 5_000
    own_kafka.start()
    assert publisher.flush(180)
    counts = publisher.counts
    publisher.close()
    assert (counts.delivered, counts.dropped) == (6_000, 0)
    assert not list(tmp_path.glob("**/*.spool"))
    messages = read(own_kafka.bootstrap, "predictions")
    assert sorted(counted(messages)) == sorted(item.event_id for item in sent)


def test_what_one_process_spooled_the_next_one_delivers_under_the_same_name(own_kafka, tmp_path):
    make_topic(own_kafka.bootstrap, "predictions")
    own_kafka.stop()
    sent = [event(number % 5, number) for number in range(300)]
    with PredictionPublisher(own_kafka.bootstrap, spool_directory=tmp_path) as first:
        for item in sent[:200]:
            first.publish(item)
        first.close(timeout=0.1)
    assert first.counts.pending == 200
    assert first.counts.dropped == 0
    own_kafka.start()
    with PredictionPublisher(own_kafka.bootstrap, spool_directory=tmp_path) as second:
        assert second.producer_id == first.producer_id
        for item in sent[200:]:
            second.publish(item)
        assert second.flush(180)
        assert second.counts.recovered == 200
        assert second.counts.delivered == 300
    messages = read(own_kafka.bootstrap, "predictions")
    assert sorted(counted(messages)) == sorted(item.event_id for item in sent)


def test_a_broker_that_freezes_and_wakes_loses_nothing(own_kafka, tmp_path):
    make_topic(own_kafka.bootstrap, "predictions")
    with PredictionPublisher(
        own_kafka.bootstrap,
        spool_directory=tmp_path,
        patience_s=0.2,
        librdkafka={"request.timeout.ms": 1_000, "socket.timeout.ms": 1_000},
    ) as publisher:
        sent = [event(number % 3, number) for number in range(3_000)]
        for item in sent[:100]:
            publisher.publish(item)
        assert publisher.flush(120)
        before = publisher.counts.spooled
        own_kafka._process.send(signal.SIGSTOP)
        for item in sent[100:2_000]:
            publisher.publish(item)
        until(lambda: publisher.counts.spooled == before + 1_900, what="all on disk")
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 2.5, what="requests that time out at the client")
        own_kafka._process.send(signal.SIGCONT)
        for item in sent[2_000:]:
            publisher.publish(item)
        assert publisher.flush(180)
    messages = read(own_kafka.bootstrap, "predictions")
    assert sorted(counted(messages)) == sorted(item.event_id for item in sent)


def test_events_for_a_topic_that_is_made_later_are_kept(kafka, tmp_path):
    topic = f"later-{uuid.uuid4().hex[:8]}"
    with PredictionPublisher(
        kafka.bootstrap,
        topic=topic,
        spool_directory=tmp_path,
        patience_s=0.2,
        librdkafka={
            "topic.metadata.propagation.max.ms": 300,
            "topic.metadata.refresh.interval.ms": 500,
        },
    ) as publisher:
        sent = [event(number % 3, number) for number in range(50)]
        for item in sent:
            publisher.publish(item)
        until(lambda: publisher._courier._backoff_s > 1.0, what="Kafka has refused once")
        make_topic(kafka.bootstrap, topic)
        assert publisher.flush(180)
        assert publisher.counts.delivered == 50
    messages = read(kafka.bootstrap, topic)
    assert sorted(counted(messages)) == sorted(item.event_id for item in sent)


def test_a_message_that_kafka_can_never_take_is_counted_and_the_others_arrive(kafka, topics):
    topic = topics("predictions")
    with PredictionPublisher(kafka.bootstrap, topic=topic) as publisher:
        huge = event()
        huge.features["essay"] = "x" * 2_000_000
        for item in (event(), huge, event()):
            publisher.publish(item)
        assert publisher.flush(120)
        assert (publisher.counts.delivered, publisher.counts.dropped) == (2, 1)


def test_the_first_messages_of_a_topic_just_made_are_kept(kafka):
    """Its leaders are named before they know that they lead: they refuse a first request, and would take a second."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    producer = new_producer(PublisherSettings(bootstrap=kafka.bootstrap, linger_ms=1), print)
    sent = {f"new-{uuid.uuid4().hex[:8]}": 0 for _ in range(10)}
    for topic in sent:
        made = admin.create_topics([NewTopic(topic, 4, 1)])[topic]
        until(lambda topic=topic: topic in admin.list_topics(timeout=60).topics, pause=0.001)
        until(
            lambda topic=topic: producer.list_topics(topic, timeout=60).topics[topic].partitions,
            pause=0.001,
        )
        for number in range(80):
            producer.produce(topic, b"%d" % number, partition=number % 4)
            if number % 4 == 3:
                producer.poll(0.002)  # one request after the other
        made.result(120)
        sent[topic] = number + 1
    assert producer.flush(120) == 0
    assert {topic: len(read(kafka.bootstrap, topic)) for topic in sent} == sent

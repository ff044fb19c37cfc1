"""Labels from a file, over a real broker, into the table beside the log."""

from __future__ import annotations

import base64
import csv
import threading

import msgspec
import pytest
from confluent_kafka import Consumer, Producer

from monitor.predictionlog.archiver import Archiver, BatchSize
from monitor.predictionlog.keys import MasterKey
from monitor.predictionlog.labels import LABELS, LabelRows
from monitor.predictionlog.letters import DeadLetters
from monitor.predictionlog.table import PredictionTable
from monitor.reports import Basis, DeadLetter, Report
from monitor.testing import until
from tests.command import call
from tests.labels import POLICY, LabelWorld, people

pytestmark = pytest.mark.kafka

LABELLED = 5_000


def test_a_file_of_labels_is_archived_exactly_once_across_two_archivers(
    kafka, topics, tmp_path, monkeypatch, capsys
):
    topic = topics("labels", partitions=2, config={"message.timestamp.type": "LogAppendTime"})
    monkeypatch.setenv("MONITOR_KAFKA__BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("MONITOR_TOPICS__LABELS", topic)
    file = tmp_path / "labels.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["prediction_id", "label", "label_time"])
        writer.writerows((f"p-{i}", i % 2, "2026-01-02T12:00:00Z") for i in range(LABELLED))
    table = PredictionTable(str(tmp_path / "log.labels"), layout=LABELS)

    def load_and_archive(expected: int) -> None:
        ended = call(capsys, "labels", "load", str(file), "--model", "credit", "--json")
        assert ended.json == {"file": str(file), "labels": LABELLED, "unlabelled_rows": 0}
        archiver = Archiver(
            PredictionTable(table.uri, layout=LABELS),
            LabelRows(),
            {"bootstrap_servers": kafka.bootstrap},
            app=topic,
            topic=topic,
            size=BatchSize(rows=700, seconds=0.2),
        )
        stop = threading.Event()
        thread = threading.Thread(target=archiver.run, args=(stop,))
        thread.start()
        until(
            lambda: sum(rows for _, _, rows in table.partitions()) >= expected,
            what="the labels are archived",
            deadline=120,
        )
        stop.set()
        thread.join(60)
        assert not thread.is_alive()

    load_and_archive(LABELLED)
    load_and_archive(2 * LABELLED)  # another archiver goes on from where the table stands
    dataset = table.dataset()
    assert dataset is not None
    rows = dataset.to_table(columns=["prediction_id", "kafka_partition", "kafka_offset"])
    assert rows.num_rows == 2 * LABELLED
    places = set(
        zip(rows["kafka_partition"].to_pylist(), rows["kafka_offset"].to_pylist(), strict=True)
    )
    assert len(places) == 2 * LABELLED
    assert len(set(rows["prediction_id"].to_pylist())) == LABELLED


def test_a_label_that_kafka_refuses_is_not_said_to_be_published(
    kafka, topics, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MONITOR_KAFKA__BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("MONITOR_TOPICS__LABELS", topics("labels"))
    file = tmp_path / "labels.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["prediction_id", "label", "label_time", "source"])
        for number, source in enumerate(["bank", "x" * 2_000_000, "bank"]):
            writer.writerow([f"p-{number}", 1, "2026-01-02T12:00:00Z", source])
    ended = call(capsys, "labels", "load", str(file), "--model", "credit")
    assert ended.code != 0
    assert ended.out == ""
    assert "1 of 3 labels were refused" in ended.err


def test_malformed_labels_are_dead_letters_with_their_field_reason_and_bytes(
    kafka, topics, tmp_path
):
    topic, dead = topics("labels"), topics("dead-letters")
    bad = {
        b"{": "$",
        b'{"prediction_id": "p"}': "$",
        b'{"prediction_id": "p", "model_name": "m", "label": 1, "label_time": "0001-01-01T00:00:00+14:00"}': "label_time",
    }
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for value in bad:
        producer.produce(topic, value, b"p", headers=[("ce_id", b"i")])
    assert producer.flush(120) == 0
    letters = DeadLetters({"bootstrap.servers": kafka.bootstrap}, dead)
    table = PredictionTable(str(tmp_path / "log.labels"), layout=LABELS)
    archiver = Archiver(
        table,
        LabelRows(),
        {"bootstrap_servers": kafka.bootstrap},
        app=topic,
        topic=topic,
        size=BatchSize(seconds=0.2),
        letters=letters.send,
    )
    stop = threading.Event()
    thread = threading.Thread(target=archiver.run, args=(stop,))
    thread.start()
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": dead, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([dead])
    heard: list[DeadLetter] = []

    def all_heard() -> bool:
        values = (one.value() for one in consumer.consume(10, 1.0) if one.error() is None)
        heard.extend(msgspec.json.decode(value, type=DeadLetter) for value in values)
        return len(heard) >= len(bad)

    until(all_heard, what="the malformed labels are dead letters", deadline=120)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    consumer.close()
    letters.close()
    assert {letter.value: letter.field for letter in heard} == bad
    assert {(letter.topic, letter.offset) for letter in heard} == {(topic, i) for i in range(3)}
    assert all(letter.reason and letter.key == b"p" for letter in heard)
    assert all(letter.headers == (("ce_id", b"i"),) for letter in heard)
    assert table.positions([f"{topic}-0"]) == {f"{topic}-0": 2}  # they are not told again


def test_what_labels_say_of_a_window_is_published_for_whoever_reads_reports(
    kafka, topics, tmp_path, monkeypatch, capsys
):
    text = base64.b64encode(bytes(range(32))).decode()
    monkeypatch.setattr("tests.archive.master_key", lambda: MasterKey(text))
    world = LabelWorld(tmp_path)
    world.label(world.serve(people(1_500, 7, wrong=0.6)))
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    reports = topics("reports")
    for name, value in {
        "KAFKA__BOOTSTRAP": kafka.bootstrap,
        "TOPICS__REPORTS": reports,
        "TOPICS__VERDICTS": topics("verdicts"),
        "STORE__PATH": tmp_path / "reports.db",
        "LOG__PATH": tmp_path / "log",
        "LOG__KEYS": tmp_path / "keys",
        "LOG__MASTER_KEY": text,
        "POLICY__PATH": policy,
    }.items():
        monkeypatch.setenv(f"MONITOR_{name}", str(value))
    monkeypatch.setattr("monitor.bootstrap.archiving.open_registry", lambda _: world)
    ended = call(capsys, "labels", "judge", "--once", "--json")
    assert (ended.json["labels"], ended.json["waiting"], ended.json["unmatched"]) == (1_500, 0, [])
    (said,) = ended.json["reports"]
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": reports,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([reports])
    heard = []
    until(
        lambda: heard.extend(m for m in consumer.consume(1, 1.0) if m.error() is None) or heard,
        what="the report is on its topic",
        deadline=120,
    )
    consumer.close()
    (message,) = heard
    assert message.key() == b"credit/1"
    report = msgspec.json.decode(message.value(), type=Report)
    assert (report.basis, report.labelled) == (Basis.LABELLED, said["labelled"])
    assert any(b.rule.startswith("equal_opportunity") for b in report.breaches)
    world.close()

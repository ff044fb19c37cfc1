"""Labels from a file, over a real broker, into the table beside the log."""

from __future__ import annotations

import csv
import threading

import pytest

from monitor.predictionlog.archiver import Archiver, BatchSize
from monitor.predictionlog.labels import LABELS, LabelRows
from monitor.predictionlog.table import PredictionTable
from monitor.testing import until
from tests.command import call

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
            {"bootstrap.servers": kafka.bootstrap},
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

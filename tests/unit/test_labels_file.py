from __future__ import annotations

import datetime as dt

import msgspec
import pandas as pd
import pytest

from monitor.desk.labels import read_labels
from monitor.errors import EventError, InputError, MissingColumn
from monitor.events import JSON_CONTENT, LabelEvent, encode
from monitor.predictionlog.archiver import together
from monitor.predictionlog.labels import LABELS, LabelRows
from monitor.predictionlog.messages import Message
from monitor.publish import PredictionPublisher
from tests.archive import gather

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


def label(**said) -> LabelEvent:
    known = {"prediction_id": "p-1", "model_name": "credit", "label": 1, "label_time": NOON}
    return LabelEvent(**{**known, **said})


def message(value: bytes, offset: int = 0) -> Message:
    return Message("labels", 0, offset, NOON.timestamp(), b"p-1", value, JSON_CONTENT)


def csv(tmp_path, text: str):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    return file


def test_a_file_is_read_as_labels_and_a_row_without_one_is_left_out(tmp_path):
    file = csv(
        tmp_path,
        "prediction_id,label,label_time,revision\n"
        "7,1,2026-01-02T12:00:00Z,0\n"
        "8,,2026-01-02T12:00:00Z,\n"
        "9,0,2026-01-02T13:00:00+01:00,2\n",
    )
    read = read_labels(file, "credit")
    assert read.unlabelled == 1
    assert [(one.prediction_id, one.label, one.revision) for one in read.labels] == [
        ("7", 1, 0),
        ("9", 0, 2),
    ]
    assert {one.label_time for one in read.labels} == {NOON}


def test_parquet_with_models_and_event_time_is_read_too(tmp_path):
    file = tmp_path / "labels.parquet"
    pd.DataFrame(
        {
            "prediction_id": ["a"],
            "label": ["good"],
            "event_time": [pd.Timestamp("2026-01-02T12:00Z")],
            "model": ["credit"],
            "version": ["7"],
            "source": ["core banking"],
        }
    ).to_parquet(file)
    (one,) = read_labels(file, None).labels
    assert one == label(prediction_id="a", label="good", model_version="7", source="core banking")


@pytest.mark.parametrize(
    ("text", "fault", "said"),
    [
        ("prediction_id,lable,label_time\n1,1,2026-01-02T12:00:00Z\n", MissingColumn, "lable"),
        ("prediction_id,label,labeltime\n1,1,2026-01-02T12:00:00Z\n", MissingColumn, "labeltime"),
        ("prediction_id,label,label_time\n1,1,yesterday\n", InputError, "yesterday"),
        ("prediction_id,label,label_time,revision\n1,1,2026-01-02T12:00:00Z,-1\n", InputError, "row 0"),
        ("prediction_id,label,label_time\n1,1,2026-01-02T12:00:00Z\n,1,2026-01-02T12:00:00Z\n", InputError, "row 1"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_naming_what_is_wrong(tmp_path, text, fault, said):
    with pytest.raises(fault, match=said):
        read_labels(csv(tmp_path, text), "credit")


def test_without_a_model_the_file_must_name_it(tmp_path):
    with pytest.raises(MissingColumn, match="model"):
        read_labels(
            csv(tmp_path, "prediction_id,label,label_time\n1,1,2026-01-02T12:00:00Z\n"), None
        )


def test_labels_become_rows_in_the_words_of_predictions():
    rows = LabelRows()
    for offset, said in enumerate((True, 1.0, "good")):
        gather(rows, message(encode(label(label=said)), offset))
    table = rows.take()
    assert table.schema == LABELS.schema
    assert table["label"].to_pylist() == ["true", "1", "good"]
    assert table["number"].to_pylist() == [1.0, 1.0, None]
    assert len(rows) == 0


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"\xff", b'{"prediction_id": "p"}', msgspec.json.encode({"prediction_id": "p", "model_name": "m", "label": None, "label_time": NOON})],
)  # fmt: skip
def test_what_is_no_label_is_refused_and_nothing_of_it_kept(value):
    rows = LabelRows()
    with pytest.raises(EventError):
        gather(rows, message(value))
    assert len(rows) == 0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"label": 10**400}, "label: is too large"),
        ({"label_time": "0001-01-01T00:00:00+14:00"}, "label_time: lies before 1970-01-01"),
        ({"label_time": "9999-12-31T23:59:59-12:00"}, "label_time: lies .* after 9999-12-30"),
        ({"model_name": "é" * 60}, "model_name: is too long"),
        ({"revision": 2**63}, "revision: .* too large"),
    ],
)
def test_a_label_that_no_table_holds_is_refused_by_name(said, reason):
    rows = LabelRows()
    body = {**msgspec.to_builtins(label()), **said}
    with pytest.raises(EventError, match=reason):
        gather(rows, message(msgspec.json.encode(body)))
    assert rows.take().num_rows == 0


def test_the_publisher_counts_labels_apart_and_refuses_what_is_none(caplog):
    with PredictionPublisher("127.0.0.1:9") as publisher:
        publisher.publish_label(label())
        publisher.publish_label(label(label_time=NOON.replace(tzinfo=None)))
        publisher.publish_label("no label")
        assert publisher.counts.accepted == 0
        assert publisher.labels.counts.accepted == 1
        assert publisher.labels.counts.invalid == 2
        publisher.labels.close(0.05)


def test_of_several_archivers_one_that_fails_stops_the_others():
    import threading

    stop = threading.Event()

    def fails(_):
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        together([fails, lambda asked: asked.wait(60)], stop)
    assert stop.is_set()

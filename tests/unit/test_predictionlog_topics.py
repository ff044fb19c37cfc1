"""A log that holds two topics: one that was made anew under another name begins at offset 0 again."""

from __future__ import annotations

import time

import pytest

from monitor.events import JSON_CONTENT, LabelEvent, encode
from monitor.policy.model import Policy
from monitor.predictionlog.joined import LabelledLog
from monitor.predictionlog.labels import LABELS, LabelRows
from monitor.predictionlog.log import PredictionLog
from monitor.predictionlog.messages import Message
from monitor.predictionlog.query import Query
from monitor.predictionlog.rows import Rows
from monitor.predictionlog.table import PredictionTable
from tests.archive import TODAY, World, event, gather, message

MODEL = "team's/credit"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def labels(tmp_path):
    table = PredictionTable(str(tmp_path / "log.labels"), layout=LABELS)
    table.create()
    return table


def append(table: PredictionTable, rows: Rows | LabelRows, topic: str, *messages: Message) -> None:
    """Archive messages as the first ones of a topic."""
    for offset, one in enumerate(messages):
        gather(rows, one._replace(topic=topic, offset=offset))
    source = f"{topic}-0"
    table.append(rows.take(), {source: len(messages) - 1}, table.positions([source]))


def label(number: int, model: str = MODEL) -> Message:
    said = LabelEvent(
        prediction_id=f"prediction-{number}", model_name=model, label=1, label_time=TODAY
    )
    return Message("labels", 0, 0, TODAY.timestamp(), None, encode(said), JSON_CONTENT)


def test_an_erasure_takes_one_persons_rows_and_labels_and_nobody_elses(world, labels):
    for topic, person in (("it's", 1), ("predictions-2", 2)):
        append(world.table, Rows(world.keys), topic, message(event(person)))
    for topic, person in (("labels", 1), ("labels-2", 2)):
        append(labels, LabelRows(), topic, label(person))
    log = PredictionLog(
        world.table, world.keys, lambda *_: None, actor="t", now=time.time, labels=labels
    )
    assert log.erase("person-1", Policy()).rows == 1
    assert log.ask(Query())["event_id"].to_pylist() == ["event-2"]
    assert (log.labels(MODEL, "prediction-1"), len(log.labels(MODEL, "prediction-2"))) == ([], 1)


def test_an_erasure_leaves_the_labels_of_a_model_that_gave_another_person_the_same_id(
    world, labels
):
    append(world.table, Rows(world.keys), "predictions", message(event(1)))
    append(labels, LabelRows(), "labels", label(1), label(1, "other"))
    log = PredictionLog(
        world.table, world.keys, lambda *_: None, actor="t", now=time.time, labels=labels
    )
    log.erase("person-1", Policy())
    assert (log.labels(MODEL, "prediction-1"), len(log.labels("other", "prediction-1"))) == ([], 1)


def test_labels_of_a_second_topic_are_news_although_its_offsets_begin_anew(world, labels):
    log = LabelledLog(world.table, labels, world.keys)
    append(labels, LabelRows(), "labels", label(1), label(2), label(3))
    first = log.news(MODEL, {})
    assert len(first.arrived) == 3
    append(labels, LabelRows(), "labels-2", label(4))
    second = log.news(MODEL, first.reached)
    assert list(second.arrived) == ["prediction-4"]
    assert second.reached == {("labels", 0): 2, ("labels-2", 0): 0}
    assert not log.news(MODEL, second.reached).arrived

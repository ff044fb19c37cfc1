from __future__ import annotations

import asyncio
import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest

from monitor.events import ModelVersion, decode_prediction, encode
from monitor.publish import MonitoredModel, MonitorMiddleware

CREDIT = ModelVersion("credit", "7")
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


class Publisher:
    """Keeps what a worker would read."""

    def __init__(self):
        self.events = []
        self.refused = 0

    def publish(self, event, *, traceparent=None):
        self.events.append(decode_prediction(encode(event)))

    def refuse(self, reason, *, events=1):
        self.refused += events


class Answers:
    """A model that gives the answer it was made with, and remembers what it saw."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = None

    def predict(self, data):
        self.seen = data
        return self.answer


@pytest.fixture
def publisher():
    return Publisher()


FRAME = pd.DataFrame(
    {
        "age": np.array([41, 30], "int8"),
        "income": [1.5, math.nan],
        "job": ["nurse", None],
        "home": [True, False],
        "since": pd.to_datetime(["2020-01-02", None]),
        "rooms": pd.array([3, None], "Int64"),
        "sex": ["f", "m"],
    }
)


def test_one_event_for_each_row_with_plain_values_and_missing_ones_as_null(publisher):
    model = MonitoredModel(Answers(np.array([1, 0])), publisher, version=CREDIT, groups=["sex"])
    answer = model.predict(FRAME, event_times=NOON)
    assert answer.tolist() == [1, 0]
    first, second = publisher.events
    assert first.features == {
        "age": 41, "income": 1.5, "job": "nurse", "home": True,
        "since": "2020-01-02T00:00:00", "rooms": 3,
    }  # fmt: skip
    assert second.features == {
        "age": 30, "income": None, "job": None, "home": False, "since": None, "rooms": None,
    }  # fmt: skip
    assert type(first.features["age"]) is int
    assert (first.prediction, second.prediction) == (1, 0)
    assert first.event_time == NOON
    assert first.version == CREDIT
    assert first.prediction_id == first.event_id != second.event_id
    assert first.latency_ms >= 0


def test_protected_attributes_are_published_apart_and_the_model_does_not_see_them(publisher):
    inner = Answers([1, 0])
    MonitoredModel(inner, publisher, version=CREDIT, groups=["sex"]).predict(FRAME)
    assert "sex" not in inner.seen.columns
    assert "sex" in FRAME.columns
    assert [event.groups for event in publisher.events] == [{"sex": "f"}, {"sex": "m"}]


def test_protected_attributes_may_come_in_a_table_of_their_own(publisher):
    model = MonitoredModel(Answers([1, 0]), publisher, version=CREDIT)
    model.predict([{"age": 41}, {"age": 30}], groups=pd.DataFrame({"white": [True, False]}))
    assert [event.groups for event in publisher.events] == [{"white": True}, {"white": False}]
    assert [event.features for event in publisher.events] == [{"age": 41}, {"age": 30}]


@pytest.mark.parametrize(
    "answer",
    [
        pd.DataFrame({"prediction": ["yes", "no"], "score": [0.9, 0.2]}),
        {"prediction": np.array(["yes", "no"]), "score": np.array([0.9, 0.2], "float64")},
    ],
    ids=["frame", "dict"],
)
def test_a_model_may_answer_with_prediction_and_score(publisher, answer):
    MonitoredModel(Answers(answer), publisher, version=CREDIT).predict(FRAME)
    assert [(e.prediction, e.score) for e in publisher.events] == [("yes", 0.9), ("no", 0.2)]


def test_the_score_may_come_from_predict_proba(publisher):
    model = MonitoredModel(
        Answers(pd.Series([1, 0])),
        publisher,
        version=CREDIT,
        score=lambda rows: np.array([[0.1, 0.9], [0.75, 0.25]]),
    )
    model.predict(FRAME)
    assert [event.score for event in publisher.events] == [0.9, 0.25]


def test_ids_and_times_are_passed_on_row_by_row(publisher):
    model = MonitoredModel(Answers([1, 0]), publisher, version=CREDIT, run_id="r", deployment="eu")
    model.predict(
        FRAME,
        event_times=[NOON, NOON + dt.timedelta(hours=1)],
        prediction_ids=["a", "b"],
        subjects=["s", None],
        session_ids=["x", "y"],
        transaction_ids=["t", "u"],
    )
    first, second = publisher.events
    assert (first.prediction_id, first.subject, first.session_id) == ("a", "s", "x")
    assert (second.transaction_id, second.subject) == ("u", None)
    assert second.event_time - first.event_time == dt.timedelta(hours=1)
    assert (first.run_id, first.deployment) == ("r", "eu")


@pytest.mark.parametrize(
    ("answer", "about", "refused"),
    [
        ([1, math.nan], {}, 1),
        ([1, 0], {"prediction_ids": ["only one"]}, 2),
        ([1], {}, 1),
        (np.zeros((2, 3)), {}, 1),
        (7, {}, 1),
    ],
    ids=["no answer", "too few ids", "too few answers", "three columns", "no rows"],
)
def test_what_cannot_be_an_event_is_counted_and_the_answer_is_given(
    publisher, answer, about, refused
):
    model = MonitoredModel(Answers(answer), publisher, version=CREDIT)
    assert model.predict(FRAME, **about) is answer
    assert publisher.refused == refused


def test_a_failing_score_never_breaks_the_answer(publisher):
    def fail(rows):
        raise RuntimeError("out of memory")

    model = MonitoredModel(Answers([1, 0]), publisher, version=CREDIT, score=fail)
    assert model.predict(FRAME) == [1, 0]
    assert publisher.refused == 2


def test_a_column_of_groups_that_is_not_there_is_left_out(publisher):
    MonitoredModel(Answers([1, 0]), publisher, version=CREDIT, groups=["race"]).predict(FRAME)
    assert publisher.events[0].groups == {}
    assert publisher.events[0].features["sex"] == "f"


def serve(app, headers=()):
    sent = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message["type"])

    asyncio.run(app({"type": "http", "headers": list(headers)}, receive, send))
    return sent


def test_the_middleware_fills_in_ids_and_latency_and_publishes_after_the_response(publisher):
    published_before_the_response = []

    async def handler(scope, receive, send):
        scope["state"]["publish"](
            model_name="credit", model_version="7", features={"age": 41}, prediction=1
        )
        await send({"type": "http.response.start"})
        published_before_the_response.extend(publisher.events)

    serve(
        MonitorMiddleware(handler, publisher),
        [(b"x-session-id", b"s-1"), (b"x-request-id", b"t-1")],
    )
    (event,) = publisher.events
    assert published_before_the_response == []
    assert (event.session_id, event.transaction_id) == ("s-1", "t-1")
    assert event.latency_ms > 0
    assert event.event_time.tzinfo is not None


def test_a_handler_that_forgets_a_field_is_counted_and_still_answers(publisher):
    async def handler(scope, receive, send):
        scope["state"]["publish"](features={"age": 41})
        await send({"type": "http.response.start"})

    assert serve(MonitorMiddleware(handler, publisher)) == ["http.response.start"]
    assert publisher.refused == 1


def test_what_is_no_http_passes_through(publisher):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    asyncio.run(MonitorMiddleware(app, publisher)({"type": "lifespan"}, None, None))
    assert seen == [{"type": "lifespan"}]

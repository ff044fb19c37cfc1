"""The HTTP interface over a real prediction log in a directory; only the store and the registry are made up."""

from __future__ import annotations

import csv
import datetime as dt
import io
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from monitor.errors import RegistryUnavailable
from monitor.policy.model import Policy
from monitor.predictionlog import query as query_module
from monitor.web.shield import HEADERS, LARGEST_BODY
from tests import web
from tests.archive import OVERRIDE, TODAY, World, event

CREDIT = {"model": "team's/credit"}


class Away:
    """A registry that does not answer."""

    def versions(self, model):
        raise RegistryUnavailable("MLflow does not answer")


class Rooms:
    """The rooms over a world's log."""

    def __init__(self, world, settings):
        self.world, self.settings = world, settings

    def log(self, actor):
        return self.world.log.used_by(actor)

    def store(self):
        return SimpleNamespace(
            reports=lambda *_, **__: [], decisions=lambda *_, **__: [], newest=list
        )

    def registry(self):
        return Away()

    def policy(self):
        return Policy()

    def close(self):
        pass


def client_of(world, *caller, **said):
    return web.client_of(lambda settings: Rooms(world, settings), *caller, **said)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("log"))
    made.write(event(0, human_override=OVERRIDE), *map(event, range(1, 10)))
    return made


@pytest.fixture
def reader(world):
    world.recorded.clear()
    return client_of(world, "rita", "reader")


@pytest.fixture
def auditor(world):
    world.recorded.clear()
    return client_of(world, "ada", "auditor")


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [row["event_id"] for row in answer.json()["rows"]]


def test_a_question_is_answered_as_at_the_desk_and_goes_on_the_record(reader, world):
    said = {**CREDIT, "where": ["features.region = south", "score > 0"], "since": "2026-01-01"}
    answer = reader.get("/v1/predictions", params=said)
    assert ids(answer) == ["event-9", "event-6", "event-3"]
    assert answer.json()["rows"][0]["features"] == event(9).features
    assert "groups" not in answer.json()["rows"][0]
    (record,) = world.recorded
    assert (record["kind"], record["actor"], record["rows"]) == ("log_query", "rita", 3)
    assert record["filter"]["where"] == ["features.region = 'south'", "score > 0.0"]


def test_pages_follow_each_other_and_show_each_row_once(reader):
    seen, cursor = [], None
    while True:
        said = {**CREDIT, "limit": 4} | ({"cursor": cursor} if cursor else {})
        answer = reader.get("/v1/predictions", params=said)
        seen = ids(answer) + seen
        cursor = answer.json()["next"]
        if cursor is None:
            break
        assert answer.headers["x-next-cursor"] == cursor
        assert f"cursor={cursor}" in answer.headers["link"]
    assert seen == [f"event-{index}" for index in range(9, -1, -1)]


def test_pages_of_one_instant_and_of_twice_published_events_show_each_event_once(tmp_path):
    world = World(tmp_path)
    for _ in range(2):
        world.write(*(event(index, event_time=TODAY) for index in range(7)))
    client, seen, cursor = client_of(world, "rita", "reader"), [], None
    while cursor is not None or not seen:
        said = {**CREDIT, "limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = client.get("/v1/predictions", params=said)
        seen = ids(answer) + seen
        cursor = answer.json()["next"]
    assert seen == [f"event-{index}" for index in range(7)]


def test_a_page_is_no_longer_than_the_server_allows(world):
    client = client_of(world, "rita", "reader", page_rows=3)
    assert len(ids(client.get("/v1/predictions", params={**CREDIT, "limit": 10_000}))) == 3


def test_the_other_formats_hold_the_same_rows(reader):
    said = {**CREDIT, "limit": 3}
    table = reader.get("/v1/predictions", params={**said, "format": "csv"})
    lines = list(csv.DictReader(io.StringIO(table.text)))
    assert [line["event_id"] for line in lines] == ["event-2", "event-1", "event-0"]
    assert lines[-1]["override_reviewer"] == "officer-7"
    file = reader.get("/v1/predictions", params={**said, "format": "parquet"})
    rows = pq.read_table(pa.BufferReader(file.content))
    assert rows["event_id"].to_pylist() == ["event-2", "event-1", "event-0"]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-1+1", "'-1+1"),
        ("\t=1", "'\t=1"),
        ("-1", "-1"),
        (-2.5e-9, "-2.5e-09"),
        ("approve", "approve"),
    ],
)
def test_no_cell_of_a_csv_is_computed_by_the_spreadsheet_that_opens_it(tmp_path, answer, shown):
    world = World(tmp_path)
    world.write(event(0, prediction=answer))
    asked = client_of(world, "rita", "reader").get(
        "/v1/predictions", params=CREDIT | {"format": "csv"}
    )
    (row,) = csv.DictReader(io.StringIO(asked.text, newline=""))
    assert row["prediction"] == shown


def test_protected_attributes_and_who_a_pseudonym_is_are_for_auditors(reader, world):
    for said in (
        {"protected": True},
        {"subject": "person-3"},
        {"protected": True, "where": "groups.sex = Frau"},
    ):
        assert reader.get("/v1/predictions", params=CREDIT | said).status_code == 403
    assert reader.get("/v1/predictions/prediction-0", params={"protected": True}).status_code == 403
    assert world.recorded == []
    operator = client_of(world, "otto", "operator")
    assert operator.get("/v1/predictions", params=CREDIT | {"protected": True}).status_code == 403
    refused = reader.get("/v1/predictions", params=CREDIT | {"where": "groups.sex = Frau"})
    assert refused.status_code == 400
    assert "groups are protected" in refused.json()["error"]


def test_an_auditor_sees_them_and_the_record_has_the_person_by_pseudonym_only(auditor, world):
    said = {**CREDIT, "subject": "person-3", "protected": True}
    answer = auditor.post("/v1/predictions/query", json=said)
    assert answer.json()["rows"][0]["groups"] == {"sex": "Frau"}
    (record,) = world.recorded
    assert record["protected"] is True
    assert record["filter"]["subject"] == world.keys.pseudonym("person-3")
    assert "person-3" not in str(record)


def test_a_decision_is_explained(auditor, world):
    told = auditor.get("/v1/predictions/prediction-0", params={"protected": True}).json()
    assert told["prediction"]["features"] == event(0).features
    assert told["prediction"]["groups"] == {"sex": "Mann"}
    assert told["prediction"]["override_reason"] == "papers came late"
    assert "MLflow does not answer" in told["registry"]["unknown"]
    assert world.recorded[0]["filter"]["prediction_id"] == "prediction-0"
    assert auditor.get("/v1/predictions/nobody").status_code == 404


def test_nobody_is_answered_without_a_token_or_a_role(world):
    world.recorded.clear()
    answer = client_of(world).get("/v1/predictions", params=CREDIT)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    stranger = client_of(world, "sam", "guest")
    assert stranger.get("/v1/predictions", params=CREDIT).status_code == 403
    assert world.recorded == []


def test_who_asks_too_often_is_told_when_to_come_again(world):
    client = client_of(world, "rita", "reader", requests_per_minute=8)
    answers = [client.get("/v1/predictions", params={**CREDIT, "limit": 1}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    other = {"Authorization": f"Bearer {web.token('ada', 'reader')}"}
    assert client.get("/v1/predictions", params=CREDIT, headers=other).status_code == 200


def test_who_guesses_tokens_is_slowed_down_and_nobody_else_is(world):
    client = client_of(world, None, requests_per_minute=40)
    bad = {"Authorization": "Bearer a.b.c"}
    answers = [client.get("/v1/predictions", params=CREDIT, headers=bad) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 429]
    good = {"Authorization": f"Bearer {web.token('ada', 'reader')}"}
    assert client.get("/v1/predictions", params=CREDIT, headers=good).status_code == 200


def test_a_question_that_takes_too_long_is_ended_and_recorded(reader, world, monkeypatch):
    ticks = iter(range(0, 10_000, 100))
    monkeypatch.setattr(query_module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    answer = reader.get("/v1/predictions", params=CREDIT)
    assert answer.status_code == 504
    assert "longer than it may" in answer.json()["error"]
    (record,) = world.recorded
    assert (record["rows"], record["failed"]) == (0, "QuestionTooLong")


def test_a_damaged_file_is_told_in_a_sentence_and_recorded(tmp_path):
    damaged = World(tmp_path)
    damaged.write(event(0))
    for path, data in list(damaged.files()):
        if path.suffix == ".parquet":
            path.write_bytes(data[:100])
    answer = client_of(damaged, "rita", "reader").get("/v1/predictions", params=CREDIT)
    assert answer.status_code == 503
    assert "the prediction log cannot be read" in answer.json()["error"]
    (record,) = damaged.recorded
    assert (record["actor"], record["failed"]) == ("rita", "StoreError")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({}, 422),
        ({**CREDIT, "limit": 0}, 422),
        ({**CREDIT, "columns": "all"}, 422),
        ({**CREDIT, "since": "yesterday"}, 400),
        ({**CREDIT, "where": "1 = 1; DROP TABLE"}, 400),
        ({**CREDIT, "where": "protected = x"}, 400),
        ({**CREDIT, "cursor": "!"}, 400),
        ({**CREDIT, "cursor": "WzFd"}, 400),
        ({**CREDIT, "cursor": "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwiZSJd"}, 400),
    ],
)
def test_what_cannot_be_understood_is_refused_in_a_sentence(reader, said, status):
    answer = reader.get("/v1/predictions", params=said)
    assert answer.status_code == status, answer.text


def test_a_value_is_only_ever_a_value(reader):
    for text in ("x' OR '1'='1", '") | true', "\x00", "%_"):
        said = {
            "model": text,
            "prediction_id": text,
            "version": text,
            "where": f"deployment = {text}",
        }
        assert ids(reader.get("/v1/predictions", params=said)) == []


TEXTS = st.text(max_size=20) | st.sampled_from(["score > 0", "features.age = 3", "2026-01-01", "x"])


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    said=st.fixed_dictionaries(
        {"model": TEXTS},
        optional={
            "version": TEXTS,
            "since": TEXTS,
            "until": TEXTS,
            "subject": TEXTS,
            "prediction_id": TEXTS,
            "where": st.lists(TEXTS, max_size=3),
            "limit": st.integers(-1, 10_001),
            "cursor": TEXTS,
            "protected": st.booleans(),
            "format": st.sampled_from(["json", "csv", "parquet", "xml"]),
        },
    )
)
def test_no_question_makes_the_server_fail(auditor, said):
    assert auditor.post("/v1/predictions/query", json=said).status_code in {200, 400, 422}
    assert auditor.get("/v1/predictions", params=said).status_code in {200, 400, 422}


def test_every_answer_bears_the_security_headers(reader):
    for path in ("/v1/predictions", "/healthz", "/v1/openapi.json", "/nowhere"):
        headers = reader.get(path).headers
        assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_a_request_that_is_too_large_is_refused(reader):
    answer = reader.post("/v1/predictions/query", content=b" " * (LARGEST_BODY + 1))
    assert answer.status_code == 413


def test_without_auth_a_name_that_was_made_to_lead_here_is_refused(world):
    client = client_of(world, auth="none")
    for host, status in (("localhost:8300", 200), ("127.0.0.1", 200), ("evil.example", 400)):
        answer = client.get("/v1/predictions", params=CREDIT, headers={"Host": host})
        assert answer.status_code == status


def test_the_interface_describes_itself(reader):
    said = reader.get("/v1/openapi.json").json()
    assert {"/v1/predictions", "/v1/predictions/query", "/v1/predictions/{prediction_id}"} <= set(
        said["paths"]
    )
    asked = {one["name"] for one in said["paths"]["/v1/predictions"]["get"]["parameters"]}
    assert {"model", "where", "cursor", "format", "protected"} <= asked
    assert said["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


def test_an_operator_has_the_log_forget_what_is_due_and_it_is_on_the_record(tmp_path):
    world = World(tmp_path)
    world.write(event(0), event(1, event_time=TODAY - dt.timedelta(days=4_000)))
    operator = client_of(world, "otto", "operator")
    for dry_run in (True, False):
        answer = operator.post("/v1/log/expire", json={"dry_run": dry_run})
        assert answer.status_code == 200, answer.text
        (due,) = answer.json()["models"]
        assert (due["model"], due["rows"], len(due["days"])) == ("team's/credit", 1, 1)
        assert world.log.rows() == (2 if dry_run else 1)
    assert {(said["actor"], said["stage"]) for said in world.recorded} == {
        ("otto", "intent"),
        ("otto", "done"),
    }


@pytest.mark.parametrize("role", ["reader", "auditor"])
def test_nobody_else_has_the_log_forget_anything(tmp_path, role):
    world = World(tmp_path)
    world.write(event(1, event_time=TODAY - dt.timedelta(days=4_000)))
    assert client_of(world, "rita", role).post("/v1/log/expire", json={}).status_code == 403
    elsewhere = client_of(world, "otto", "operator").post(
        "/v1/log/expire", json={}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert elsewhere.status_code == 403
    assert (world.log.rows(), world.recorded) == (1, [])

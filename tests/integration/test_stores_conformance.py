from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from monitor.errors import StoreError
from monitor.reports import (
    Action,
    Breach,
    ColumnDrift,
    Decision,
    FairnessMeasure,
    Family,
    Finding,
    GroupRate,
    Report,
    Severity,
    Stage,
    Status,
    Window,
)
from monitor.stores.influx import InfluxStore
from monitor.stores.protocol import ReportStore
from monitor.stores.sqlite import SqliteStore

START = 1_767_225_600.0
HOSTILE = "\"; drop() \\ ' ${x}, =\n<script> \u00e4\U0001f600\\"


@pytest.fixture(params=["sqlite", pytest.param("influx", marks=pytest.mark.influx)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReportStore]:
    opened: ReportStore
    if request.param == "sqlite":
        opened = SqliteStore(tmp_path / "made" / "store.db")
    else:
        server = request.getfixturevalue("influx")
        opened = InfluxStore(server.url, org=server.org, bucket=server.bucket, token=server.token)
    yield opened
    opened.close()


@pytest.fixture
def model() -> str:
    """A name of its own: InfluxDB serves the whole session."""
    return f"credit-{uuid.uuid4().hex[:8]}"


def report(model: str, index: int = 0, *, version: str = "2", revision: int = 0) -> Report:
    return Report(
        model=model,
        version=version,
        window=Window(START + 300 * index, START + 300 * (index + 1)),
        revision=revision,
        status=Status.OK,
        severity=Severity.BLOCK,
        n=1500 + revision,
        n_reference=20_000,
        drift=(ColumnDrift(feature="income", kind="numeric", psi=0.25, ks=0.1),),
        prediction_drift=(ColumnDrift(feature="prediction", kind="categorical", psi=0.02),),
        fairness=(
            FairnessMeasure(
                attributes=("sex", "race"),
                metric="demographic_parity_difference",
                value=0.3,
                excess=0.28,
                groups={"f & white": GroupRate(n=700, selection_rate=0.5)},
            ),
        ),
        quality=(
            Finding(
                check="zero_surge",
                feature="MIL",
                share=0.3,
                baseline_share=0.1,
                group={"race": "x"},
                sentence="surge",
            ),
        ),
        breaches=(
            Breach(
                rule="psi[income]",
                family=Family.DRIFT,
                severity=Severity.BLOCK,
                value=0.25,
                threshold=0.2,
            ),
        ),
        closed_at=START + 330.25,
        partition=1,
        offset=77,
    )


def decision(model: str, stage: Stage = Stage.INTENT, at: float = START) -> Decision:
    return Decision(
        decision_id=uuid.uuid4().hex,
        rollback_id="r",
        model=model,
        from_version="2",
        to_version="1",
        action=Action.ROLLBACK,
        stage=stage,
        reason="unfair",
        at=at,
    )


class TestEveryStore:
    def test_what_is_written_is_read_back_whole(self, store: ReportStore, model: str):
        written, step = report(model), decision(model)
        assert store.write([written], [step]) == []
        assert store.reports(model) == [written]
        assert store.decisions(model) == [step]

    def test_the_newest_of_every_version_is_found_however_old_and_much_was_said_of_others(
        self, store: ReportStore, model: str
    ):
        silent = report(f"{model}-silent", -8_000)
        long = replace(report(model, 0, version="3"), breaches=report(model).breaches * 700)
        short = report(model, 1, version="3")
        mine = [silent, report(model, 5), long, short, report(model, 9)]
        store.write([*mine, *(report(model, index) for index in range(6, 9))], [])
        found = [one for one in store.newest() if one.model.startswith(model)]
        assert found == [silent, short, report(model, 9)]

    def test_writing_twice_is_writing_once(self, store: ReportStore, model: str):
        reports = [report(model, index) for index in range(3)]
        steps = [decision(model)]
        for _ in range(2):
            store.write(reports, steps)
        assert store.reports(model) == reports
        assert store.decisions(model) == steps

    def test_a_revision_replaces_what_it_revises_to_the_last_point(
        self, store: ReportStore, model: str
    ):
        store.write([report(model)], [])
        revised = replace(report(model, revision=1), breaches=(), quality=(), drift=())
        store.write([revised], [])
        assert store.reports(model) == [revised]

    def test_an_older_revision_that_comes_again_changes_nothing(
        self, store: ReportStore, model: str
    ):
        first, second = report(model), report(model, revision=1)
        store.write([first, second], [])
        store.write([first], [])
        assert store.reports(model) == [second]

    def test_the_newest_come_and_the_oldest_of_them_first(self, store: ReportStore, model: str):
        reports = [report(model, index) for index in range(5)]
        store.write(reports[::-1], [])
        assert store.reports(model, limit=2) == reports[3:]

    def test_reports_are_found_by_version_and_by_time(self, store: ReportStore, model: str):
        one = [report(model, index) for index in range(4)]
        other = report(model, version="3")
        store.write([*one, other], [])
        assert store.reports(model, "3") == [other]
        assert store.reports(model, "2", since=START + 600, until=START + 1200) == one[1:3]
        assert store.reports(f"{model}-unknown") == []

    def test_each_step_of_a_decision_is_kept_in_order(self, store: ReportStore, model: str):
        steps = [
            decision(model, stage, START + number)
            for number, stage in enumerate([Stage.INTENT, Stage.DONE, Stage.CONFIRMED])
        ]
        store.write([], steps)
        assert store.decisions(model) == steps
        assert store.decisions(model, since=START + 1, until=START + 2) == [steps[1]]

    def test_hostile_names_are_kept_as_they_are_and_do_no_harm(
        self, store: ReportStore, model: str
    ):
        innocent = report(model)
        hostile = replace(
            report(model + HOSTILE),
            version=HOSTILE,
            drift=(ColumnDrift(feature=HOSTILE, kind="numeric", psi=0.5),),
        )
        revised = replace(hostile, revision=1)
        store.write([innocent, hostile], [])
        store.write([revised], [])
        assert store.reports(model) == [innocent]
        assert store.reports(model + HOSTILE, HOSTILE) == [revised]

    def test_a_report_of_a_thousand_features_is_kept(self, store: ReportStore, model: str):
        drift = tuple(
            ColumnDrift(feature=f"feature_{number}", kind="numeric", psi=number / 7)
            for number in range(1000)
        )
        wide = replace(report(model), drift=drift)
        store.write([wide], [])
        assert store.reports(model) == [wide]

    def test_nothing_to_write_is_no_error(self, store: ReportStore):
        assert store.write([], []) == []

    def test_a_store_that_answers_is_healthy(self, store: ReportStore):
        store.health()


# ------------------------------------------------------------------------------------- SQLite


def test_sqlite_is_read_by_another_connection_while_it_is_written(tmp_path: Path, model: str):
    path = tmp_path / "store.db"
    writer, reader = SqliteStore(path), SqliteStore(path)
    writer.write([report(model)], [])
    assert reader.reports(model) == [report(model)]
    writer.close()
    reader.close()


def test_sqlite_says_which_file_it_cannot_use_and_what_to_do(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/store\.db.*Check that the directory"):
        SqliteStore(tmp_path / "file" / "store.db")


def test_sqlite_refuses_a_file_that_is_no_store(tmp_path: Path):
    (tmp_path / "store.db").write_bytes(b"not a database, but long enough to look at" * 10)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore(tmp_path / "store.db")


# ------------------------------------------------------------------------------------ InfluxDB


@pytest.fixture
def influx_store(influx) -> Iterator[InfluxStore]:
    opened = InfluxStore(influx.url, org=influx.org, bucket=influx.bucket, token=influx.token)
    yield opened
    opened.close()


@pytest.mark.influx
def test_one_refused_point_is_set_aside_with_its_reason_and_the_rest_is_written(
    influx_store: InfluxStore, model: str
):
    # Longer than the 1 MiB that InfluxDB takes in one field.
    endless = Finding(
        check="constant", feature="a", share=1, baseline_share=0, sentence="x" * 1_100_000
    )
    bad = replace(report(model), quality=(endless,))
    (aside,) = influx_store.write([bad, report(model, 1)], [])
    assert aside.what.startswith(f"quality of model {model}")
    assert "too long" in aside.reason
    assert influx_store.reports(model) == [bad, report(model, 1)]


@pytest.mark.influx
def test_measures_without_a_number_are_left_out(influx_store: InfluxStore, model: str):
    odd = ColumnDrift(feature="a", kind="numeric", psi=math.nan, ks=math.inf, js=0.5)
    assert influx_store.write([replace(report(model), drift=(odd,))], []) == []


@pytest.mark.influx
def test_a_wrong_token_is_said_with_the_fix(influx):
    store = InfluxStore(influx.url, org=influx.org, bucket=influx.bucket, token="wrong")
    with pytest.raises(StoreError, match=r"401.*Check the token"):
        store.health()
    with pytest.raises(StoreError, match=r"401.*Check the token"):
        store.write([report("m")], [])
    store.close()


@pytest.mark.influx
def test_a_bucket_that_is_not_there_is_said_with_the_fix(influx):
    store = InfluxStore(influx.url, org=influx.org, bucket="nowhere", token=influx.token)
    with pytest.raises(StoreError, match=r"404.*bucket"):
        store.health()
    store.close()


def test_an_influxdb_that_does_not_answer_is_said_with_its_address():
    store = InfluxStore("http://127.0.0.1:9", org="o", bucket="b", token="t", timeout=2)
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9: InfluxDB does not answer"):
        store.write([report("m")], [])
    store.close()

"""The log under another policy says what the engine said, and what it would have said."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from monitor.cli import backtest as command
from monitor.desk.backtest import backtest
from monitor.policy.load import parse_policy
from monitor.predictionlog.replayed import logged_records
from monitor.reports import Basis
from tests.archive import TODAY
from tests.command import call
from tests.labels import POLICY, LabelWorld, people

SINCE, UNTIL = TODAY - dt.timedelta(days=1), TODAY + dt.timedelta(days=1)
STRICTER = POLICY.replace("warn: 0.05, block: 0.15", "warn: 0.02, block: 0.05")
N = 600


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = LabelWorld(tmp_path_factory.mktemp("log"))
    for seed in range(4):
        made.label(made.serve(people(N, seed + 20, wrong=0.8), reported=False))
    yield made
    made.close()


def records(world):
    return logged_records(world.archive.table, world.archive.keys, "credit", SINCE, UNTIL)


def test_the_log_comes_back_as_the_events_that_were_archived(world):
    read = [json.loads(record.value) for record in records(world)]
    assert len(read) == 4 * N
    first, frame = read[0], world.frames[0]
    assert first["features"] == {"age": frame["age"][0]}
    assert first["groups"] == {"sex": frame["sex"][0], "race": frame["race"][0]}
    assert (first["prediction"], first["prediction_id"]) == (frame["prediction"][0], "p-0-0")


def test_an_unfair_week_would_have_been_rolled_back_and_a_lenient_policy_lets_it_pass(world):
    done = backtest(records(world), world, world.policy, "credit", labelled=world.log)
    assert done.counted == 4 * N
    plain = [report for report in done.reports if report.basis is Basis.PREDICTIONS]
    assert [report.n for report in plain] == [N] * 4
    assert len(done.reports) == 8
    (rollback,) = done.rollbacks
    assert rollback.streak >= 3
    lenient = parse_policy(
        "models: {credit: {action: notify, windows: {length: 5m}}}", where="test"
    )
    assert backtest(records(world), world, lenient, "credit", labelled=world.log).rollbacks == []


def test_without_labels_only_what_predictions_show_is_said(world):
    done = backtest(records(world), world, world.policy, "credit")
    assert {report.basis for report in done.reports} == {Basis.PREDICTIONS}


def test_the_command_says_it_in_words_and_as_json(world, monkeypatch, capsys, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(STRICTER)
    monkeypatch.setattr(command, "read_logged", lambda *_: records(world))
    monkeypatch.setattr(command, "open_registry", lambda _: world)
    monkeypatch.setattr(command, "open_labelled_log", lambda _: world.log)
    words = ["backtest", "--model", "credit", "--policy", str(file), "--since", "2026-02-28"]
    said = call(capsys, *words, "--json")
    assert said.code == 1
    assert {one["basis"] for one in said.json["breaching"]} == {"predictions", "labelled"}
    assert said.json["rollbacks"][0]["version"] == "1"
    shown = call(capsys, *words)
    assert shown.code == 1
    assert "would have been rolled back at 2026-03-01" in " ".join(shown.out.split())


def test_without_the_master_key_nothing_is_replayed(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MONITOR_LOG__MASTER_KEY", raising=False)
    monkeypatch.setenv("MONITOR_LOG__PATH", str(tmp_path / "log"))
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    words = ["backtest", "--model", "credit", "--policy", str(file), "--since", "2026-02-28"]
    call(capsys, *words).refused("master key")

"""What the commands say when the input, a setting or a server is not as it should be: no server is needed here."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from monitor.servers.ports import free_ports
from tests.command import call
from tests.conftest import REPOSITORY

REPLAY = (
    "replay", "rows.csv", "--time-column", "at", "--model", "credit", "--version", "2",
    "--reference", "reference.parquet",
)  # fmt: skip
COLUMNS = ("--prediction", "prediction", "--score", "score", "--groups", "sex")


@pytest.fixture
def monitor(capsys, monkeypatch, tmp_path):
    """Calls the command in an empty folder, with servers that are not there."""
    kafka, mlflow = free_ports(2)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MONITOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MONITOR_KAFKA__BOOTSTRAP", f"127.0.0.1:{kafka}")
    monkeypatch.setenv("MONITOR_REGISTRY__URI", f"http://127.0.0.1:{mlflow}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return lambda *words: call(capsys, *words)


def people(n: int, *, unfair: bool = False) -> pd.DataFrame:
    draw = np.random.default_rng(n)
    sex = draw.choice(["f", "m"], n)
    income = draw.normal(0, 1, n)
    score = 1 / (1 + np.exp(-income - (np.where(sex == "f", -0.9, 0.9) if unfair else 0)))
    return pd.DataFrame(
        {"income": income, "score": score, "prediction": (score > 0.5).astype(int), "sex": sex}
    )


# ------------------------------------------------------------------------------------------ settings


def test_an_unknown_setting_is_named_with_the_nearest(monitor, monkeypatch):
    monkeypatch.setenv("MONITOR_KAFKA__BOOTSTRAPS", "kafka:9092")
    monitor("status").refused("MONITOR_KAFKA__BOOTSTRAPS", "Did you mean MONITOR_KAFKA__BOOTSTRAP?")


def test_an_unknown_command_and_an_unknown_option_end_with_the_code_for_bad_input(monitor):
    for words in (("statsu",), ("status", "--jsno"), ("reports", "--limit", "0")):
        ended = monitor(*words)
        assert ended.code == 2
        assert "Traceback" not in ended.err
        assert words[-1].lstrip("-") in ended.err


def test_to_a_mistyped_command_the_nearest_is_said(monitor):
    assert "Did you mean compare?" in monitor("comapre").err


def test_a_settings_file_that_is_not_there_is_said_in_plain_words(monitor):
    monitor("status", "--settings", "nofile.yaml").refused("nofile.yaml", "(No such file")


# -------------------------------------------------------------------------------------------- policy


def test_a_typo_in_a_policy_is_named_with_the_nearest_valid_key(monitor, tmp_path):
    (tmp_path / "policy.yaml").write_text("models: {credit: {consecutve: 2}}\n")
    monitor("policy", "validate", "policy.yaml").refused("consecutve", "consecutive")


def test_a_policy_that_is_not_there_is_named(monitor):
    monitor("policy", "validate", "polic.yaml").refused("polic.yaml")


def test_a_valid_policy_is_told_with_its_hash(monitor, tmp_path):
    (tmp_path / "policy.yaml").write_text("models: {credit: {consecutive: 2}}\n")
    ended = monitor("policy", "validate", "policy.yaml")
    assert ended.code == 0
    assert "valid. Models: credit. sha256 " in ended.out


# ------------------------------------------------------------------------------------------- servers


def test_the_doctor_looks_at_every_part_though_none_is_there(monitor, tmp_path):
    (tmp_path / "policy.yaml").write_text("models: {credit: {consecutve: 2}}\n")
    ended = monitor("doctor", "--json")
    assert ended.code == 1
    assert ended.err == ""
    assert not ended.json["ok"]
    checks = {check["name"]: check for check in ended.json["checks"]}
    results = {name: check["result"] for name, check in checks.items()}
    assert results == {
        "kafka": "fail", "registry": "fail", "store": "ok", "policy": "fail", "notices": "warn",
    }  # fmt: skip
    assert "MONITOR_KAFKA__BOOTSTRAP" in checks["kafka"]["fix"]
    assert "Check that MLflow runs" in checks["registry"]["fix"]
    assert "consecutve" in checks["policy"]["sentence"]
    assert all(check["fix"] for check in checks.values() if check["result"] != "ok")


def test_the_doctor_tells_people_the_same(monitor):
    ended = monitor("doctor")
    assert ended.code == 1
    assert "FAIL kafka: the broker does not answer" in ended.out
    assert "FAIL registry: MLflow does not answer" in ended.out


def test_a_rollback_by_hand_without_a_broker_names_it(monitor):
    ended = monitor("rollback", "--model", "credit", "--to", "1", "--reason", "unfair")
    ended.refused("topic decisions", "Check that Kafka runs")


def test_a_baseline_that_is_asked_of_a_registry_that_is_away_names_it(monitor):
    ended = monitor("baseline", "show", "--model", "credit", "--version", "1")
    ended.refused("credit/1", "Check that MLflow runs")


@pytest.mark.parametrize("role", ["all", "stream", "act"])
def test_run_without_a_broker_says_so_and_ends_with_a_code_that_is_worth_another_try(monitor, role):
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "run", "--once", "--role", role],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        f"monitor: {os.environ['MONITOR_KAFKA__BOOTSTRAP']}: the broker does not"
    )
    assert "MONITOR_KAFKA__BOOTSTRAP" in last
    assert last.endswith("and that the broker runs.")


def test_run_with_a_wrong_policy_does_not_even_start(monitor, tmp_path):
    (tmp_path / "policy.yaml").write_text("modles: {}\n")
    monitor("run", "--once").refused("modles", "models")


# -------------------------------------------------------------------------------------------- replay


def test_replay_says_what_the_policy_would_have_done(monitor, tmp_path):
    (tmp_path / "policy.yaml").write_text(
        "defaults: {windows: {length: 60s, min_events: 200}, fairness: {favourable: '1'}}\n"
    )
    people(4000).to_parquet("reference.parquet")
    rows = pd.concat([people(1200), people(2400, unfair=True)], ignore_index=True)
    rows.assign(at=1_700_000_040 + np.arange(len(rows)) * 0.1).to_csv("rows.csv", index=False)
    ended = monitor(*REPLAY, *COLUMNS, "--json")
    assert ended.code == 1
    said = ended.json
    assert (said["model"], said["version"], said["events"]) == ("credit", "2", 3600)
    assert (said["counted"], said["dead_letters"], said["first_dead_letter"]) == (3600, 0, None)
    assert [window["n"] for window in said["windows"]] == [600] * 6
    assert said["rollback"]["rule"] == "demographic_parity_difference[sex]"
    assert said["rollback"]["streak"] == 3
    rows[:1200].assign(at=1_700_000_040 + np.arange(1200) * 0.1).to_csv("rows.csv", index=False)
    fair = monitor(*REPLAY, *COLUMNS)
    assert fair.code == 0
    assert "rollback" not in fair.out


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda rows: rows[:0], ("rows.csv", "no rows")),
        (lambda rows: rows.drop(columns="at"), ("rows.csv", "no column at")),
        (lambda rows: rows.assign(at="noon"), ("at", "cannot be read: 'noon'. Give ISO 8601")),
        (lambda rows: rows.assign(at=rows["at"].where(rows.index > 5)), ("at", "no time")),
    ],
)
def test_replay_refuses_what_cannot_be_replayed(monitor, change, parts):
    people(500).to_parquet("reference.parquet")
    change(people(300).assign(at=1_700_000_000.0)).to_csv("rows.csv", index=False)
    ended = monitor(*REPLAY, *COLUMNS)
    ended.refused(*parts)


def test_replay_says_which_option_names_the_answers(monitor):
    people(500).to_parquet("reference.parquet")
    rows = people(300).rename(columns={"prediction": "approved"})
    rows.assign(at=1_700_000_000.0).to_csv("rows.csv", index=False)
    monitor(*REPLAY).refused("rows.csv: there is no column prediction", "--prediction COL")


def test_replay_takes_no_reference_with_a_feature_that_has_no_value(monitor):
    people(500).assign(debt=np.nan).to_parquet("reference.parquet")
    people(300).assign(debt=1.0, at=1_700_000_000.0).to_csv("rows.csv", index=False)
    monitor(*REPLAY, *COLUMNS).refused("reference.parquet", "all values of column debt")


def test_replay_says_when_the_policy_does_not_name_the_model(monitor, tmp_path):
    (tmp_path / "policy.yaml").write_text("models: {crdit: {consecutive: 2}}\n")
    people(500).to_parquet("reference.parquet")
    people(300).assign(at=1_700_000_000.0).to_csv("rows.csv", index=False)
    ended = monitor(*REPLAY, *COLUMNS, "--policy", "policy.yaml")
    assert "names no model credit (it names crdit): its defaults hold" in ended.err


# --------------------------------------------------------------------------------------------- audit


def test_a_broken_audit_record_is_told_with_its_line(monitor, tmp_path):
    (tmp_path / "audit.jsonl").write_text('{"seq": 1}\n')
    ended = monitor("audit", "verify", "--json")
    assert ended.code == 1
    assert not ended.json["ok"]
    assert "audit.jsonl" in ended.json["path"]

"""What people read in a terminal of 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from monitor.cli.top import draw
from monitor.desk.fleet import heard, stand
from monitor.policy.model import Policy
from monitor.reports import (
    Action,
    Breach,
    Decision,
    Family,
    Report,
    Severity,
    Stage,
    Status,
    Window,
)
from monitor.stores.sqlite import SqliteStore
from tests.command import call

NOW = 10_000.0

GAP = Breach(
    rule="demographic_parity_difference[country_of_birth & sex]",
    family=Family.FAIRNESS,
    severity=Severity.BLOCK,
    value=0.5612,
    threshold=0.15,
)


def report(model: str, version: str, *breaches: Breach, **about) -> Report:
    severity = Severity.BLOCK if breaches else Severity.PASS
    return Report(
        **{
            "model": model,
            "version": version,
            "window": Window(NOW - 600, NOW - 300),
            "revision": 0,
            "status": Status.OK,
            "severity": severity,
            "n": 1500,
            "n_reference": 30_000,
            "breaches": breaches,
            "closed_at": NOW - 75,
            **about,
        }
    )


def decision(model: str, stage: Stage, at: float = NOW - 7300) -> Decision:
    return Decision(
        decision_id=f"{model}:{stage}",
        rollback_id=model,
        model=model,
        from_version="2",
        to_version="1",
        action=Action.ROLLBACK,
        stage=stage,
        reason=f"{GAP.rule} past 0.15 in 3 windows in a row; together they prove an excess",
        at=at,
    )


REPORTS = [
    report("well", "4"),
    report("a-model-with-a-rather-long-name-in-europe", "17", GAP),
    report("restored", "2", GAP),
    report("restored", "1"),
    report("stuck", "2"),
    report("small", "1", status=Status.INSUFFICIENT),
]
DECISIONS = [decision("restored", Stage.DONE), decision("stuck", Stage.FAILED)]
SERVES = {"restored": "1", "stuck": "2", "well": "4"}


def fleet():
    return stand(REPORTS, DECISIONS, SERVES.get, now=NOW)


def test_what_wants_attention_stands_first():
    assert [(line.model.split("-")[0], line.state) for line in fleet()] == [
        ("stuck", "person needed"),
        ("a", "breach"),
        ("restored", "rolled back"),
        ("small", "too few"),
        ("well", "well"),
    ]


def test_a_model_of_which_nothing_is_heard_is_silent_unless_a_person_is_needed():
    later = stand(REPORTS, DECISIONS, SERVES.get, now=NOW + 86_400)
    states = {line.model.split("-")[0]: line.state for line in heard(later, Policy())}
    assert states["well"] == "silent"
    assert (states["stuck"], states["a"]) == ("person needed", "breach")


def test_the_serving_version_is_shown_and_not_the_one_that_was_left():
    (line,) = (line for line in fleet() if line.model == "restored")
    assert (line.version, line.worst, line.rollback.to_version) == ("1", None, "1")


def test_the_fleet_fits_80_columns_and_loses_no_word():
    out = io.StringIO()
    Console(file=out, width=80).print(draw(fleet(), NOW))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out.getvalue()
    text = " ".join(out.getvalue().split())
    for said in (
        "5 models 1970-01-01 02:46:40 UTC",
        "demographic parity difference [country_of_birth & sex] 0.561",
        "2 to 1, 2 h ago",
    ):
        assert said in text


def test_an_empty_fleet_says_where_to_look():
    out = io.StringIO()
    Console(file=out, width=80).print(draw([], NOW))
    assert "monitor doctor" in out.getvalue()


@pytest.fixture
def monitor(capsys, tmp_path, monkeypatch):
    """Calls the command on a store that holds those reports, on a terminal of 80 columns; there is no registry."""
    store = SqliteStore(tmp_path / "monitor.db")
    store.write(REPORTS, DECISIONS)
    store.close()
    monkeypatch.setenv("MONITOR_STORE__PATH", str(tmp_path / "monitor.db"))
    monkeypatch.setenv("MONITOR_REGISTRY__URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return lambda *words: call(capsys, *words)


@pytest.mark.parametrize("words", [("reports",), ("decisions",), ("status",), ("top", "--once")])
def test_each_table_fits_80_columns_and_loses_no_word(monitor, words):
    ended = monitor(*words)
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "…" not in ended.out
    if words != ("status",):
        assert "difference" in ended.out
    assert monitor(*words[:1], "--json").json


def test_the_fleet_in_json_names_state_and_breach(monitor):
    first, second, *_ = monitor("top", "--json").json
    assert (first["state"], second["worst"]["rule"]) == ("person needed", GAP.rule)

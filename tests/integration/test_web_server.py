"""`monitor web` as a process, asked over a real socket."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from pathlib import Path

import httpx
import pytest

from monitor.actions.audit import verify
from monitor.predictionlog.keys import KeyRing, MasterKey
from monitor.predictionlog.rows import Rows
from monitor.predictionlog.table import PredictionTable
from monitor.servers import Process
from tests.archive import SOURCE, event, gather, message
from tests.web import SECRET, token

MASTER = base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def place(tmp_path) -> Path:
    """A directory with a log of ten predictions."""
    table = PredictionTable(str(tmp_path / "log"))
    table.create()
    rows = Rows(KeyRing(tmp_path / "log.keys", MasterKey(MASTER)))
    for index in range(10):
        gather(rows, message(event(index), index))
    table.append(rows.take(), {SOURCE: 9}, table.positions([SOURCE]))
    return tmp_path


def environment(place: Path, **said: str) -> dict[str, str]:
    return {
        **os.environ,
        "MONITOR_LOG__PATH": str(place / "log"),
        "MONITOR_LOG__MASTER_KEY": MASTER,
        "MONITOR_AUDIT__PATH": str(place / "audit.jsonl"),
        "MONITOR_STORE__PATH": str(place / "monitor.db"),
        "MONITOR_REGISTRY__URI": "http://127.0.0.1:1",
        **said,
    }


def server(place: Path, *options: str, **said: str) -> Process:
    return Process(
        "monitor web",
        [sys.executable, "-m", "monitor", "web", *options],
        log=place / "web.log",
        env=environment(place, **said),
    )


def test_the_server_asks_who_it_is_answers_and_writes_it_down(place):
    secret = {"MONITOR_WEB__AUTH": "jwt", "MONITOR_WEB__JWT_SECRET": SECRET}
    with server(place, "--port", "0", **secret) as process:
        process.wait_until(lambda: "listening" in process.tail(), seconds=60)
        (url,) = re.findall(r'"url": "([^"]+)"', process.tail())
        with httpx.Client(base_url=url, timeout=60) as client:
            assert client.get("/healthz").json() == {"status": "ok"}
            asked = {"model": "team's/credit", "subject": "person-3", "protected": "true"}
            assert client.get("/v1/predictions", params=asked).status_code == 401
            client.headers["Authorization"] = f"Bearer {token('ada', 'auditor')}"
            (row,) = client.get("/v1/predictions", params=asked).json()["rows"]
            assert (row["prediction_id"], row["groups"]) == ("prediction-3", {"sex": "Frau"})
            told = client.get("/v1/predictions/prediction-3").json()
            assert told["prediction"]["run_id"] == "run-1"
            assert "uvicorn" not in client.get("/healthz").headers.get("server", "")
        process.stop()
        log = process.tail()
    assert "person-3" not in log
    assert SECRET not in log
    assert verify(place / "audit.jsonl").links == 2
    lines = (place / "audit.jsonl").read_text().splitlines()
    bodies = [json.loads(line)["body"] for line in lines]
    assert [(one["kind"], one["actor"], one["rows"]) for one in bodies] == [
        ("log_query", "ada", 1),
        ("log_query", "ada", 1),
    ]


def test_without_auth_it_listens_to_nobody_else(place):
    with server(place, "--host", "0.0.0.0") as process:
        assert process.wait(seconds=60) == 2
        assert "can be reached by others: set auth to jwt or proxy" in process.tail()

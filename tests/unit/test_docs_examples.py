"""The examples that the help teaches by, run: those that need no server, on files that are called as they call them."""

from __future__ import annotations

import shlex

import numpy as np
import pandas as pd
import pytest

from monitor.actions.audit import AuditRecord
from monitor.cli.contents import EXAMPLES
from monitor.stores.sqlite import SqliteStore
from tests.command import call

#: What they may end with: some of the people below are treated unfairly on purpose.
ALONE = (
    "audit verify", "compare", "decisions", "policy validate", "replay", "reports", "status", "top",
)  # fmt: skip

POLICY = "version: 1\ndefaults: {windows: {length: 5m, min_events: 200}}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with every file that the examples name."""
    draw = np.random.default_rng(1)
    n = 2000
    people = pd.DataFrame(
        {
            "income": draw.normal(0, 1, n),
            "approved": draw.integers(0, 2, n),
            "sex": draw.choice(["f", "m"], n),
            "race": draw.choice(["a", "b"], n),
        }
    )
    at = pd.date_range("2026-05-01", periods=n, freq="3s", tz="UTC").astype(str)
    for name in ("reference", "today"):
        people.to_parquet(tmp_path / f"{name}.parquet")
        people.to_csv(tmp_path / f"{name}.csv", index=False)
    people.drop(columns="race").assign(at=at).to_parquet(tmp_path / "may.parquet")
    people.drop(columns="race").to_parquet(tmp_path / "alone.parquet")
    for name in ("policy", "stricter"):
        (tmp_path / f"{name}.yaml").write_text(POLICY)
    (tmp_path / "backup").mkdir()
    for path in ("audit.jsonl", "backup/audit.jsonl"):
        AuditRecord(tmp_path / path).write(1.0, {"decided": "nothing"})
    SqliteStore(tmp_path / "monitor.db").close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONITOR_REGISTRY__URI", "http://127.0.0.1:9")
    return tmp_path


@pytest.mark.parametrize("path", ALONE)
def test_the_examples_of_a_command_do_what_they_say(path, folder, capsys):
    for example in EXAMPLES[path]:
        words = shlex.split(example.line.replace("\\\n", " "))[1:]
        if path == "replay":  # its people have no race
            words[words.index("reference.parquet")] = "alone.parquet"
        ended = call(capsys, *words)
        assert ended.code == 0, ended
        assert ended.out
        if "--html" in words:
            assert "<html" in (folder / "report.html").read_text()

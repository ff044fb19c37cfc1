"""docs/quickstart.md, block by block, on real servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from monitor.policy.load import parse_policy
from monitor.servers import MlflowServer
from monitor.testing import until
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

PAGE = (REPOSITORY / "docs/quickstart.md").read_text()

#: What the test has itself: the page says so of its first two blocks.
BROUGHT = ("pip install", "python -m monitor.servers")


def blocks() -> list[tuple[str, str, str]]:
    """Each block: its language, the file that the line before it names, its text."""
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [(b[1], file_named_before(b.start()), b[2]) for b in found]


def file_named_before(place: int) -> str:
    """The last `name.ext` in the paragraph above; nothing where there is none."""
    above = PAGE[:place].rstrip().splitlines()[-1]
    return next(reversed(re.findall(r"`(\w+\.\w+)`", above)), "")


@pytest.fixture
def mlflow_uri():
    """A registry of its own: the page counts on versions 1 and 2."""
    with MlflowServer() as server:
        yield server.uri


@pytest.fixture
def shell(kafka, mlflow_uri, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("MONITOR_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("monitor", "-m monitor"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "MONITOR_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "MONITOR_REGISTRY__URI": mlflow_uri,
        "MLFLOW_TRACKING_URI": mlflow_uri,
        # Of the test alone: another test's monitor may be about.
        "MONITOR_STREAM__APP": "quickstart",
        "OMP_NUM_THREADS": "1",
    }

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(script: str):
        with (folder / "run.log").open("w") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {script}"],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

        def stop():
            process.terminate()
            process.wait(60)

        return stop

    run.folder, run.start = folder, start
    return run


def test_the_page_does_what_it_says_from_nothing_to_a_rollback(shell, request):
    said: dict[str, str] = {}
    assert all(text.startswith(BROUGHT) for _, _, text in blocks()[:2])
    for kind, file, text in blocks():
        if kind in {"python", "yaml"}:
            assert file, text
            (shell.folder / file).write_text(text)
        elif text.strip() == "monitor run":
            request.addfinalizer(shell.start("monitor run"))
        elif not text.startswith(BROUGHT):
            if "monitor top" in text:
                until(lambda: "rollback done" in shell("monitor decisions"), deadline=300)
            said[text] = shell(text)
    assert parse_policy((shell.folder / "policy.yaml").read_text(), where="").of("credit")
    decisions = msgspec.json.decode(shell("monitor decisions --json"))
    (done,) = [d for d in decisions if d["stage"] == "done" and d["model"] == "credit"]
    assert (done["from_version"], done["to_version"]) == ("2", "1")
    looked = next(out for text, out in said.items() if "monitor top" in text)
    assert "rollback done" in looked
    assert "ok  audit.jsonl" in looked


def test_the_extras_that_the_page_installs_are_there():
    import tomllib

    (named,) = re.findall(r"^pip install '\S*\[([\w,]+)\]'$", PAGE, re.MULTILINE)
    project = tomllib.loads((Path(REPOSITORY) / "pyproject.toml").read_text())["project"]
    assert set(named.split(",")) <= project["optional-dependencies"].keys()

"""The demo's story on servers that were there before: what docker compose starts, the tests start here."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from monitor.policy.load import parse_policy
from monitor.testing import until
from tests.conftest import REPOSITORY
from tests.deployment import Deployment

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

POLICY = (REPOSITORY / "examples/policy.yaml").read_text()


def test_the_policy_of_the_stack_is_the_demos_for_the_demos_model():
    demo = (REPOSITORY / "monitor/demo/policy.yaml").read_text()
    there = parse_policy(POLICY, where="examples").of("census")
    assert there == parse_policy(demo, where="demo").of("census")


def test_the_story_is_the_same_on_servers_and_a_monitor_that_run_already(
    kafka, mlflow_uri, tmp_path
):
    # The example server writes to the topic as it is called everywhere.
    there = Deployment(kafka.bootstrap, mlflow_uri, tmp_path, POLICY, MONITOR_TOPICS__PREFIX="")
    there.run()
    try:
        until(lambda: there.has_topics, deadline=120)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "monitor", "demo", "--external", "--json"),
                *("--fault-row", "6000", "--out", str(tmp_path / "demo")),
            ],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "MONITOR_KAFKA__BOOTSTRAP": kafka.bootstrap,
                "MONITOR_REGISTRY__URI": mlflow_uri,
                "MONITOR_POLICY__PATH": str(tmp_path / "policy.yaml"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        there.stop()
    assert done.returncode == 0, done.stderr
    summary = msgspec.json.decode(done.stdout)
    faulty, fair = summary["versions"]
    assert summary["rolled_back"] == {"from": faulty, "to": fair}
    assert summary["alias_names"] == fair
    assert summary["confirmed"]
    assert summary == msgspec.json.decode((tmp_path / "demo/summary.json").read_bytes())

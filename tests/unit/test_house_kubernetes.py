"""The manifests of docs/deploy.md say what the settings, the command line and the image know."""

from __future__ import annotations

import re

import pytest
import yaml

from monitor.settings import load_settings
from tests.conftest import REPOSITORY
from tests.unit.test_house_docs import blocks, resolve

(BLOCK,) = (
    block
    for block in blocks((REPOSITORY / "docs/deploy.md").read_text(), "yaml")
    if "kind: Deployment" in block
)
MANIFESTS = {made["metadata"]["name"]: made for made in yaml.safe_load_all(BLOCK)}
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


@pytest.fixture(params=MANIFESTS)
def pod(request):
    return MANIFESTS[request.param]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (only,) = pod["containers"]
    return only


def test_its_settings_are_ones_that_the_monitor_knows(container, tmp_path):
    environ = {}
    for one in container["env"]:
        environ[one["name"]] = one["value"]
        if one["name"].endswith("_FILE"):
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert any(one["value"].startswith(f"{mount}/") for mount in mounts)
            secret = tmp_path / one["name"]
            secret.write_text("https://hooks.example/secret")
            environ[one["name"]] = str(secret)
    settings = load_settings(environ)
    assert settings.health.host == "0.0.0.0"
    assert container["ports"] == [{"name": "health", "containerPort": settings.health.port}]


def test_its_arguments_are_a_command(container):
    resolve(" ".join(["monitor", *container["args"]]))


def test_its_probes_ask_what_the_process_answers(container):
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}


def test_it_runs_as_the_images_user_and_has_time_to_leave(pod):
    uid = int(re.search(r"--uid (\d+)", DOCKERFILE)[1])
    assert pod["securityContext"]["runAsUser"] == uid
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["terminationGracePeriodSeconds"] > load_settings({}).stream.leave_seconds


def test_each_selector_finds_its_own_pods():
    for made in MANIFESTS.values():
        labels = made["spec"]["template"]["metadata"]["labels"]
        assert made["spec"]["selector"]["matchLabels"] == labels


def test_only_the_one_that_acts_has_a_disk():
    assert "volumeClaimTemplates" not in MANIFESTS["monitor-worker"]["spec"]
    actor = MANIFESTS["monitor-actor"]["spec"]
    assert actor["replicas"] == 1
    (claim,) = actor["volumeClaimTemplates"]
    (container,) = actor["template"]["spec"]["containers"]
    (disk,) = (m for m in container["volumeMounts"] if m["name"] == claim["metadata"]["name"])
    kept = [e["value"] for e in container["env"] if e["name"].endswith(("__PATH", "__OUTBOX"))]
    assert kept
    assert all(path.startswith(f"{disk['mountPath']}/") for path in kept)

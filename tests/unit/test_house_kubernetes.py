"""The manifests of docs/deploy.md say what the settings, the command line and the image know."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
import yaml

from monitor.policy.load import parse_policy
from monitor.settings import load_settings
from tests.conftest import REPOSITORY
from tests.unit.test_house_docs import blocks, resolve

(BLOCK,) = (
    block
    for block in blocks((REPOSITORY / "docs/deploy.md").read_text(), "yaml")
    if "kind: Deployment" in block
)
MADE = list(yaml.safe_load_all(BLOCK))
CONFIG = {made["metadata"]["name"]: made["data"] for made in MADE if made["kind"] == "ConfigMap"}
MANIFESTS = {made["metadata"]["name"]: made for made in MADE if made["kind"] != "ConfigMap"}
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


@pytest.fixture(params=MANIFESTS)
def pod(request):
    return MANIFESTS[request.param]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (only,) = pod["containers"]
    return only


@pytest.fixture
def environ(container):
    """The variables that its process sees: those of the shared map, and its own."""
    (shared,) = (source["configMapRef"]["name"] for source in container["envFrom"])
    return CONFIG[shared] | {one["name"]: one["value"] for one in container.get("env", ())}


def test_its_settings_are_ones_that_the_monitor_knows(container, environ, tmp_path):
    for name in [name for name in environ if name.endswith("_FILE")]:
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert any(environ[name].startswith(f"{mount}/") for mount in mounts)
        secret = tmp_path / name
        secret.write_text("https://hooks.example/secret")
        environ[name] = str(secret)
    settings = load_settings(environ)
    assert settings.health.host == "0.0.0.0"
    # What is not said would be sought on the pod's own machine.
    assert "localhost" not in f"{settings.kafka.bootstrap} {settings.registry.uri}"
    assert (settings.store.kind, settings.store.influx.url) == ("influx", "http://influxdb:8086")
    assert container["ports"] == [{"name": "health", "containerPort": settings.health.port}]


def test_its_policy_is_mounted_where_it_is_looked_for_and_is_valid(pod, container, environ):
    path = PurePosixPath(environ["MONITOR_POLICY__PATH"])
    (volume,) = (m["name"] for m in container["volumeMounts"] if m["mountPath"] == str(path.parent))
    (source,) = (v["configMap"]["name"] for v in pod["volumes"] if v["name"] == volume)
    assert parse_policy(CONFIG[source][path.name], where=path.name).models


def test_every_volume_that_it_mounts_is_there(pod, container, request):
    spec = MANIFESTS[request.node.callspec.params["pod"]]["spec"]
    claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
    volumes = claims | {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


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


def test_the_log_is_expired_daily_by_a_job_that_finds_it_and_its_policy():
    (block,) = (
        block
        for block in blocks((REPOSITORY / "docs/deploy.md").read_text(), "yaml")
        if "kind: CronJob" in block
    )
    spec = yaml.safe_load(block)["spec"]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", spec["schedule"])
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command, _ = resolve(" ".join(["monitor", *container["args"]]))
    assert command.name == "expire"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    said = {one["name"]: one["value"] for one in container["env"]}
    for name, volume in {
        "MONITOR_LOG__PATH": "log",
        "MONITOR_LOG__KEYS": "log",
        "MONITOR_AUDIT__PATH": "log",
        "MONITOR_LOG__MASTER_KEY_FILE": "secrets",
    }.items():
        assert said[name].startswith(f"{mounts[volume]}/")

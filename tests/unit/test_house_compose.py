"""docker-compose.yml and Dockerfile say the same as the settings, the tests' servers and pyproject.toml."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from importlib.metadata import files
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from monitor.policy.load import parse_policy
from monitor.servers import InfluxServer, influx, kafka
from monitor.settings import Settings, load_settings

REPOSITORY = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


def with_secrets_in(directory, service="monitor"):
    """The environment of a service of ours, its secrets in files of this directory."""
    environ = {}
    for name, value in SERVICES[service]["environment"].items():
        if name.endswith("_FILE"):
            secret = directory / Path(value).name
            secret.write_text("a-secret" if service == "monitor" else "a-secret" * 8)
            environ[name] = str(secret)
        else:
            environ[name] = str(value)
    return environ


def mounted(service):
    """Host files and directories that a service reads."""
    return [
        volume.split(":")[0] for volume in service.get("volumes", ()) if volume.startswith("./")
    ]


def problems(compose):
    """What the Compose specification's own schema, as check-jsonschema ships it, has against a file."""
    # Read, not imported: that package's import needs a later click than Faust's.
    (shipped,) = (file for file in files("check-jsonschema") if file.name == "compose-spec.json")
    schema = Draft202012Validator(json.loads(shipped.read_text()))
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(compose)]


@pytest.mark.parametrize("name", ["docker-compose.yml", "grafana/opt-in/compose.yml"])
def test_the_file_is_of_the_compose_specification(name):
    assert problems(yaml.safe_load((REPOSITORY / name).read_text())) == []


def test_what_is_not_of_the_compose_specification_is_named():
    (said,) = problems({"services": {"kafka": {"image": "apache/kafka", "helthcheck": {}}}})
    assert said.startswith("$.services.kafka")
    assert "helthcheck" in said


def test_the_monitor_is_well_when_it_says_so_where_it_was_told_to_listen(tmp_path):
    settings = load_settings(with_secrets_in(tmp_path))
    asked = SERVICES["monitor"]["healthcheck"]["test"][-1]
    assert f"http://localhost:{settings.health.port}/readyz" in asked
    assert (
        f"127.0.0.1:{settings.health.port}:{settings.health.port}" in SERVICES["monitor"]["ports"]
    )
    assert settings.health.host == "0.0.0.0"


def test_the_servers_have_the_versions_that_the_tests_start():
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka.VERSION}"
    assert SERVICES["influxdb"]["image"] == influx.IMAGE


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_and_every_service_says_whether_it_is_well(name):
    service = SERVICES[name]
    if "build" in service:
        target = service["build"]["target"]
        assert re.search(rf"^FROM \S+ AS {target}$", DOCKERFILE, re.MULTILINE)
    else:
        assert re.fullmatch(r"\S+:\d+(\.\d+)+", service["image"])
    assert "healthcheck" in service or "HEALTHCHECK" in DOCKERFILE.partition(f"AS {name}")[2]


def test_the_base_image_is_pinned_and_of_a_python_that_the_project_supports():
    version = re.search(r"^FROM python:(\d+\.\d+\.\d+)-\S+ AS base$", DOCKERFILE, re.MULTILINE)[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert (
        f"Programming Language :: Python :: {version.rpartition('.')[0]}" in PROJECT["classifiers"]
    )


def test_the_mlflow_server_is_of_a_version_that_the_worker_is_allowed():
    version = re.search(r"mlflow==([\d.]+)", DOCKERFILE)[1]
    (wanted,) = (
        requirement
        for requirement in map(Requirement, PROJECT["optional-dependencies"]["worker"])
        if requirement.name == "mlflow"
    )
    assert wanted.specifier.contains(version)


def test_no_container_of_ours_runs_as_root():
    stages = DOCKERFILE.split("FROM ")[2:]
    assert len(stages) == 2
    assert all("\nUSER app\n" in stage for stage in stages)


def test_the_monitor_reads_these_settings_without_complaint(tmp_path):
    settings = load_settings(with_secrets_in(tmp_path))
    assert settings.kafka.bootstrap == "kafka:9092"
    assert settings.store.kind == "influx"
    assert settings.store.influx.token.get_secret_value() == "a-secret"
    assert settings.audit.path.is_relative_to("/data")


def test_the_monitor_looks_for_the_servers_where_they_are(tmp_path):
    settings = load_settings(with_secrets_in(tmp_path))
    broker = SERVICES["kafka"]["environment"]
    assert f"PLAINTEXT://{settings.kafka.bootstrap}" in broker["KAFKA_ADVERTISED_LISTENERS"]
    assert settings.registry.uri == "http://mlflow:5000"
    assert "--port 5000" in SERVICES["mlflow"]["command"][-1]
    database = SERVICES["influxdb"]["environment"]
    assert settings.store.influx.url == "http://influxdb:8086"
    assert settings.store.influx.org == database["DOCKER_INFLUXDB_INIT_ORG"] == InfluxServer.org
    assert settings.store.influx.bucket == database["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert settings.store.influx.bucket == InfluxServer.bucket


def test_the_archiver_and_the_web_share_one_log_and_its_keys(tmp_path):
    archiver, web = (load_settings(with_secrets_in(tmp_path, name)) for name in ("archiver", "web"))
    assert archiver.log == web.log
    assert archiver.log.master_key is not None
    assert web.web.auth == "jwt"
    assert web.audit == load_settings(with_secrets_in(tmp_path)).audit
    for name, settings in (("archiver", archiver), ("web", web)):
        mounts = [Path(volume.split(":")[1]) for volume in SERVICES[name]["volumes"]]
        for place in (settings.log.path, settings.log.key_directory):
            assert any(Path(place).is_relative_to(mount) for mount in mounts)
            assert any(str(mount) in DOCKERFILE.partition("install -d")[2] for mount in mounts)
    assert f"127.0.0.1:{web.web.port}:{web.web.port}" in SERVICES["web"]["ports"]


def test_who_works_on_the_log_beside_the_archiver_finds_it_its_keys_and_the_record(tmp_path):
    archiver = load_settings(with_secrets_in(tmp_path, "archiver"))
    for name in ("judge", "expiry"):
        assert load_settings(with_secrets_in(tmp_path, name)).log == archiver.log
        assert set(SERVICES["archiver"]["volumes"]) <= set(SERVICES[name]["volumes"])
    assert SERVICES["judge"]["command"] == ["labels", "judge"]
    # What is expired goes on the record that the web server's questions are on.
    record = Path(load_settings(with_secrets_in(tmp_path, "expiry")).audit.path)
    for name in ("expiry", "web", "monitor"):
        mounts = dict(volume.split(":")[:2] for volume in SERVICES[name]["volumes"])
        assert record.is_relative_to(mounts["monitor"])


def test_expiry_goes_on_day_after_day_and_is_well_only_if_it_did(tmp_path):
    shell, said, loop = SERVICES["expiry"]["entrypoint"]
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in (
        ("monitor", f'echo "$@" >> {tmp_path}/calls; test $(wc -l < {tmp_path}/calls) -gt 1'),
        (
            "sleep",
            f"test ! -s {tmp_path}/calls || test $(wc -l < {tmp_path}/calls) -lt 3 || kill $PPID",
        ),
        ("touch", f'echo "$@" >> {tmp_path}/touched'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    subprocess.run([shell, said, loop.replace("$$", "$")], env=environment, check=False)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["log expire"] * 3
    assert (tmp_path / "touched").read_text().splitlines() == ["/tmp/expired"] * 2
    assert "/tmp/expired" in SERVICES["expiry"]["healthcheck"]["test"][1]


def test_on_this_machine_the_defaults_of_the_settings_reach_the_stack():
    defaults = Settings()
    assert f"127.0.0.1:{defaults.registry.uri[-4:]}:5000" in SERVICES["mlflow"]["ports"]
    assert f"127.0.0.1:{defaults.store.influx.url[-4:]}:8086" in SERVICES["influxdb"]["ports"]


def test_the_broker_is_set_up_as_the_one_in_the_tests_is():
    said = SERVICES["kafka"]["environment"]
    for name in (
        "auto.create.topics.enable",
        "offsets.topic.replication.factor",
        "transaction.state.log.min.isr",
        "transaction.state.log.replication.factor",
    ):
        assert str(said[f"KAFKA_{name.upper().replace('.', '_')}"]) == kafka.PROPERTIES[name]


def test_only_this_machine_can_reach_the_ports():
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_a_service_waits_until_what_it_needs_is_well():
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert how == {"condition": "service_healthy"}


def test_every_secret_is_a_file_that_make_draws_and_none_stands_in_the_file():
    assert set(COMPOSE["secrets"]) == {
        name for service in SERVICES.values() for name in service.get("secrets", ())
    }
    makefile = (REPOSITORY / "Makefile").read_text()
    for name, how in COMPOSE["secrets"].items():
        assert how == {"file": f"secrets/{name}"}
        assert name in makefile
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|KEY\b|KEY_|SECRET|WEBHOOK", name):
                assert name.endswith("_FILE")
                assert str(value).removeprefix("/run/secrets/") in service["secrets"]


def test_every_volume_is_declared_and_every_mounted_file_is_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (REPOSITORY / source).exists() or source in COMPOSE["volumes"]


def test_the_policy_that_the_monitor_gets_is_a_valid_one():
    (file,) = mounted(SERVICES["monitor"])
    text = (REPOSITORY / file).read_text()
    assert "credit" in parse_policy(text, where=file).models


def test_grafana_asks_the_database_of_this_stack():
    file = REPOSITORY / "grafana/provisioning/datasources/influxdb.yml"
    (source,) = yaml.safe_load(file.read_text())["datasources"]
    assert source["url"] == "http://influxdb:8086"
    assert source["jsonData"]["organization"] == InfluxServer.org
    assert source["jsonData"]["defaultBucket"] == InfluxServer.bucket
    assert source["secureJsonData"]["token"] == "$__file{/run/secrets/influx_token}"
    assert "influx_token" in SERVICES["grafana"]["secrets"]

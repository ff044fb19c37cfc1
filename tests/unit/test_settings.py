from __future__ import annotations

import ssl
import subprocess
import sys

import pytest
from pydantic import ValidationError

from monitor.errors import SettingsError
from monitor.settings import Settings, load_settings, reveal


def write(tmp_path, text, name="settings.yaml"):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_without_anything_said_the_defaults_hold():
    assert load_settings({"PATH": "/bin", "MONITORING": "x"}) == Settings()


def test_the_environment_wins_over_the_file(tmp_path):
    file = write(tmp_path, "kafka: {bootstrap: file:1}\nstream: {app: from-file}\n")
    settings = load_settings({"MONITOR_KAFKA__BOOTSTRAP": "env:2"}, file)
    assert (settings.kafka.bootstrap, settings.stream.app) == ("env:2", "from-file")


def test_deep_settings_and_numbers_are_read_from_the_environment():
    settings = load_settings(
        {
            "MONITOR_STORE__KIND": "influx",
            "MONITOR_STORE__INFLUX__TOKEN": "t",
            "MONITOR_STREAM__SNAPSHOT_SECONDS": "0.5",
        }
    )
    assert reveal(settings.store.influx.token) == "t"
    assert settings.stream.snapshot_seconds == 0.5


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().kafka.bootstrap = "other"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"MONITOR_KAFKA__BOOTSTRP": "x"}, "Did you mean MONITOR_KAFKA__BOOTSTRAP?"),
        ({"MONITOR_KAFKA_BOOTSTRAP": "x"}, "Did you mean MONITOR_KAFKA__BOOTSTRAP?"),
        ({"MONITOR_NOTIFY__SLACK_HOOK_FILE": "x"}, "MONITOR_NOTIFY__SLACK_WEBHOOK_FILE?"),
        (
            {"MONITOR_ZZZZZZZZ__ZZZZ": "x"},
            "There are: MONITOR_AUDIT, MONITOR_HEALTH, MONITOR_KAFKA, MONITOR_LOG, MONITOR_NOTIFY",
        ),
        ({"MONITOR_STREAM__SNAPSHOT_SECONDS": "soon"}, "stream.snapshot_seconds: it must be"),
        ({"MONITOR_STREAM__SNAPSHOT_SECONDS": "-1"}, "stream.snapshot_seconds: it must be greater"),
        ({"MONITOR_STORE__KIND": "postgres"}, "store.kind: it must be 'sqlite' or 'influx'"),
        ({"MONITOR_STORE__KIND": "influx"}, "store: kind influx also needs influx.token"),
        (
            {"MONITOR_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"},
            "kafka: SASL_SSL also needs sasl_mechanism, sasl_username, sasl_password",
        ),
        ({"MONITOR_KAFKA__SSL_CERT": "c.pem"}, "ssl_cert and ssl_key go together"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_right(environ, sentence):
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "kafka: {bootsrap: x}",
            "kafka.bootsrap: there is no such setting. Did you mean kafka.boot",
        ),
        ("kafak: {bootstrap: x}", "kafak: there is no such setting. Did you mean kafka?"),
        ("kafka: here", "kafka: this is a section"),
        ("- kafka", "this is a section"),
        ("kafka: [", "it is not YAML"),
        ("kafka: {sasl_password: hunter2}", "Set MONITOR_KAFKA__SASL_PASSWORD, or MONITOR_KAFKA__"),
        (
            "zzz: 1",
            "There are: audit, health, kafka, log, notify, policy, registry, store, stream, topics, web.",
        ),
    ],
)
def test_a_wrong_file_is_named_with_what_is_right(tmp_path, text, sentence):
    with pytest.raises(SettingsError) as caught:
        load_settings({}, write(tmp_path, text))
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_empty_file_and_an_empty_section_and_an_empty_variable_say_nothing(tmp_path):
    assert load_settings({}, write(tmp_path, "")) == Settings()
    assert load_settings({"MONITOR_KAFKA__BOOTSTRAP": ""}, write(tmp_path, "kafka:")) == Settings()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml cannot be read"):
        load_settings({}, tmp_path / "nowhere.yaml")


def test_a_secret_comes_from_the_file_that_its_variable_names(tmp_path):
    file = write(tmp_path, "https://hooks.example/x\n", "slack")
    settings = load_settings({"MONITOR_NOTIFY__SLACK_WEBHOOK_FILE": str(file)})
    assert reveal(settings.notify.slack_webhook) == "https://hooks.example/x"
    assert "hooks.example" not in repr(settings)


def test_an_empty_secret_file_says_nothing(tmp_path):
    file = write(tmp_path, "\n", "slack")
    assert load_settings({"MONITOR_NOTIFY__SLACK_WEBHOOK_FILE": str(file)}) == Settings()


def test_a_secret_given_twice_is_refused(tmp_path):
    file = write(tmp_path, "one", "slack")
    name = "MONITOR_NOTIFY__SLACK_WEBHOOK"
    with pytest.raises(SettingsError, match="given twice"):
        load_settings({f"{name}_FILE": str(file), name: "two"})


def test_a_secret_is_in_no_error():
    with pytest.raises(SettingsError) as caught:
        load_settings(
            {"MONITOR_KAFKA__SASL_PASSWORD": "hunter2", "MONITOR_KAFKA__SECURITY_PROTOCOL": "TLS"}
        )
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_variables_of_the_publisher_and_of_kubernetes_are_left_alone():
    others = {
        "MONITOR_PUBLISH__SPOOL_BYTES": "1",
        "MONITOR_PORT": "tcp://10.0.0.1:80",
        "MONITOR_SERVICE_HOST": "10.0.0.1",
    }
    assert load_settings(others) == Settings()


def test_both_clients_of_kafka_get_the_same_access():
    kafka = load_settings(
        {
            "MONITOR_KAFKA__BOOTSTRAP": "kafka:9093",
            "MONITOR_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "MONITOR_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "MONITOR_KAFKA__SASL_USERNAME": "u",
            "MONITOR_KAFKA__SASL_PASSWORD": "p",
        }
    ).kafka
    assert kafka.confluent() == {
        "bootstrap.servers": "kafka:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
    }
    access = kafka.aiokafka()
    assert isinstance(access.pop("ssl_context"), ssl.SSLContext)
    assert access == {
        "bootstrap_servers": "kafka:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_a_certificate_that_cannot_be_read_is_named(tmp_path):
    kafka = load_settings(
        {
            "MONITOR_KAFKA__SECURITY_PROTOCOL": "SSL",
            "MONITOR_KAFKA__SSL_CA": str(tmp_path / "ca.pem"),
        }
    ).kafka
    with pytest.raises(SettingsError, match=r"ca\.pem"):
        kafka.aiokafka()


def test_the_publisher_does_not_load_the_settings():
    code = (
        "import sys, monitor.publish; sys.exit('pydantic' in sys.modules or 'yaml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

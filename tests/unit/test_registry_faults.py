"""What MLflow says is handed on without what nobody may see."""

from __future__ import annotations

import json

import pytest
import structlog

from monitor.cli.run import log_as_json
from monitor.errors import RegistryUnavailable
from monitor.registry.mlflow_registry import Registry


def test_a_password_in_the_registrys_address_is_in_no_error_and_in_no_log(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryUnavailable) as caught:
        Registry("http://ann:not-to-be-seen@127.0.0.1:9").versions("credit")
    assert "not-to-be-seen" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    log_as_json()
    structlog.get_logger().warning("away", why="postgresql://ann:not-to-be-seen@db/mlflow is away")
    said = json.loads(capsys.readouterr().err)
    assert said["why"] == "postgresql://***@db/mlflow is away"

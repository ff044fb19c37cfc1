"""A served model: predictions go to Kafka, and the next request meets the version that the alias names."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import mlflow
import pandas as pd
import pytest
from confluent_kafka import Consumer

from monitor.errors import InputError, RegistryUnavailable, VersionNotFound
from monitor.events import ModelVersion, decode_prediction
from monitor.publish import PredictionPublisher
from monitor.registry.serving import load_monitored_model
from monitor.testing import until

pytestmark = pytest.mark.kafka
REPOSITORY = Path(__file__).parents[2]

# Written out as a file, as MLflow wants it: nothing is pickled.
MODEL = """
import mlflow


class AtLeast(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        rows = model_input.to_dict("records") if hasattr(model_input, "to_dict") else model_input
        return [int(row["age"] >= LIMIT) for row in rows]


mlflow.models.set_model(AtLeast())
"""


@pytest.fixture
def registered(mlflow_uri, tmp_path):
    """A model of two versions, 18 and 30; ``champion`` is the second. Its name."""
    name = f"adult-{uuid.uuid4().hex[:8]}"
    mlflow.set_tracking_uri(mlflow_uri)
    for limit in (18, 30):
        code = tmp_path / f"model_{limit}.py"
        code.write_text(MODEL.replace("LIMIT", str(limit)))
        with mlflow.start_run():
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code),
                registered_model_name=name,
                pip_requirements=[],
            )
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", "2")
    return name


def move(name: str, version: str) -> None:
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", version)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)
def test_three_lines_publish_each_prediction_and_follow_the_alias(kafka, topics, registered):
    topic = topics("predictions")
    with (
        PredictionPublisher(kafka.bootstrap, topic=topic) as publisher,
        load_monitored_model(
            f"models:/{registered}@champion", publisher, groups=["sex"], refresh_seconds=0
        ) as model,
    ):
        frame = pd.DataFrame({"age": [20.0, 41.0], "sex": ["f", "m"]})
        assert model.predict(frame) == [0, 1]
        assert model.refresh() is False
        move(registered, "1")
        assert model.version == ModelVersion(registered, "2")
        assert model.refresh() is True
        assert model.version == ModelVersion(registered, "1")
        assert model.predict(frame) == [1, 1]
        assert publisher.flush(120)
    events = [decode_prediction(value) for value in read(kafka.bootstrap, topic, 4)]
    assert [(e.model_version, e.features, e.prediction, e.groups) for e in events] == [
        ("2", {"age": 20.0}, 0, {"sex": "f"}),
        ("2", {"age": 41.0}, 1, {"sex": "m"}),
        ("1", {"age": 20.0}, 1, {"sex": "f"}),
        ("1", {"age": 41.0}, 1, {"sex": "m"}),
    ]
    assert all(event.run_id for event in events)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)
def test_a_registry_that_is_away_leaves_the_loaded_version_serving(registered, monkeypatch):
    with PredictionPublisher("127.0.0.1:9") as publisher:
        model = load_monitored_model(
            f"models:/{registered}@champion", publisher, refresh_seconds=0.05
        )
        asked = []

        def fail():
            asked.append(1)
            raise mlflow.MlflowException("the registry is away")

        monkeypatch.setattr(model, "_look_up", fail)
        until(lambda: len(asked) > 2, what="the follower goes on asking")
        model.close()
        assert model.predict([{"age": 41.0}]) == [1]
        publisher.close(0)


def test_what_cannot_be_loaded_is_told_with_the_fix(mlflow_uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError, match="Write models:/NAME@ALIAS"):
        load_monitored_model("models:/credit/7", None)
    with pytest.raises(VersionNotFound, match="no such model or alias"):
        load_monitored_model("models:/no-such@champion", None, tracking_uri=mlflow_uri)
    with pytest.raises(RegistryUnavailable, match="MLflow does not answer"):
        load_monitored_model("models:/a@champion", None, tracking_uri="http://127.0.0.1:9")
    mlflow.set_tracking_uri(mlflow_uri)
    mlflow.set_registry_uri(mlflow_uri)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)
def test_the_example_serves_over_http_and_names_the_version_that_answered(
    kafka, topics, mlflow_uri, registered, tmp_path
):
    topic = topics("predictions")
    command = [
        sys.executable, "-W", "ignore", str(REPOSITORY / "examples" / "serve.py"),
        "--model", registered, "--tracking-uri", mlflow_uri, "--bootstrap", kafka.bootstrap,
        "--topic", topic, "--groups", "sex", "--port", "0", "--refresh-seconds", "0.2",
        "--spool-directory", str(tmp_path / "spool"),
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPOSITORY
        )
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        assert first.startswith("serving on http://"), (tmp_path / "log").read_text()
        with httpx.Client(base_url=first.split()[-1], timeout=120) as client:
            question = {
                "rows": [{"age": 20, "sex": "f"}, {"age": 41, "sex": "m"}],
                "event_times": ["2016-01-01T00:00:00Z", "2016-01-01T00:00:01Z"],
            }
            answer = client.post("/predict", json=question).json()
            assert answer == {"predictions": [0, 1], "model_version": "2"}
            move(registered, "1")
            until(lambda: client.get("/health").json()["model_version"] == "1", what="it follows")
            answer = client.post("/predict", json=question).json()
            assert answer == {"predictions": [1, 1], "model_version": "1"}
            until(lambda: client.get("/health").json()["published"] == 4, what="published")
            assert client.post("/predict", json={"rows": []}).status_code == 422
    finally:
        server.terminate()
        server.communicate(timeout=120)
    events = [decode_prediction(value) for value in read(kafka.bootstrap, topic, 4)]
    assert [event.event_time.isoformat() for event in events[:2]] == [
        "2016-01-01T00:00:00+00:00",
        "2016-01-01T00:00:01+00:00",
    ]
    assert [event.groups["sex"] for event in events] == ["f", "m", "f", "m"]


def test_the_example_says_in_one_sentence_that_the_port_is_taken(kafka, mlflow_uri, registered):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [
            sys.executable, "-W", "ignore", str(REPOSITORY / "examples" / "serve.py"),
            "--model", registered, "--tracking-uri", mlflow_uri, "--bootstrap", kafka.bootstrap,
            "--port", str(port),
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=REPOSITORY, check=False
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        f"serve: 127.0.0.1:{port}: the port cannot be had (Address already in use)"
    )
    assert "choose another by --port" in said


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    found: list[bytes] = []
    deadline = time.monotonic() + 120
    while len(found) < count and time.monotonic() < deadline:
        found += [message.value() for message in consumer.consume(100, timeout=0.5)]
    consumer.close()
    return found

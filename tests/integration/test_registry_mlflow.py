"""The registry room against a real MLflow server over HTTP."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from monitor.baselines import HASH_TAG, Baseline, encode_baseline, hash_of
from monitor.errors import (
    BaselineAltered,
    BaselineError,
    RegistryError,
    RegistryUnavailable,
    VersionNotFound,
)
from monitor.events import ModelVersion, new_event_id
from monitor.policy.model import ModelPolicy
from monitor.policy.thresholds import HASH_TAG as THRESHOLDS_TAG
from monitor.policy.thresholds import encode_thresholds
from monitor.profiles.layout import Column, Kind, Layout
from monitor.profiles.profile import Profile
from monitor.registry.mlflow_registry import Registry
from monitor.registry.versions import POLICY_TAG
from monitor.servers.ports import free_ports

# MLflow's own, on import and on logging a model.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")

FRAME = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "member": [True, False, True, False]})
LAYOUT = Layout(
    features=(Column(name="age", kind=Kind.NUMERIC, edges=(20.0, 50.1)),),
    prediction=Column(name="prediction", kind=Kind.CATEGORICAL, categories=("0", "1")),
)


@pytest.fixture(scope="module")
def registry(mlflow_uri):
    return Registry(mlflow_uri)


@pytest.fixture(scope="module")
def trained(registry):
    """A run with a logged model, to be registered as often as wanted."""
    classifier = LogisticRegression().fit(FRAME, [0, 0, 1, 1])
    with mlflow.start_run():
        return mlflow.sklearn.log_model(
            classifier,
            name="model",
            signature=infer_signature(FRAME, [0, 1]),
            pip_requirements=[],
            serialization_format="cloudpickle",
        )


@pytest.fixture
def model():
    return f"credit's-{new_event_id()}"


@pytest.fixture
def register(trained, model):
    def one() -> ModelVersion:
        registered = mlflow.register_model(trained.model_uri, model)
        return ModelVersion(model, str(registered.version))

    return one


def baseline_of(version: ModelVersion) -> bytes:
    profile = Profile.empty(LAYOUT)
    return encode_baseline(
        Baseline(*version, profile, "1", "2026-01-02T00:00:00+00:00", {"made": "for a test"})
    )


def test_a_published_baseline_comes_back_under_its_hash(registry, register):
    version = register()
    sha256 = registry.publish_baseline(version, baseline_of(version), policy_sha256="p" * 64)
    found = registry.baseline(version)
    assert found is not None
    assert (found.subject, found.sha256, found.layout) == (version, sha256, LAYOUT)
    (listed,) = registry.versions(version.model)
    assert listed.has_baseline
    assert listed.tags[POLICY_TAG] == "p" * 64


def test_thresholds_come_with_the_baseline_and_an_altered_one_is_refused(registry, register):
    version = register()
    strict = encode_thresholds(ModelPolicy(consecutive=1))
    registry.publish_baseline(version, baseline_of(version), thresholds=strict)
    found = registry.baseline(version)
    assert (found.thresholds, found.thresholds_sha256) == (strict, hash_of(strict))
    later = encode_thresholds(ModelPolicy(consecutive=7))
    registry.publish_thresholds(version, later)
    assert registry.thresholds(version) == registry.baseline(version).thresholds == later
    registry.tag(version, THRESHOLDS_TAG, hash_of(strict))
    with pytest.raises(BaselineAltered, match="monitor policy adopt"):
        registry.baseline(version)


def test_versions_of_one_run_keep_their_own_baselines(registry, register):
    first, second = register(), register()
    registry.publish_baseline(first, baseline_of(first))
    registry.publish_baseline(second, baseline_of(second))
    assert registry.baseline(first).subject == first
    assert registry.baseline(second).subject == second


def test_a_model_that_no_run_made_is_refused_a_baseline_with_the_fix(registry, model):
    logged = mlflow.initialize_logged_model(name="made-elsewhere")
    mlflow.finalize_logged_model(logged.model_id, "READY")
    number = mlflow.register_model(f"models:/{logged.model_id}", model).version
    version = ModelVersion(model, str(number))
    assert registry.signature(version) is None
    with pytest.raises(RegistryError, match="Register the model from the run"):
        registry.publish_baseline(version, baseline_of(version))


def test_a_version_without_a_tag_and_a_version_that_does_not_exist_have_none(registry, register):
    version = register()
    assert registry.baseline(version) is None
    assert registry.baseline(version._replace(version="999")) is None
    assert registry.baseline(version._replace(version="latest")) is None
    assert registry.baseline(ModelVersion("no-such-model", "1")) is None


@pytest.mark.parametrize(
    "version",
    [("a/b", "1"), ("a:b", "1"), (" ", "1"), ("..", "1"), ("x" * 256, "1"), ("q'\"", "1"), ("#/?&%", "1"),
     ("m", "9" * 64), ("m", "4294967296"), ("m", "\u0663"), ("m", "-1"), ("m", "../1")],
)  # fmt: skip
def test_whatever_key_stands_on_the_topic_it_is_answered_with_no_baseline(registry, version):
    assert registry.baseline(ModelVersion(*version)) is None


def test_an_altered_baseline_is_refused(registry, register):
    version = register()
    registry.publish_baseline(version, baseline_of(version))
    registry.tag(version, HASH_TAG, "0" * 64)
    with pytest.raises(BaselineAltered, match="version's tag says 000000000000"):
        registry.baseline(version)


def test_a_baseline_whose_artifact_is_gone_is_refused(registry, register):
    version = register()
    registry.tag(version, HASH_TAG, "0" * 64)
    with pytest.raises(BaselineAltered, match="gone"):
        registry.baseline(version)


def test_a_baseline_of_another_version_is_refused(registry, register):
    version, other = register(), register()
    registry.publish_baseline(version, baseline_of(other))
    with pytest.raises(BaselineError, match=f"that of {other.model}/{other.version}"):
        registry.baseline(version)


def test_the_signature_gives_features_and_kinds(registry, register):
    assert registry.signature(register()) == [("age", "numeric"), ("member", "boolean")]


@pytest.mark.parametrize("version", [("a/b", "1"), ("nobody", "1"), ("nobody", "x")])
def test_the_signature_of_a_name_that_cannot_be_is_not_called_an_outage(registry, version):
    with pytest.raises(VersionNotFound):
        registry.signature(ModelVersion(*version))


def test_an_alias_moves_and_is_read_back(registry, register):
    first, second = register(), register()
    assert registry.alias(first.model, "champion") is None
    registry.set_alias(first.model, "champion", first.version)
    registry.set_alias(first.model, "champion", second.version)
    assert registry.alias(first.model, "champion") == second.version
    assert [v.version for v in registry.versions(first.model)] == ["1", "2"]


def test_what_does_not_exist_is_named(registry, register):
    version = register()
    with pytest.raises(VersionNotFound, match="no-such-model@champion"):
        registry.alias("no-such-model", "champion")
    with pytest.raises(VersionNotFound, match=version.model):
        registry.set_alias(version.model, "champion", "999")
    with pytest.raises(VersionNotFound, match="999"):
        registry.tag(version._replace(version="999"), "a", "b")
    assert registry.versions("no-such-model") == []


def test_an_outage_answers_within_seconds_and_says_what_to_do():
    (port,) = free_ports(1)
    started = time.monotonic()
    with pytest.raises(RegistryUnavailable, match="Check that MLflow runs"):
        Registry(f"http://127.0.0.1:{port}").alias("credit", "champion")
    assert time.monotonic() - started < 90  # MLflow's own patience is many minutes


@pytest.mark.parametrize(
    ("status", "error", "fix"),
    [
        (401, RegistryError, "MLFLOW_TRACKING_USERNAME"),
        (403, RegistryError, "MLFLOW_TRACKING_USERNAME"),
        (500, RegistryUnavailable, "Check that MLflow runs"),
        (503, RegistryUnavailable, "Check that MLflow runs"),
    ],
)
def test_a_refusal_is_told_from_an_outage(status, error, fix):
    with answering(status) as uri, pytest.raises(error, match=fix) as raised:
        Registry(uri).alias("credit", "champion")
    assert isinstance(raised.value, RegistryUnavailable) == (status >= 500)


@contextmanager
def answering(status: int):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

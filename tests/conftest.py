"""Real servers for the whole session, each started when a test first asks for it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import structlog
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import HealthCheck, settings

from monitor.servers import InfluxServer, KafkaServer, MlflowServer
from monitor.servers.influx import VERSION, find_influxd

REPOSITORY = Path(__file__).parents[1]

# Models are trained in one thread: on a busy machine several wait for each other at every step.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run: a failure can be repeated, and flaky is failing.
settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A command sets up the log of its process: no later test writes to what that test captured."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """One real broker: ``kafka.bootstrap``. Not to be stopped; start your own for that."""
    with KafkaServer(say=print) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_uri() -> Iterator[str]:
    """Address of one real MLflow server on SQLite. Use model names of your own."""
    with MlflowServer() as server:
        yield server.uri


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """One real InfluxDB: ``influx.url``, ``.org``, ``.bucket``, ``.token``."""
    program = find_influxd(with_shared_archive(os.environ), tmp_path_factory.mktemp("influxd"))
    if program is None:
        how = (
            f"no influxd found. Get InfluxDB OSS {VERSION} and put influxd on the PATH, or name it "
            "by INFLUXD=FILE, or a packed copy by INFLUXD_ARCHIVE=FILE.zst, or start Docker."
        )
        if os.environ.get("TESTS_REQUIRE_INFLUX") == "1":
            pytest.fail(how)
        pytest.skip(how)
    with InfluxServer(program) as server:
        yield server


@pytest.fixture
def topics(kafka: KafkaServer) -> Callable[..., str]:
    """Makes a topic under a name of its own: ``topics("predictions", partitions=2)``; the name."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})

    def create(name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        topic = f"{name}-{uuid.uuid4().hex[:8]}"
        wanted = NewTopic(
            topic, num_partitions=partitions, replication_factor=1, config=config or {}
        )
        for created in admin.create_topics([wanted]).values():
            created.result(timeout=120)
        return topic

    return create


def with_shared_archive(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Where nothing is named, a packed copy may lie in a directory beside the repository."""
    if environ.get("INFLUXD_ARCHIVE"):
        return environ
    archives = sorted(REPOSITORY.parent.glob("shared/servers/influxd-*.zst"))
    return {**environ, "INFLUXD_ARCHIVE": str(archives[-1])} if archives else environ

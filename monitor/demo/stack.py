"""The servers of the demo: Kafka, MLflow, the served model and the monitor, each a process of its own."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from monitor.demo.slack import SlackReceiver
from monitor.errors import MonitorError
from monitor.servers import KafkaServer, MlflowServer, Process, free_ports
from monitor.settings import Settings, load_settings

MODEL = "census"
GROUPS = "SEX,race"

#: Partitions of the demo's topics: both versions of the model may share one.
_PARTITIONS = "2"

#: Directory of the prediction log.
_LOG = "prediction-log"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stack:
    """Where everything is.

    Attributes
    ----------
    environment
        The MONITOR_* variables that every process of the stack is given.
    slack
        What the monitor's notices come to; None on servers that ran before, whose notices go where they are set to go.
    """

    settings: Settings
    environment: dict[str, str]
    slack: SlackReceiver | None
    folder: Path
    _exit: ExitStack

    @property
    def external(self) -> bool:
        """Whether the servers and the monitor were running before, and will afterwards."""
        return self.slack is None

    def serve(self) -> str:
        """Serve the champion over HTTP; return its address."""
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        words = {
            "--model": MODEL,
            "--groups": GROUPS,
            "--tracking-uri": self.settings.registry.uri,
            "--bootstrap": self.settings.kafka.bootstrap,
            "--port": str(port),
            "--refresh-seconds": "1",
            "--spool-directory": str(self.folder / "spool"),
        }
        command = [
            sys.executable,
            _example("serve.py"),
            *(w for pair in words.items() for w in pair),
        ]
        self._run("the model server", command, lambda: _answers(f"{url}/health"))
        return url

    def watch(self) -> None:
        """Start the monitor and the archiver, as `monitor run` and `monitor archive` do, unless they are there."""
        if self.external:
            return
        for name, command in (("the monitor", "run"), ("the archiver", "archive")):
            self._run(name, [sys.executable, "-m", "monitor", command], lambda: True)

    def show(self) -> str:
        """Start the page, as `monitor web` does anywhere; return its address, where it answers in a moment.

        Nothing is started beside a monitor that runs already; its deployment has a page of its own.
        """
        if self.external:
            return ""
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "monitor", "web", "--port", str(port)]
        # Nobody waits for it: the story goes on without a page as well.
        self._run("the web", command, lambda: True)
        return f"http://127.0.0.1:{port}"

    def _run(self, name: str, command: list[str], ready: Callable[[], bool]) -> None:
        log = self.folder / f"{name.rsplit(maxsplit=1)[-1]}.log"
        process = Process(name, command, log=log, env=self.environment)
        self._exit.enter_context(process)
        process.wait_until(ready, seconds=60)


@contextmanager
def start_stack(folder: Path, say: Say) -> Iterator[Stack]:
    """Start Kafka and MLflow on free ports; everything ends with the block.

    Parameters
    ----------
    folder
        Where data and logs go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _clear(folder)
    with ExitStack() as stack:
        slack = stack.enter_context(SlackReceiver())
        say("Starting Apache Kafka (a real broker, from two wheels)")
        kafka = stack.enter_context(KafkaServer(say=say))
        say("Starting MLflow (a real server, on SQLite)")
        mlflow = stack.enter_context(MlflowServer())
        environment = {
            "MONITOR_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "MONITOR_REGISTRY__URI": mlflow.uri,
            "MONITOR_STREAM__PARTITIONS": _PARTITIONS,
            "MONITOR_STREAM__SNAPSHOT_SECONDS": "1",
            "MONITOR_STORE__PATH": str(folder / "monitor.db"),
            "MONITOR_AUDIT__PATH": str(folder / "audit.jsonl"),
            "MONITOR_LOG__PATH": str(folder / _LOG),
            "MONITOR_LOG__BATCH_SECONDS": "5",
            # For the length of the demo; a deployment has its own from a secret store.
            "MONITOR_LOG__MASTER_KEY": base64.b64encode(os.urandom(32)).decode(),
            "MONITOR_POLICY__PATH": str(Path(__file__).with_name("policy.yaml")),
            "MONITOR_NOTIFY__SLACK_WEBHOOK": slack.url,
            "MONITOR_NOTIFY__OUTBOX": str(folder / "notices.db"),
            "MLFLOW_TRACKING_URI": mlflow.uri,
            "OMP_NUM_THREADS": "1",
        }
        settings = load_settings(environment)
        yield Stack(settings, environment, slack, folder, stack)


@contextmanager
def join_stack(folder: Path, environ: Mapping[str, str], settings: Settings) -> Iterator[Stack]:
    """Use servers and a monitor that run already; only the model server is started, and ends with the block.

    Parameters
    ----------
    environ
        This process's: the model server is given the same.
    settings
        Where Kafka and MLflow are, and the policy that the monitor there has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**environ, "MLFLOW_TRACKING_URI": settings.registry.uri, "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        yield Stack(settings, environment, None, folder, stack)


def _clear(folder: Path) -> None:
    """Forget the run before: its events lie on the same clock as this one's."""
    for name in (_LOG, f"{_LOG}.keys", f"{_LOG}.labels"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for pattern in ("monitor.db*", "notices.db*", "audit.jsonl"):
        for path in folder.glob(pattern):
            path.unlink()


def _example(name: str) -> str:
    path = Path(__file__).parents[2] / "examples" / name
    if not path.is_file():
        raise MonitorError("the example is not there", where=str(path), fix="Run it from a clone.")
    return str(path)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False

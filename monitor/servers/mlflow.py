"""An MLflow tracking server and registry on SQLite."""

from __future__ import annotations

import sys
from pathlib import Path

from monitor.servers.local import LocalServer
from monitor.servers.ports import free_ports, responds
from monitor.servers.process import Process


class MlflowServer(LocalServer):
    """A real ``mlflow server`` on the loopback interface: HTTP, SQLite, artifacts through the server.

    Parameters
    ----------
    directory
        Where database, artifacts and log go; a temporary one by default, gone with the server.
    """

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__(directory)
        (self._port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self._port}"

    def _launch(self) -> Process:
        options = {
            "--backend-store-uri": f"sqlite:///{self.directory / 'mlflow.db'}",
            "--artifacts-destination": str(self.directory / "artifacts"),
            "--host": "127.0.0.1",
            "--port": str(self._port),
            "--workers": "1",
        }
        words = [word for option in options.items() for word in option]
        process = Process(
            "MLflow",
            [sys.executable, "-m", "mlflow", "server", *words],
            log=self.directory / "mlflow.log",
            env={"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )

        process.start()
        process.wait_until(lambda: responds(f"{self.uri}/health"), seconds=240)
        return process

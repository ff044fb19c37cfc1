"""What the servers of this room share: a directory, one process, a beginning and an end."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from monitor.servers.process import Process


class LocalServer(ABC):
    """A server on the loopback interface, on free ports, with its data in a directory.

    Parameters
    ----------
    directory
        Where data and log go; a temporary one by default, gone with the server.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._temporary = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="monitor-")
            directory = Path(self._temporary.name)
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._process: Process | None = None

    @abstractmethod
    def _launch(self) -> Process:
        """Start the process, and wait until the server answers."""

    @property
    def running(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start, and wait for an answer.

        Raises
        ------
        MonitorError
            When it does not start; with the end of its log.
        """
        self._process = self._launch()

    def stop(self) -> None:
        """Shut down in order; the data stay until the ``with`` block is left."""
        if self._process is not None:
            self._process.stop(grace_seconds=30)

    def kill(self) -> None:
        """SIGKILL, as a power cut does."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """Stop if it runs, and start again: same ports, same data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clean()

    def _clean(self) -> None:
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

"""What the routes read, opened when it is first asked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from monitor import bootstrap
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.policy.model import Policy
    from monitor.predictionlog.log import PredictionLog
    from monitor.registry.mlflow_registry import Registry
    from monitor.stores.protocol import ReportStore


class Rooms:
    """The stores, the log and the registry of one deployment; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._store: ReportStore | None = None
        self._registry: Registry | None = None
        self._mine = threading.local()

    def policy(self) -> Policy:
        """Return the policy as its file stands now."""
        return bootstrap.load_policy(self.settings)

    def store(self) -> ReportStore:
        """Return the store of reports and decisions."""
        with self._lock:
            if self._store is None:
                self._store = bootstrap.open_store(self.settings)
            return self._store

    def registry(self) -> Registry:
        """Return the model registry."""
        with self._lock:
            if self._registry is None:
                self._registry = bootstrap.open_registry(self.settings)
            return self._registry

    def log(self, actor: str) -> PredictionLog:
        """Return the prediction log; what is asked goes on the record as asked by `actor`."""
        # A table that was opened before knows its past; each thread has its own, Delta's being no shared one.
        log: PredictionLog | None = getattr(self._mine, "log", None)
        if log is None:
            log = self._mine.log = bootstrap.open_prediction_log(self.settings, actor)
        return log.used_by(actor)

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = None


def _rooms(request: Request) -> Rooms:
    rooms: Rooms = request.app.state.rooms
    return rooms


#: The rooms, as a route's parameter.
Opened = Annotated[Rooms, Depends(_rooms)]

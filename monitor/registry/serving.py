"""A served model that follows its alias: when ``champion`` moves, the next request meets the new version."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING, Any, Self

import mlflow
from mlflow.exceptions import MlflowException

from monitor.errors import InputError, RegistryUnavailable, VersionNotFound
from monitor.events import ModelVersion
from monitor.publish.model import MonitoredModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlflow.entities.model_registry import ModelVersion as RegisteredVersion

    from monitor.publish import PredictionPublisher

_log = logging.getLogger("monitor.registry.serving")
_URI = re.compile(r"models:/(?P<name>[^@]+)@(?P<alias>[^@/]+)")
_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


def load_monitored_model(
    uri: str,
    publisher: PredictionPublisher,
    *,
    groups: Sequence[str] = (),
    score: Callable[[Any], Any] | None = None,
    deployment: str | None = None,
    refresh_seconds: float = 10.0,
    tracking_uri: str | None = None,
) -> FollowingModel:
    """Load the version that an alias names, publish its predictions, and follow the alias.

    Parameters
    ----------
    uri
        ``models:/NAME@ALIAS``.
    groups, score, deployment
        As for `MonitoredModel`.
    refresh_seconds
        How often a background thread looks where the alias points; 0 or less: never.
    tracking_uri
        MLflow's address; ``MLFLOW_TRACKING_URI`` by default.

    Raises
    ------
    InputError
        If `uri` names no alias.
    VersionNotFound
        If there is no such model or alias.
    RegistryUnavailable
        If MLflow does not answer now. Later it may be away: the loaded version goes on serving.

    Examples
    --------
    >>> model = load_monitored_model("models:/credit@champion", publisher)  # doctest: +SKIP
    >>> model.predict(frame)  # doctest: +SKIP
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise InputError("this names no alias", where=uri, fix="Write models:/NAME@ALIAS.")
    if tracking_uri is not None:
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)  # else one that was set before stays
    client = mlflow.MlflowClient(tracking_uri, tracking_uri)

    def look_up() -> RegisteredVersion:
        return client.get_model_version_by_alias(match["name"], match["alias"])

    def load(registered: RegisteredVersion) -> MonitoredModel:
        return MonitoredModel(
            mlflow.pyfunc.load_model(f"models:/{registered.name}/{registered.version}"),
            publisher,
            version=ModelVersion(registered.name, str(registered.version)),
            run_id=registered.run_id or None,
            groups=groups,
            score=score,
            deployment=deployment,
        )

    try:
        first = load(look_up())
    except MlflowException as error:
        if error.error_code in _MISSING:
            raise VersionNotFound(
                f"no such model or alias ({error.message})",
                where=uri,
                fix="Register the model and set the alias first.",
            ) from error
        raise RegistryUnavailable(
            f"MLflow does not answer ({error.message})",
            where=mlflow.get_tracking_uri(),
            fix="Start it, or set MLFLOW_TRACKING_URI.",
        ) from error
    return FollowingModel(first, look_up, load, refresh_seconds=refresh_seconds)


class FollowingModel:
    """A `MonitoredModel` that is exchanged as a whole when its alias moves.

    A request works with one version from beginning to end. `current` is that version; take it once where
    the answer must name who gave it::

        model = following.current
        answer, version = model.predict(frame), model.version
    """

    def __init__(
        self,
        first: MonitoredModel,
        look_up: Callable[[], RegisteredVersion],
        load: Callable[[RegisteredVersion], MonitoredModel],
        *,
        refresh_seconds: float,
    ) -> None:
        self.current = first
        self._look_up = look_up
        self._load = load
        self._refreshing = threading.Lock()
        self._closed = threading.Event()
        if refresh_seconds > 0:
            threading.Thread(
                target=self._follow, args=(refresh_seconds,), name="monitor-alias", daemon=True
            ).start()

    @property
    def version(self) -> ModelVersion:
        """The version that answers now."""
        return self.current.version

    def predict(self, data: Any, **about: Any) -> Any:
        """Return the current version's answer; see `MonitoredModel.predict`."""
        return self.current.predict(data, **about)

    def refresh(self) -> bool:
        """Look where the alias points, and load that version; return whether it has moved.

        Raises
        ------
        mlflow.exceptions.MlflowException
            If MLflow does not answer, or the version cannot be loaded. The old version stays.
        """
        with self._refreshing:
            registered = self._look_up()
            if str(registered.version) == self.version.version:
                return False
            self.current = self._load(registered)
            _log.info("serving %s/%s now", *self.version)
            return True

    def close(self) -> None:
        """Stop following."""
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self, refresh_seconds: float) -> None:
        while not self._closed.wait(refresh_seconds):
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001 a model's own code runs while it is loaded
                _log.warning(
                    "the alias cannot be followed; %s/%s goes on serving: %s", *self.version, error
                )

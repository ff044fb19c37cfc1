"""The model registry over MLflow: versions, aliases, tags, and each version's frozen baseline."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.exceptions import MlflowException

from monitor.baselines import ARTIFACT, HASH_TAG, decode_baseline, hash_of
from monitor.errors import (
    BaselineAltered,
    BaselineError,
    PolicyError,
    RegistryError,
    VersionNotFound,
)
from monitor.events import ModelVersion
from monitor.policy.model import ModelPolicy
from monitor.policy.thresholds import ARTIFACT as THRESHOLDS
from monitor.policy.thresholds import HASH_TAG as THRESHOLDS_TAG
from monitor.policy.thresholds import with_thresholds
from monitor.profiles.layout import Kind
from monitor.registry.faults import in_plain_words, is_invalid, is_missing_alias, lacks_file
from monitor.registry.versions import POLICY_TAG, RegisteredVersion

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

    from monitor.baselines import Baseline

#: MLflow's own defaults are 120 s and 7 retries: an outage would hold a worker for minutes. Who acts tries again
#: anyway. A value in the environment stands.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.5",
}

_KINDS = {
    **dict.fromkeys(("integer", "long", "float", "double"), Kind.NUMERIC),
    "boolean": Kind.BOOLEAN,
}


class Registry:
    """One MLflow tracking server with its registry.

    An outage answers within seconds, as `RegistryUnavailable`.

    Parameters
    ----------
    uri
        Address such as ``http://mlflow:5000``, or ``sqlite:///FILE``. It becomes this process's tracking address:
        reading a model's signature goes through MLflow's own global one.
    """

    def __init__(self, uri: str) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        self.uri = uri
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self._client = mlflow.MlflowClient(uri, uri)

    # ------------------------------------------------------------------------------------- baselines

    def baseline(self, version: ModelVersion) -> Baseline | None:
        """Return the version's frozen baseline; None if none was approved, or there is no such version.

        Raises
        ------
        RegistryUnavailable
            If that cannot be known now.
        BaselineAltered
            If the artifact is gone, or is not what the version's tag says.
        BaselineError
            If it belongs to another version, or to another release of this package.
        """
        where = _name(version)
        try:
            registered = self._get(version)
        except VersionNotFound:
            return None
        sha256 = registered.tags.get(HASH_TAG)
        if sha256 is None:
            return None
        data = self._read(registered.run_id, version, ARTIFACT)
        if data is None:
            raise BaselineAltered(
                f"the version's tag {HASH_TAG} names an artifact that is gone",
                where=where,
                fix="Find out who deleted it; then make the baseline anew.",
            )
        baseline = decode_baseline(data, sha256=sha256, where=where)
        if baseline.subject != version:
            raise BaselineError(
                f"its baseline is that of {_name(baseline.subject)}",
                where=where,
                fix="Make the version's own baseline.",
            )
        thresholds = self._thresholds(registered)
        if thresholds is None:
            return baseline
        return replace(
            baseline, thresholds=thresholds, thresholds_sha256=registered.tags[THRESHOLDS_TAG]
        )

    def thresholds(self, version: ModelVersion) -> bytes | None:
        """Return the thresholds that the version is judged by; None if it has none of its own.

        Raises
        ------
        BaselineAltered
            If the artifact is gone, or is not what the version's tag says.
        BaselineError
            If this release cannot read it.
        VersionNotFound, RegistryUnavailable, RegistryError
            If that cannot be known.
        """
        return self._thresholds(self._get(version))

    def publish_thresholds(self, version: ModelVersion, data: bytes) -> str:
        """Keep thresholds with the version, as an artifact and its hash in a tag; return their sha256.

        Parameters
        ----------
        data
            What `encode_thresholds` gave.

        Raises
        ------
        VersionNotFound, RegistryUnavailable, RegistryError
            If they are not published.
        """
        self._log(version, THRESHOLDS, data)
        sha256 = hash_of(data)
        self.tag(version, THRESHOLDS_TAG, sha256)
        return sha256

    def publish_baseline(
        self,
        version: ModelVersion,
        data: bytes,
        *,
        policy_sha256: str | None = None,
        thresholds: bytes | None = None,
    ) -> str:
        """Log a baseline as an artifact of the version, and tag the version with its hash.

        Parameters
        ----------
        data
            What `encode_baseline` gave.
        policy_sha256
            Of the policy in force.
        thresholds
            What `encode_thresholds` gave of that policy: the version is judged by them from now on.

        Returns
        -------
        str
            The artifact's sha256.

        Raises
        ------
        VersionNotFound, RegistryUnavailable, RegistryError
            If it is not published. The hash is tagged last: half a publication is no baseline.
        """
        self._log(version, ARTIFACT, data)
        if thresholds is not None:
            self.publish_thresholds(version, thresholds)
        if policy_sha256 is not None:
            self.tag(version, POLICY_TAG, policy_sha256)
        sha256 = hash_of(data)
        self.tag(version, HASH_TAG, sha256)
        return sha256

    # -------------------------------------------------------------------------------------- versions

    def versions(self, model: str) -> list[RegisteredVersion]:
        """Return the model's versions, earliest first; none if there is no such model.

        Raises
        ------
        RegistryUnavailable, RegistryError
            If that cannot be known.
        """
        found: list[RegisteredVersion] = []
        token: str | None = None
        with in_plain_words(model):
            while True:
                page = self._client.search_model_versions(
                    f"name = {_quoted(model)}", page_token=token, max_results=1000
                )
                found += [_registered(version) for version in page]
                token = page.token
                if not token:
                    break
        return sorted(found, key=lambda version: version.number)

    def signature(self, version: ModelVersion) -> list[tuple[str, str]] | None:
        """Return the model's features, each with its kind; None if it has none with names, or no model file.

        Raises
        ------
        VersionNotFound, RegistryUnavailable, RegistryError
            If that cannot be known.
        """
        self._get(version)  # MLflow's reader calls a wrong name an outage
        with in_plain_words(_name(version)):
            try:
                info = mlflow.models.get_model_info(f"models:/{version.model}/{version.version}")
            except MlflowException as error:
                if not lacks_file(error):
                    raise
                return None
            signature = info.signature
        if signature is None or signature.inputs is None or signature.inputs.is_tensor_spec():
            return None
        if not signature.inputs.has_input_names():
            return None
        return [(str(column.name), _kind(column.type).value) for column in signature.inputs.inputs]

    def tag(self, version: ModelVersion, key: str, value: str) -> None:
        """Set a tag of a version.

        Raises
        ------
        VersionNotFound, RegistryUnavailable, RegistryError
            If it was not set, or that cannot be known.
        """
        with in_plain_words(_name(version)):
            self._client.set_model_version_tag(version.model, version.version, key, value)

    # --------------------------------------------------------------------------------------- aliases

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version that an alias names; None if it names none.

        Raises
        ------
        VersionNotFound
            If there is no such model.
        RegistryUnavailable, RegistryError
            If that cannot be known.
        """
        with in_plain_words(f"{model}@{alias}"):
            try:
                return str(self._client.get_model_version_by_alias(model, alias).version)
            except MlflowException as error:
                if not is_missing_alias(error):
                    raise
                self._client.get_registered_model(model)  # no alias, or no model?
                return None

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Let an alias name a version. MLflow compares nothing: whoever sets last wins.

        Raises
        ------
        VersionNotFound, RegistryUnavailable, RegistryError
            If it was not set, or that cannot be known.
        """
        with in_plain_words(f"{model}@{alias}"):
            self._client.set_registered_model_alias(model, alias, version)

    # ---------------------------------------------------------------------------------------- inside

    def _get(self, version: ModelVersion) -> MlflowVersion:
        where = _name(version)
        if not _is_number(version.version):  # MLflow would answer 500 or 400, by backend
            raise VersionNotFound(
                "MLflow's versions are numbers", where=where, fix="Check the version."
            )
        with in_plain_words(where):
            try:
                return self._client.get_model_version(version.model, version.version)
            except MlflowException as error:
                if not is_invalid(error):
                    raise
                raise VersionNotFound(
                    f"MLflow allows no such name ({error.message})",
                    where=where,
                    fix="Check the model's name.",
                ) from error

    def _thresholds(self, registered: MlflowVersion) -> bytes | None:
        version = ModelVersion(registered.name, str(registered.version))
        sha256 = registered.tags.get(THRESHOLDS_TAG)
        if sha256 is None:
            return None
        data = self._read(registered.run_id, version, THRESHOLDS)
        if data is None or hash_of(data) != sha256:
            raise BaselineAltered(
                f"its thresholds are not those that the version's tag {THRESHOLDS_TAG} names",
                where=_name(version),
                fix="Find out who changed them; then put it under a policy with `monitor policy adopt`.",
            )
        try:
            with_thresholds(ModelPolicy(), data)
        except PolicyError as error:
            raise BaselineError(error.what, where=_name(version), fix=error.fix) from error
        return data

    def _log(self, version: ModelVersion, name: str, data: bytes) -> None:
        run_id = self._get(version).run_id
        if not run_id:
            raise RegistryError(
                "the version has no run to hold the artifact",
                where=_name(version),
                fix="Register the model from the run that trained it.",
            )
        with tempfile.TemporaryDirectory() as directory, in_plain_words(_name(version)):
            file = Path(directory, name)
            file.write_bytes(data)
            self._client.log_artifact(run_id, str(file), _folder(version))

    def _read(self, run_id: str | None, version: ModelVersion, name: str) -> bytes | None:
        folder = _folder(version)
        path = f"{folder}/{name}"
        with tempfile.TemporaryDirectory() as directory, in_plain_words(_name(version)):
            listed = self._client.list_artifacts(run_id, folder) if run_id else []
            if not run_id or not any(file.path == path for file in listed):
                return None
            return Path(self._client.download_artifacts(run_id, path, directory)).read_bytes()


def _kind(type_: Any) -> Kind:
    """Return how a column of the signature is counted: an array of numbers is a vector."""
    inner = getattr(type_, "dtype", None)
    if inner is not None and _KINDS.get(getattr(inner, "name", "")) is Kind.NUMERIC:
        return Kind.EMBEDDING
    return _KINDS.get(getattr(type_, "name", ""), Kind.CATEGORICAL)


def _is_number(version: str) -> bool:
    """Whether it may be a version: a number that every database behind MLflow can hold."""
    return version.isascii() and version.isdecimal() and len(version) < 10


def _folder(version: ModelVersion) -> str:
    # One run may be registered as several versions, of several models, whose names need not be fit for a path.
    return f"monitor/{hashlib.sha256(version.key).hexdigest()[:16]}"


def _name(version: ModelVersion) -> str:
    return f"{version.model}/{version.version}"


def _quoted(model: str) -> str:
    quote = '"' if "'" in model else "'"
    if quote in model:
        raise VersionNotFound(
            "MLflow cannot be asked for a name with both kinds of quotes",
            where=model,
            fix="Register the model under another name.",
        )
    return f"{quote}{model}{quote}"


def _registered(version: MlflowVersion) -> RegisteredVersion:
    return RegisteredVersion(
        ModelVersion(version.name, str(version.version)),
        int(version.version),
        dict(version.tags),
        has_baseline=HASH_TAG in version.tags,
        ready=version.status == "READY",
    )

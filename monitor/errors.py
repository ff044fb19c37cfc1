"""Every error this package raises on purpose.

::

    MonitorError
    |-- SettingsError          a setting is unknown, missing or malformed
    |-- PluginError            what an installed package offers cannot be used
    |-- PolicyError            a policy file does not say what a policy may say
    |-- InputError             a file or argument given at the desk is not usable
    |   |-- MissingColumn      a named column is not in the data
    |   `-- EmptyData          nothing to measure: no rows, or all values missing
    |-- EventError             one event is not usable; it goes to the dead-letter topic
    |-- BaselineError
    |   |-- BaselineMissing    the version has no baseline artifact or no hash tag
    |   `-- BaselineAltered    the artifact's hash is not the one the version was tagged with
    |-- EmptyWindow            a statistic was asked of no observations
    |-- LayoutMismatch         two profiles do not describe the same columns
    |-- RegistryError
    |   |-- RegistryUnavailable  MLflow does not answer; worth another try
    |   |-- VersionNotFound      no such registered model or version
    |   `-- ActionRefused        a rollback that the rules forbid
    |-- StoreError             the report store refuses, or does not answer
    |-- KafkaError             the broker refuses, or does not answer
    |-- NoticeError            Slack or PagerDuty refuses, or does not answer
    |-- StateError             a snapshot cannot be read by this release
    `-- AuditChainBroken       the audit record was altered
"""

from __future__ import annotations

import re

#: ``user:password@`` of an address.
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]*:[^\s/]*@")


def without_credentials(text: str) -> str:
    """Return a text in which addresses do not name who may get in, nor by which password.

    Examples
    --------
    >>> without_credentials("no answer from postgresql://mlflow:s3cret@db:5432/mlflow")
    'no answer from postgresql://***@db:5432/mlflow'
    """
    return _CREDENTIALS.sub("***@", text)


class MonitorError(Exception):
    """What went wrong, where, and what to do about it.

    Parameters
    ----------
    what
        One sentence: what was wrong.
    where
        The file, field, topic or address concerned.
    fix
        One sentence: what to do.

    Examples
    --------
    >>> print(MonitorError("the file has no rows", where="reference.csv", fix="Export it again."))
    reference.csv: the file has no rows. Export it again.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        sentence = f"{where}: {what}" if where else what
        super().__init__(f"{sentence.rstrip('.')}. {fix}" if fix else sentence)


class SettingsError(MonitorError):
    """A setting is unknown, missing or malformed."""


class PluginError(MonitorError):
    """What an installed package offers cannot be used."""


class PolicyError(MonitorError):
    """A policy file does not say what a policy may say."""


class InputError(MonitorError):
    """A file or argument given at the desk is not usable."""


class MissingColumn(InputError):
    """A named column is not in the data."""


class EmptyData(InputError):
    """Nothing to measure: no rows, or all values missing."""


class EventError(MonitorError):
    """One event is not usable; it goes to the dead-letter topic.

    Parameters
    ----------
    field
        Path of the field at fault, such as ``features.age``; ``$`` for the whole value.
    reason
        What is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field, self.reason = field, reason
        super().__init__(reason, where=field)


class BaselineError(MonitorError):
    """A baseline cannot be used."""


class BaselineAltered(BaselineError):
    """The artifact's hash is not the one that the version was tagged with."""


class EmptyWindow(MonitorError):
    """A statistic was asked of no observations."""


class LayoutMismatch(MonitorError):
    """Two profiles do not describe the same columns."""


class RegistryError(MonitorError):
    """The model registry cannot do what was asked."""


class RegistryUnavailable(RegistryError):
    """MLflow does not answer; worth another try."""


class VersionNotFound(RegistryError):
    """No such registered model or version."""


class ActionRefused(RegistryError):
    """A rollback that the rules forbid."""


class StoreError(MonitorError):
    """The report store refuses, or does not answer."""


class KafkaError(MonitorError):
    """The broker refuses, or does not answer."""


class NoticeError(MonitorError):
    """Slack or PagerDuty refuses, or does not answer."""


class StateError(MonitorError):
    """A snapshot cannot be read by this release."""


class AuditChainBroken(MonitorError):
    """The audit record was altered."""

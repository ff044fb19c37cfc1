"""What MLflow raises, as an error of this package with a fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from requests import RequestException

from monitor.errors import (
    RegistryError,
    RegistryUnavailable,
    VersionNotFound,
    without_credentials,
)

_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
_REFUSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_WRONG = frozenset({"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE"})


@contextmanager
def in_plain_words(where: str) -> Iterator[None]:
    """Turn MLflow's errors into this package's.

    Parameters
    ----------
    where
        What was asked for: the model, version or alias.

    Raises
    ------
    VersionNotFound
        If MLflow knows no such thing.
    RegistryUnavailable
        If it does not answer, or not as it should: worth another try.
    RegistryError
        If it refuses; another try would be refused too.
    """
    try:
        yield
    except MlflowException as error:
        raise _translated(error, where) from error
    except (RequestException, ConnectionError, TimeoutError) as error:  # artifacts come plainly so
        raise RegistryUnavailable(
            f"MLflow does not answer ({_short(error)})", where=where, fix=_START
        ) from error


def is_invalid(error: MlflowException) -> bool:
    """Whether MLflow says that a thing can have no such name."""
    return bool(error.error_code == "INVALID_PARAMETER_VALUE")


def is_missing_alias(error: MlflowException) -> bool:
    """Whether MLflow says that there is no such alias: it calls that an invalid parameter."""
    return error.error_code in _MISSING or (is_invalid(error) and "not found" in str(error).lower())


def lacks_file(error: MlflowException) -> bool:
    """Whether MLflow says that an artifact is not there: it calls that an internal error."""
    return "404 Client Error" in str(error) or isinstance(error.__cause__, FileNotFoundError)


_START = "Check that MLflow runs, and its address (registry.uri)."


def _translated(error: MlflowException, where: str) -> RegistryError:
    said = _short(error)
    if error.error_code in _MISSING:
        return VersionNotFound(
            f"MLflow knows no such thing ({said})",
            where=where,
            fix="Check the model's name and version; it may have been deleted.",
        )
    if error.error_code in _REFUSED:
        return RegistryError(
            f"MLflow refuses ({said})",
            where=where,
            fix="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the token, of a user who may.",
        )
    if error.error_code in _WRONG:
        return RegistryError(
            f"MLflow refuses the request ({said})",
            where=where,
            fix="Check the name, version, alias or tag that it names.",
        )
    return RegistryUnavailable(f"MLflow does not answer ({said})", where=where, fix=_START)


def _short(error: Exception) -> str:
    words = without_credentials(" ".join(str(error).split()))
    return words if len(words) <= 200 else f"{words[:197]}..."

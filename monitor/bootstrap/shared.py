"""What most commands begin with: the policy, the registry, the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from monitor.errors import PolicyError
from monitor.policy.load import parse_policy
from monitor.policy.model import Policy
from monitor.settings import Settings, reveal

if TYPE_CHECKING:
    from monitor.registry.mlflow_registry import Registry
    from monitor.stores.influx import InfluxStore
    from monitor.stores.protocol import ReportStore


log_ = structlog.get_logger(__name__)


def load_kernels() -> None:
    """Compile what is not compiled yet, so that no event waits for it."""
    from monitor.kernels import compile_all

    log_.info("compiling what is not compiled yet; the first time it takes half a minute")
    if (missing := compile_all()) is not None:
        log_.warning("no kernels: JSON takes two to three times as long", error=str(missing))


def load_policy(settings: Settings) -> Policy:
    """Return the deployment's policy; the defaults if no file was named and there is none.

    Raises
    ------
    PolicyError
        If the file cannot be read, or does not say what a policy may say.
    """
    path = settings.policy.path
    if not path.exists() and "path" not in settings.policy.model_fields_set:
        return Policy()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(
            f"the policy cannot be read: {error}",
            where=str(path),
            fix="Check MONITOR_POLICY__PATH.",
        ) from error
    return parse_policy(text, where=str(path))


def open_registry(settings: Settings) -> Registry:
    """Return the model registry."""
    from monitor.registry.mlflow_registry import Registry

    return Registry(settings.registry.uri)


def open_store(settings: Settings) -> ReportStore:
    """Return the store of reports and decisions.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """
    if settings.store.kind == "sqlite":
        from monitor.stores.sqlite import SqliteStore

        return SqliteStore(settings.store.path)
    return open_influx(settings)


def open_influx(settings: Settings) -> InfluxStore:
    """Return the InfluxDB that the settings name; errors as of `open_store`."""
    from monitor.stores.influx import InfluxStore

    influx = settings.store.influx
    return InfluxStore(
        url=influx.url, org=influx.org, bucket=influx.bucket, token=reveal(influx.token) or ""
    )

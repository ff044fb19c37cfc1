"""The settings of one deployment, read once at the edge from the environment and a YAML file.

A variable is named by the path of its setting: ``MONITOR_KAFKA__BOOTSTRAP`` is ``kafka.bootstrap``. The
environment wins over the file. Secrets come from the environment only, or from the file that
``MONITOR_..._FILE`` names, so that a settings file can be shown to anybody.

The publisher does not need this module: serving machines have no pydantic. It reads the same
``MONITOR_KAFKA__*``, and ``MONITOR_PUBLISH__*`` of its own.
"""

from __future__ import annotations

from monitor.settings.load import load_settings, variable
from monitor.settings.section import reveal
from monitor.settings.tree import (
    Audit,
    Health,
    Influx,
    Kafka,
    Log,
    Notify,
    PolicyFile,
    Registry,
    Settings,
    Store,
    Stream,
    Topics,
)
from monitor.settings.web import Web

__all__ = [
    "Audit",
    "Health",
    "Influx",
    "Kafka",
    "Log",
    "Notify",
    "PolicyFile",
    "Registry",
    "Settings",
    "Store",
    "Stream",
    "Topics",
    "Web",
    "load_settings",
    "reveal",
    "variable",
]

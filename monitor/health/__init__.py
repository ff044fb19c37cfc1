"""How the monitor itself is: its series for Prometheus, whether it lives, and whether it is ready.

`Health` is one process's own; its parts (stream, actor, sink, archive) write into it. `HealthServer` shows it over
HTTP; `monitor.stores.health` writes the same series where Grafana reads them.
"""

from __future__ import annotations

from monitor.health.health import Health, PartitionHealth
from monitor.health.pulse import Pulse
from monitor.health.server import HealthServer

__all__ = ["Health", "HealthServer", "PartitionHealth", "Pulse"]

"""Real servers, started by the project itself: for the demo and for the tests."""

from __future__ import annotations

from monitor.servers.influx import InfluxServer
from monitor.servers.kafka import KafkaServer
from monitor.servers.mlflow import MlflowServer
from monitor.servers.ports import free_ports
from monitor.servers.process import Process

__all__ = ["InfluxServer", "KafkaServer", "MlflowServer", "Process", "free_ports"]

"""Drift: how far a window's columns are from their baseline's."""

from monitor.metrics.drift.family import METRICS
from monitor.metrics.drift.measure import measure_drift

__all__ = ["METRICS", "measure_drift"]

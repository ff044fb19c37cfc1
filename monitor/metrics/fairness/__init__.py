"""Fairness between groups: rates per group first, gaps derived from them, each with its limits."""

from monitor.metrics.fairness.excess import ExcessGap, excess_gap
from monitor.metrics.fairness.measure import measure_fairness
from monitor.metrics.fairness.outcomes import classes_of, positive_class

__all__ = ["ExcessGap", "classes_of", "excess_gap", "measure_fairness", "positive_class"]

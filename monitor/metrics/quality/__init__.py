"""Quality: what is wrong with the data itself, said in words."""

from monitor.metrics.quality.find import find_quality

__all__ = ["find_quality"]

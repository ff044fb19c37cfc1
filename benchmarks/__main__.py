"""``python -m benchmarks NAME [--json] [--quick]``."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

import structlog

from benchmarks.figures import show

#: Each module has ``main(*, quick: bool) -> list[Figure]``; its docstring says what it measures.
BENCHMARKS = {
    "archive": "benchmarks.archive",
    "catch_up": "benchmarks.catch_up",
    "detection": "benchmarks.detection",
    "embeddings": "benchmarks.embeddings",
    "engine": "benchmarks.engine",
    "estimate": "benchmarks.estimate",
    "false_alarms": "benchmarks.false_alarms",
    "growth": "benchmarks.growth",
    "judging": "benchmarks.judging",
    "latency": "benchmarks.latency",
    "libraries": "benchmarks.libraries",
    "publishing": "benchmarks.publishing",
    "scale_out": "benchmarks.scale_out",
    "service": "benchmarks.service",
    "soak": "benchmarks.soak",
    "throughput": "benchmarks.throughput",
}


def main() -> None:
    """Run one benchmark and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="print a list of figures")
    parser.add_argument("--quick", action="store_true", help="less data, for a first look")
    chosen = parser.parse_args()
    # Standard output is for the figures alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    figures = import_module(BENCHMARKS[chosen.name]).main(quick=chosen.quick)
    show(figures, as_json=chosen.json)


if __name__ == "__main__":
    main()

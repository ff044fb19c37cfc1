"""All figures of speed: the engine alone, judging, the publisher, and the whole service.

The service runs beside others' no-ops, at half load, over an hour's backlog, and with two workers. Each part is a benchmark by itself too; see `benchmarks.__main__`. About twelve minutes on two quiet cores.
"""

from __future__ import annotations

from benchmarks import catch_up, engine, judging, latency, publishing, scale_out, service
from benchmarks.figures import Figure, say


def main(*, quick: bool) -> list[Figure]:
    """Run each part in turn."""
    figures = []
    for part in (engine, judging, publishing, service, latency, catch_up, scale_out):
        say(f"{part.__name__.rpartition('.')[2]} ...")
        figures += part.main(quick=quick)
    return figures

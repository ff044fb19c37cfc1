"""All figures of speed: the engine alone, judging, the publisher, and the whole service beside others' no-ops.

Each part is a benchmark by itself too; see `benchmarks.__main__`. About eight minutes on two quiet cores.
"""

from __future__ import annotations

from benchmarks import engine, judging, publishing, service
from benchmarks.figures import Figure, say


def main(*, quick: bool) -> list[Figure]:
    """Run each part in turn."""
    figures = []
    for part in (engine, judging, publishing, service):
        say(f"{part.__name__.rpartition('.')[2]} ...")
        figures += part.main(quick=quick)
    return figures

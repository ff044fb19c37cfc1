"""The same two frames, 100,000 rows of 20 numbers, through `monitor compare`'s engine and through three libraries.

Each library has a virtual environment of its own under ``build/venvs``, made when it is missing. Processor time, medians of
three; ours measures drift by nine measures and data quality besides, theirs what their scripts say.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import rivals
from benchmarks.figures import Figure, cpu_seconds, figure, say
from monitor.desk.compare import compare_frames
from monitor.desk.tables import Roles
from monitor.policy.model import ModelPolicy

LIBRARIES = ("evidently", "nannyml", "whylogs")


def main(*, quick: bool) -> list[Figure]:
    """Compare them."""
    rows = 10_000 if quick else 100_000
    then, now = _frame(rows, 1), _frame(rows, 2)
    roles, policy = Roles(None, None), ModelPolicy()
    own = rows / cpu_seconds(lambda: compare_frames(then, now, roles, policy), 3)
    figures = [figure("compare_rows", own, "rows/s")]
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("then.parquet", "now.parquet")]
        for frame, file in zip((then, now), files, strict=True):
            frame.to_parquet(file)
        for name in LIBRARIES:
            say(f"libraries: {name} ...")
            (theirs,) = rivals.run(name, "rival_drift.py", name, *files)
            figures += [
                figure(f"{name}_rows", theirs, "rows/s"),
                figure(f"compare_over_{name}", own / theirs, "times", 1),
            ]
    return figures


def _frame(rows: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    shapes = (draw.normal, draw.lognormal, draw.uniform)
    return pd.DataFrame({f"f{i:02}": shapes[i % 3](size=rows) * (i + 1) for i in range(20)})

"""The census in its own row order, where people do change from window to window: drift must be reported."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from benchmarks.census_groups import CENSUS, FEATURES, WINDOW
from benchmarks.figures import Figure, Want, figure
from monitor.metrics.drift import measure_drift
from monitor.policy.grading import grade_features
from monitor.policy.model import DriftRules, FalseDiscovery
from monitor.profiles.frames import infer_layout, profile_frame
from monitor.reports import Severity


def figures_of_raw_order(*, quick: bool) -> Iterator[Figure]:
    """Report which share of windows warns of drift, in the file's order and shuffled within year."""
    reference = pd.read_parquet(CENSUS / "reference.parquet")
    production = pd.read_parquet(CENSUS / "production.parquet")
    shuffled = production.sample(frac=1, random_state=0).sort_values("year", kind="stable")
    layout = infer_layout(reference[FEATURES])
    before = profile_frame(reference, layout)
    wanted: tuple[tuple[str, pd.DataFrame, float, Want], ...] = (
        ("raw_order", production, 0.5, "at least"),
        ("shuffled_within_year", shuffled, 0.01, "at most"),
    )
    for name, rows, target, want in wanted:
        starts = range(0, len(rows) - WINDOW + 1, WINDOW * (8 if quick else 1))
        warned = 0
        for start in starts:
            window = profile_frame(rows[start : start + WINDOW], layout)
            columns, _ = measure_drift(before, window, q=FalseDiscovery().warn / 3)
            graded = grade_features(columns, DriftRules(), blocking=())
            warned += any(column.severity is not Severity.PASS for column in graded.measures)
        share = warned / len(starts)
        yield figure(f"census_{name}_drift_warned", share, f"of {len(starts)}", target, want)

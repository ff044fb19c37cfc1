"""How long a closed window takes to be judged: 20 features, two protected attributes; and 1,000 features.

fairlearn's own time is taken apart: it answers one question a window, about all groups and measures at once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from benchmarks.figures import Figure, figure
from benchmarks.service import people
from monitor.baselines import Baseline
from monitor.desk.baseline import make_baseline
from monitor.desk.tables import Roles
from monitor.events import ModelVersion
from monitor.metrics.fairness import frame
from monitor.policy.judge import judge
from monitor.policy.model import ModelPolicy
from monitor.reports import Window

SUBJECT = ModelVersion("credit", "1")
ROLES = Roles("prediction", "score", None, ("sex", "race"))


def main(*, quick: bool) -> list[Figure]:
    """Judge the same window over and over."""
    repeats = 10 if quick else 40
    own, others = _milliseconds(_baseline(20), repeats)
    wide, _ = _milliseconds(_baseline(1_000), 3 if quick else 10)
    return [
        figure("judge_window_ms", own, "ms", 10, "at most"),
        figure("judge_window_fairlearn_ms", others, "ms"),
        figure("judge_1000_features_ms", wide, "ms", 200, "at most"),
        figure("judge_windows_per_minute", 60_000 / (own + others), "windows"),
    ]


def _baseline(features: int) -> Baseline:
    return make_baseline(
        people(20_000 if features < 100 else 4_000, features),
        ROLES,
        SUBJECT,
        ModelPolicy(),
        created_at="",
    )


def _milliseconds(baseline: Baseline, repeats: int) -> tuple[float, float]:
    """Return the medians of processor milliseconds: our own, and fairlearn's."""

    def run() -> None:
        judge(
            SUBJECT,
            Window(0, 60),
            0,
            baseline.profile,
            baseline,
            policy=ModelPolicy(),
            policy_sha256="",
        )

    run()
    own, others = [], []
    for _ in range(repeats):
        with _timed_fairlearn() as spent:
            start = time.process_time()
            run()
            taken = time.process_time() - start
        own.append(1e3 * (taken - sum(spent)))
        others.append(1e3 * sum(spent))
    return statistics.median(own), statistics.median(others)


@contextmanager
def _timed_fairlearn() -> Iterator[list[float]]:
    """Collect the seconds that each of fairlearn's frames takes."""
    spent: list[float] = []
    made: Callable[..., Any] = frame.MetricFrame

    def timed(**given: Any) -> Any:
        start = time.process_time()
        try:
            return made(**given)
        finally:
            spent.append(time.process_time() - start)

    with mock.patch.object(frame, "MetricFrame", timed):
        yield spent

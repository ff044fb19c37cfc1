"""One drift library over two frames of 100,000 rows and 20 numbers: reads them, works, prints rows a second.

Runs in a virtual environment of its own: see `benchmarks.rivals`. Processor time, reading the files left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pandas as pd


def evidently(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """Kolmogorov and Smirnov's test for each column, as the data drift preset has it."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    Report([DataDriftPreset(num_method="ks")]).run(current, reference).dict()


def nannyml(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """Kolmogorov-Smirnov and Jensen-Shannon, one chunk."""
    import nannyml as library

    calculator = library.UnivariateDriftCalculator(
        column_names=list(reference.columns),
        continuous_methods=["kolmogorov_smirnov", "jensen_shannon"],
        chunk_number=1,
    )
    calculator.fit(reference).calculate(current).to_df()


def whylogs(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """A profile of each frame; comparing them is not even in it."""
    import whylogs as library

    for frame in (reference, current):
        library.log(frame).view()


LIBRARIES: dict[str, Callable[[pd.DataFrame, pd.DataFrame], None]] = {
    "evidently": evidently,
    "nannyml": nannyml,
    "whylogs": whylogs,
}

if __name__ == "__main__":
    run = LIBRARIES[sys.argv[1]]
    then, now = pd.read_parquet(sys.argv[2]), pd.read_parquet(sys.argv[3])
    run(then.head(1_000), now.head(1_000))
    taken = []
    for _ in range(3):
        start = time.process_time()
        run(then, now)
        taken.append(time.process_time() - start)
    print(f"rate {len(now) / sorted(taken)[1]}")

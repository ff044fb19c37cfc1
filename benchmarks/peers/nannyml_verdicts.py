"""NannyML's default univariate drift alerts; runs where NannyML is installed, and imports nothing of ours.

``python nannyml_verdicts.py FOLDER``: reads reference.pickle and *.window, prints {window: [columns flagged]}.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import nannyml  # type: ignore[import-not-found]
import pandas as pd


def main(folder: Path) -> None:
    """Judge every window as one chunk, by thresholds from the reference's own chunks of that size."""
    warnings.simplefilter("ignore")
    reference = pd.read_pickle(folder / "reference.pickle")
    names = [str(name) for name in reference.columns]
    verdicts = {}
    fitted = {}
    for window in sorted(folder.glob("*.window")):
        frame = pd.read_pickle(window)
        if len(frame) not in fitted:
            made = nannyml.UnivariateDriftCalculator(column_names=names, chunk_size=len(frame))
            fitted[len(frame)] = made.fit(reference)
        result = fitted[len(frame)].calculate(frame).filter(period="analysis").to_df()
        verdicts[window.stem] = [
            name for name in names if bool(result[name, "jensen_shannon", "alert"].any())
        ]
    print(json.dumps(verdicts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

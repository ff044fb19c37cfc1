"""Evidently's default drift verdict of each window; runs where Evidently is installed, and imports nothing of ours.

``python evidently_verdicts.py FOLDER``: reads reference.pickle and *.window, prints {window: [columns flagged]}.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report  # type: ignore[import-not-found]
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]


def main(folder: Path) -> None:
    """Judge every window with the preset as it comes."""
    warnings.simplefilter("ignore")
    reference = pd.read_pickle(folder / "reference.pickle")
    numbers = [str(name) for name in reference.select_dtypes("number").columns]
    labels = [str(name) for name in reference.columns if str(name) not in numbers]
    columns = DataDefinition(numerical_columns=numbers, categorical_columns=labels)
    then = Dataset.from_pandas(reference, data_definition=columns)
    verdicts = {}
    for window in sorted(folder.glob("*.window")):
        frame = pd.read_pickle(window)
        now = Dataset.from_pandas(frame, data_definition=columns)
        found = Report([DataDriftPreset()]).run(now, then).dict()["metrics"]
        drifts = [metric for metric in found if metric["metric_name"].startswith("ValueDrift")]
        verdicts[window.stem] = [
            metric["config"]["column"] for metric in drifts if _is_drift(metric)
        ]
    print(json.dumps(verdicts))


def _is_drift(metric: dict[str, object]) -> bool:
    """Whether the value is past the threshold that the tool chose: a distance above, a p-value below."""
    config = metric["config"]
    assert isinstance(config, dict)
    value, threshold = float(str(metric["value"])), float(config["threshold"])
    return value < threshold if "p_value" in str(config["method"]) else value >= threshold


if __name__ == "__main__":
    main(Path(sys.argv[1]))

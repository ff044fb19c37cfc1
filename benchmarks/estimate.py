"""Accuracy estimated before labels come, against the truth: census of 2016-2018 in chunks, shuffled within year.

Beside it NannyML's CBPE on the same chunks, in an environment of its own: its dependencies do not fit ours.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.figures import Figure, figure
from benchmarks.rivals import environment, silent
from monitor.demo.census import GROUPS, LABEL, Census, break_feed, load_census
from monitor.demo.models import Candidate, train_versions
from monitor.desk.baseline import make_baseline
from monitor.desk.tables import Roles
from monitor.events import ModelVersion
from monitor.metrics.estimate import Calibrator, calibrator_of, estimate_accuracy
from monitor.policy.estimated import NOTE
from monitor.policy.judge import judge
from monitor.policy.model import ModelPolicy
from monitor.profiles.frames import profile_frame
from monitor.profiles.layout import Layout
from monitor.reports import Window

CENSUS = Path(__file__).parents[1] / "examples" / "census"

#: People a chunk: a window of the demo.
CHUNK = 1_500

ROLES = Roles("prediction", "score", LABEL, GROUPS)

_NANNYML = """
import json, sys, warnings; warnings.simplefilter("ignore")
import pandas as pd, nannyml as nml
reference, chunks, size = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2]), int(sys.argv[3])
cbpe = nml.CBPE(y_pred_proba="score", y_pred="prediction", y_true="label", metrics=["accuracy"],
                problem_type="classification_binary", chunk_size=size).fit(reference)
found = cbpe.estimate(chunks).filter(period="analysis").to_df()
print(json.dumps(found[("accuracy", "value")].tolist()))
"""


def answered(candidate: Candidate, people: pd.DataFrame) -> pd.DataFrame:
    """Return people with the model's answers."""
    features = people[list(candidate.features)]
    return people.assign(
        prediction=candidate.model.predict(features),
        score=candidate.model.predict_proba(features)[:, 1],
    )


def columns_of(candidate: Candidate) -> list[str]:
    """Return what a baseline is made of."""
    return [*candidate.features, "prediction", "score", LABEL, *GROUPS]


def main(*, quick: bool) -> list[Figure]:
    """Return the errors of both estimates, and what ours says of the fault that it cannot see."""
    census = load_census(CENSUS)
    _, candidate = train_versions(census)
    columns = columns_of(candidate)
    baseline = make_baseline(
        candidate.reference[columns],
        ROLES,
        ModelVersion("census", "2"),
        ModelPolicy(),
        created_at="",
    )
    people = answered(candidate, census.production)
    if quick:
        people = people.iloc[: 20 * CHUNK]
    whole = people.iloc[: len(people) // CHUNK * CHUNK]
    calibrator = calibrator_of(baseline.notes[NOTE])
    assert isinstance(calibrator, Calibrator)
    truth, ours, withheld = [], [], 0
    for start in range(0, len(whole), CHUNK):
        rows = whole.iloc[start : start + CHUNK]
        profile = profile_frame(rows, baseline.layout, prediction="prediction", score="score")
        assert profile.score is not None
        estimate = estimate_accuracy(profile.score, calibrator)
        assert estimate is not None
        ours.append(estimate)
        truth.append(float((rows["prediction"] == rows[LABEL]).mean()))
        report = judge(
            ModelVersion("census", "2"), Window(0.0, 1.0), 0, profile, baseline,
            policy=ModelPolicy(), policy_sha256="",
        )  # fmt: skip
        withheld += report.estimate is None or report.estimate.accuracy is None
    errors = np.abs(np.subtract(ours, truth))
    found = [
        figure("chunks", len(truth), f"of {CHUNK:,} people"),
        figure("true_accuracy", float(np.mean(truth)), "mean over the chunks"),
        figure("estimate_mean_error", float(errors.mean()), "points", 0.02, "at most"),
        figure("estimate_largest_error", float(errors.max()), "points"),
        figure("estimate_bias", float(np.mean(ours) - np.mean(truth)), "points"),
        figure(
            "chance_alone",
            float(np.sqrt(2 / np.pi) * np.sqrt(np.var(truth))),
            "mean error if exact",
        ),
        figure("withheld", withheld / len(truth), "of the chunks, for drift"),
        *_blind(census, candidate, calibrator, baseline.layout),
    ]
    theirs = _nannyml(candidate.reference, whole)
    errors = np.abs(np.subtract(theirs, truth))
    found += [
        figure("nannyml_mean_error", float(errors.mean()), "points"),
        figure("nannyml_largest_error", float(errors.max()), "points"),
        figure(
            "nannyml_from_ours", float(np.abs(np.subtract(theirs, ours)).max()), "points at most"
        ),
    ]
    return found


def _blind(
    census: Census, candidate: Candidate, calibrator: Calibrator, layout: Layout
) -> list[Figure]:
    broken = answered(candidate, break_feed(census.production.iloc[75_000:90_000]))
    harmed = broken[broken["race"] == "not white"]
    profile = profile_frame(harmed, layout, prediction="prediction", score="score")
    assert profile.score is not None
    said = estimate_accuracy(profile.score, calibrator)
    assert said is not None
    true = float((harmed["prediction"] == harmed[LABEL]).mean())
    return [
        figure("fault_harmed_group_estimated", said, "accuracy: it is blind to the fault"),
        figure("fault_harmed_group_true", true, "accuracy"),
    ]


def _nannyml(reference: pd.DataFrame, chunks: pd.DataFrame) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("reference.parquet", "chunks.parquet")]
        for path, rows in zip(paths, (reference, chunks), strict=True):
            kept = rows[["score", "prediction", LABEL]].rename(columns={LABEL: "label"})
            kept.to_parquet(path, index=False)
        words = [str(environment("nannyml")), "-c", _NANNYML, *map(str, paths), str(CHUNK)]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=True,
            env=silent(),
        )
    values: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return values

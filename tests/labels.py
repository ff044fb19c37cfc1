"""A log of census-like predictions with labels, and a judge over it, without a broker."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path

import numpy as np
import pandas as pd

from monitor.baselines import Baseline
from monitor.desk.baseline import make_baseline
from monitor.desk.tables import Roles
from monitor.events import JSON_CONTENT, LabelEvent, ModelVersion, PredictionEvent, encode
from monitor.outcomes.judge import LabelJudge
from monitor.policy.load import parse_policy
from monitor.predictionlog.joined import LabelledLog
from monitor.predictionlog.labels import LABELS, LabelRows
from monitor.predictionlog.messages import Message
from monitor.predictionlog.table import PredictionTable
from monitor.reports import Report, Severity, Status, Verdict, Window
from monitor.stores.sqlite import SqliteStore
from tests.archive import TODAY, World, gather

SUBJECT = ModelVersion("credit", "1")
ROLES = Roles("prediction", "score", "label", ("sex", "race"))
START = TODAY.timestamp() - 3600
LENGTH = 300.0

POLICY = """
models:
  credit:
    windows: {length: 5m, min_events: 200, max_length: 15m}
    fairness: {favourable: "1", difference: {warn: 0.05, block: 0.15}}
    performance: {min_coverage: 0.5, min_labels: 200}
"""


def people(n: int, seed: int, *, wrong: float = 0.0) -> pd.DataFrame:
    """Calibrated scores, answers by them, and truths; of `wrong` of the women who repay the answer is no."""
    random = np.random.default_rng(seed)
    score = random.beta(1.2, 1.2, n)
    label = (random.random(n) < score).astype(int)
    sex = np.where(random.random(n) < 0.5, "woman", "man")
    prediction = (score >= 0.5).astype(int)
    harmed = (sex == "woman") & (label == 1) & (random.random(n) < wrong)
    return pd.DataFrame(
        {
            "age": random.integers(18, 90, n),
            "prediction": np.where(harmed, 0, prediction),
            "score": score,
            "sex": sex,
            "race": np.where(random.random(n) < 0.7, "white", "other"),
            "label": label,
        }
    )


@functools.cache
def baseline(n: int = 8_000) -> Baseline:
    policy = parse_policy(POLICY, where="test").of("credit")
    return make_baseline(people(n, 1), ROLES, SUBJECT, policy, created_at="")


class Ear:
    """Hears what is said, and keeps it in the store as the sink does."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.reports: list[Report] = []
        self.verdicts: list[Verdict] = []

    def say(self, reports, verdicts) -> None:
        self.store.write(reports, [])
        self.reports += reports
        self.verdicts += verdicts


class LabelWorld:
    """A prediction log with windows that were reported, labels that come, and a judge of them."""

    def __init__(self, directory: Path, policy: str = POLICY) -> None:
        self.archive = World(directory)
        self.labels = PredictionTable(str(directory / "log.labels"), layout=LABELS)
        self.labels.create()
        self.store = SqliteStore(directory / "reports.db")
        self.ear = Ear(self.store)
        self.policy = parse_policy(policy, where="test")
        self.frozen = baseline()
        self.frames: list[pd.DataFrame] = []
        self.log = LabelledLog(self.archive.table, self.labels, self.archive.keys)
        self.now = TODAY.timestamp() + 86_400
        self._label_offset = -1
        self.new_judge()

    def new_judge(self) -> None:
        """A judge that remembers nothing, as after a restart."""
        self.judge = LabelJudge(
            self.log, self.store, self, self.policy, self.ear, patience=3600.0, now=lambda: self.now
        )

    def close(self) -> None:
        self.store.close()

    def baseline(self, version: ModelVersion) -> Baseline | None:
        return self.frozen if version == SUBJECT else None

    def window(self, number: int) -> Window:
        return Window(START + number * LENGTH, START + (number + 1) * LENGTH)

    def serve(self, frame: pd.DataFrame, *, reported: bool = True) -> pd.DataFrame:
        """Archive a window's predictions, and report the window as the stream does."""
        number = len(self.frames)
        window = self.window(number)
        step = LENGTH / (len(frame) + 1)
        names = [f"p-{number}-{row}" for row in range(len(frame))]
        self.archive.write(
            *(
                PredictionEvent(
                    event_id=f"e-{name}",
                    prediction_id=name,
                    event_time=dt.datetime.fromtimestamp(window.start + row * step, dt.UTC),
                    model_name=SUBJECT.model,
                    model_version=SUBJECT.version,
                    features={"age": int(one.age)},
                    prediction=int(one.prediction),
                    score=float(one.score),
                    groups={"sex": one.sex, "race": one.race},
                )
                for row, (name, one) in enumerate(
                    zip(names, frame.itertuples(index=False), strict=True)
                )
            )
        )
        frame = frame.assign(prediction_id=names)
        self.frames.append(frame)
        if reported:
            self.report(number)
        return frame

    def report(self, number: int) -> None:
        report = Report(
            model=SUBJECT.model,
            version=SUBJECT.version,
            window=self.window(number),
            revision=0,
            status=Status.OK,
            severity=Severity.PASS,
            n=len(self.frames[number]),
            n_reference=8_000,
        )
        self.store.write([report], [])

    def label(self, frame: pd.DataFrame, **said) -> None:
        """Labels come for these rows."""
        rows, held = LabelRows(), self.labels.positions(["labels-0"])
        for name, truth in zip(frame["prediction_id"], frame["label"], strict=True):
            self._label_offset += 1
            event = LabelEvent(
                **{
                    "prediction_id": name,
                    "model_name": SUBJECT.model,
                    "label": int(truth),
                    "label_time": TODAY,
                }
                | said
            )
            gather(
                rows,
                Message(
                    "labels", 0, self._label_offset, self.now - 60, b"", encode(event), JSON_CONTENT
                ),
            )
        self.labels.append(rows.take(), {"labels-0": self._label_offset}, held)

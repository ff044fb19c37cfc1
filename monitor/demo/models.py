"""The demo's two real models: version 1 does without the column MIL, version 2 uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from monitor.demo.census import BROKEN, FEATURES, LABEL, Census


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained model and the reference rows with its answers, from which its baseline is made."""

    features: tuple[str, ...]
    model: HistGradientBoostingClassifier
    reference: pd.DataFrame
    accuracy: float


def train_versions(census: Census) -> tuple[Candidate, Candidate]:
    """Train version 1 (without MIL) and version 2 (with it) on the training half of 2015."""
    without = tuple(name for name in FEATURES if name != BROKEN)
    return _train(census, without), _train(census, FEATURES)


def _train(census: Census, features: Sequence[str]) -> Candidate:
    columns = list(features)
    model = HistGradientBoostingClassifier(max_iter=80, random_state=0)
    # Of several threads each waits for the slowest, many times a tree: on a busy machine one is a hundred times faster.
    with threadpool_limits(1):
        model.fit(census.training[columns], census.training[LABEL])
        answers = model.predict(census.reference[columns])
        scores = model.predict_proba(census.reference[columns])[:, 1]
    reference = census.reference.assign(prediction=answers, score=scores)
    accuracy = float((answers == census.reference[LABEL]).mean())
    return Candidate(tuple(features), model, reference, accuracy)

"""A classifier in the registry that answers with its score beside each class."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, Protocol

import mlflow
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import PythonModel

from monitor.events import ModelVersion


class Classifier(Protocol):
    """What scikit-learn calls one."""

    def predict_proba(self, rows: pd.DataFrame) -> Any: ...  # noqa: D102 - scikit-learn's own


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's hints and links off the screen; its errors are raised all the same."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


class ScoredClassifier(PythonModel):
    """Answers 1 where the score reaches one half.

    Parameters
    ----------
    features
        The columns that it reads; others are passed over.
    """

    def __init__(self, classifier: Classifier, features: Sequence[str]) -> None:
        self._classifier = classifier
        self._features = list(features)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return columns `prediction` and `score`, one row each."""
        del context, params
        scores = self._classifier.predict_proba(model_input[self._features])[:, 1]
        return pd.DataFrame({"prediction": (scores >= 0.5).astype("int64"), "score": scores})


def register_classifier(
    uri: str, name: str, classifier: Classifier, example: pd.DataFrame
) -> ModelVersion:
    """Log a classifier as a new version of a registered model, with its signature.

    Parameters
    ----------
    uri
        MLflow's address.
    example
        Some rows of its features; their types become the signature.
    """
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(
        uri
    )  # else one that was set before stays, in this process or its parent
    model = ScoredClassifier(classifier, list(example.columns))
    answers = model.predict(None, example)
    with _quiet():
        mlflow.set_experiment(name)
        return _log(model, name, infer_signature(example, answers))


def _log(model: ScoredClassifier, name: str, signature: ModelSignature) -> ModelVersion:
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=model,
            signature=signature,
            registered_model_name=name,
            pip_requirements=[],
        )
    return ModelVersion(name, str(logged.registered_model_version))

"""Tables with a column of truths, as outcomes to be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.metrics.performance import REFERENCE_Z, Outcome, measure_performance
from monitor.profiles.vocabulary import label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray


def outcome_of(
    frame: pd.DataFrame,
    *,
    prediction: str,
    label: str,
    score: str | None,
    classes: Sequence[str],
) -> Outcome:
    """Return the outcomes of a table's labelled rows.

    Parameters
    ----------
    classes
        Every answer that there is, in order; empty for a regression. The score is the probability of the last of two.
    """
    rows = frame[labelled_rows(frame, prediction, label)]
    scores = None if score is None else rows[score].to_numpy(np.float64, na_value=np.nan)
    if not classes:
        answer, truth = (rows[name].to_numpy(np.float64) for name in (prediction, label))
        return Outcome(answer, truth, None, (), None)
    positive = classes[-1] if len(classes) == 2 else None
    return Outcome(
        _texts(rows[prediction]),
        _texts(rows[label]),
        scores if positive is not None else None,
        tuple(classes),
        positive,
    )


def labelled_rows(frame: pd.DataFrame, prediction: str, label: str) -> NDArray[np.bool_]:
    """Return which rows have an answer and a label, shape (n,)."""
    known: NDArray[np.bool_] = (frame[label].notna() & frame[prediction].notna()).to_numpy(bool)
    return known


def performance_note(outcome: Outcome) -> dict[str, list[float]]:
    """Return an outcome's measures as a baseline keeps them: value, limits at 95 %, and how many."""
    found = measure_performance(outcome, REFERENCE_Z)
    return {
        name: [one.value, one.lower, one.upper, one.n]
        for name, one in found.items()
        if np.isfinite([one.lower, one.upper]).all()
    }


def _texts(column: pd.Series[Any]) -> NDArray[np.str_]:
    return np.array([label_of(value) for value in column.tolist()], np.str_)

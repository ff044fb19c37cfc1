"""Data frames into profiles: reference data for a baseline, and files compared at the desk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import EmptyData, InputError
from monitor.profiles.buffer import CAPACITY
from monitor.profiles.edges import LARGEST
from monitor.profiles.embedding import freeze_embedding
from monitor.profiles.fold import fold
from monitor.profiles.layout import FINE_BINS, Column, Kind, Layout, is_nameable
from monitor.profiles.profile import Profile
from monitor.profiles.series import (
    codes_of,
    column_of,
    kind_of,
    numbers_of,
    truths_of,
    vectors_of,
)
from monitor.profiles.times import epoch_seconds
from monitor.profiles.vocabulary import MISSING_CODE, Codes, RowShape, Vocabulary

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Whole-number predictions with no more distinct values than this are classes.
_CLASSES = 20


def infer_layout(
    frame: pd.DataFrame,
    *,
    prediction: str | None = None,
    score: str | None = None,
    groups: Sequence[str] = (),
    label: str | None = None,
    signature: Sequence[tuple[str, Kind]] | None = None,
) -> Layout:
    """Return the layout of reference data, with its edges and categories frozen.

    Parameters
    ----------
    frame
        The reference data, a row per prediction.
    prediction, score, label
        Columns of the answer, its score, and what turned out to be true. Strings, booleans and at most 20 distinct
        whole numbers are classes; other answers are numbers.
    groups
        Columns of protected attributes.
    signature
        Names and kinds of the features; without it, every column that plays no other role is one, and its kind is
        that of its values.

    Raises
    ------
    MissingColumn
        If a named column is not in the frame.
    EmptyData
        If there are no rows, no features, or a column that is needed has no value at all.
    InputError
        If a column holds what is neither number, text nor truth, or not what the signature says.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [30, 40, 40, None], "town": ["Ulm", "Bonn", "Ulm", "Ulm"], "answer": [0, 1, 1, 0]})
    >>> layout = infer_layout(frame, prediction="answer")
    >>> [(column.name, column.kind.value, column.categories) for column in layout.columns]
    [('age', 'numeric', ()), ('town', 'categorical', ('Bonn', 'Ulm')), ('prediction', 'categorical', ('0', '1'))]
    >>> layout.features[0].edges[:2]
    (30.0, 40.0)
    """
    if not len(frame):
        raise EmptyData("the data has no rows", fix="Export it again, with data.")
    roles = [name for name in (prediction, score, label, *groups) if name is not None]
    if signature is None:
        plain = [str(name) for name in frame.columns if name not in roles]
        signature = [(name, kind_of(column_of(frame, name), name)) for name in plain]
    if not signature:
        raise EmptyData("no column is left to be a feature", fix="Name fewer columns otherwise.")
    for name in roles:
        if column_of(frame, name).isna().all():
            raise EmptyData(
                "all values are missing",
                where=name,
                fix="Export it with values, or do not name it.",
            )
    return Layout(
        features=tuple(_frozen(frame, name, name, kind) for name, kind in signature),
        prediction=_prediction(frame, prediction),
        score=None if score is None else _frozen(frame, score, "score", Kind.NUMERIC),
        groups=tuple(groups),
    )


def profile_frame(
    frame: pd.DataFrame,
    layout: Layout,
    *,
    prediction: str | None = None,
    score: str | None = None,
    label: str | None = None,
) -> Profile:
    """Return the profile of a frame's rows, as the same events would give it.

    Parameters
    ----------
    frame
        A row per prediction; features and protected attributes under the names that the layout has.
    prediction, score, label
        Columns of the answer, its score, and what turned out to be true. Without a prediction column, predictions
        are missing.

    Raises
    ------
    MissingColumn
        If a column is not in the frame.
    EmptyData
        If there are no rows.
    InputError
        If a column's values are not of the layout's kind, or an answer is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [30, 40, None], "answer": [0, 1, 1]})
    >>> profile = profile_frame(frame, infer_layout(frame, prediction="answer"), prediction="answer")
    >>> profile.n, profile.sketches[0].missing, profile.prediction.counts
    (3, 1, {'0': 1, '1': 2})
    """
    if not len(frame):
        raise EmptyData("the data has no rows", fix="Export it again, with data.")
    shape, vocabulary = RowShape.of(layout), Vocabulary.of(layout, labelled=label is not None)
    sources = {"prediction": prediction, "score": score}
    columns = np.full((shape.width + vocabulary.labelled, len(frame)), np.nan)
    row = 0
    for index in shape.numbers:
        name = _source(shape, index, sources)
        if name is not None:
            columns[row] = numbers_of(column_of(frame, name), name)
        row += 1
    for index, place in shape.places():
        feature = layout.columns[index]
        series = column_of(frame, feature.name)
        columns[place] = vectors_of(series, feature.name, feature.dimension).T
    attributes = zip(layout.groups, vocabulary.groups, strict=True)
    named = [
        (_source(shape, index, sources), codes)
        for index, codes in zip(shape.coded, vocabulary.columns, strict=True)
    ]
    for name, codes in (*named, *attributes):
        columns[row] = (
            MISSING_CODE if name is None else codes_of(column_of(frame, name), name, codes)
        )
        row += 1
    _check_answers(frame, prediction)
    if label is not None:
        columns[-1] = truths_of(column_of(frame, label), label, vocabulary)
    profile = Profile.empty(layout)
    for start in range(0, len(frame), CAPACITY):
        fold(profile, vocabulary, columns[:, start : start + CAPACITY])
    return profile


def frame_times(frame: pd.DataFrame, column: str) -> Floats:
    """Return a column's event times in seconds since 1970 UTC, shape (n,).

    Time stamps without a time zone are taken as UTC, numbers as seconds, texts must be RFC 3339 with an offset.

    Raises
    ------
    MissingColumn
        If it is not in the frame.
    InputError
        If a value is missing, or is no time.

    Examples
    --------
    >>> import pandas as pd
    >>> frame_times(pd.DataFrame({"at": ["1970-01-01T00:00:01Z", "1970-01-01T01:00:00+01:00"]}), "at").tolist()
    [1.0, 0.0]
    """
    series = column_of(frame, column)
    if series.isna().any():
        raise InputError(
            f"{int(series.isna().sum()):,} of {len(series):,} times are missing",
            where=column,
            fix="Drop those rows, or name another column.",
        )
    if series.dtype.kind == "M":
        stamps: Floats = series.to_numpy(dtype="datetime64[us]").astype(np.int64) / 1e6
        return stamps
    if kind_of(series, column) is Kind.NUMERIC:
        return numbers_of(series, column)
    texts = [value if isinstance(value, str) else str(value) for value in series.tolist()]
    seconds, wrong = epoch_seconds(texts)
    for position, reason in wrong.items():
        raise InputError(
            f"row {position} holds {texts[position]!r}: {reason}",
            where=column,
            fix="Write RFC 3339 with an offset, such as 2026-01-02T03:04:05Z.",
        )
    return seconds


def _frozen(frame: pd.DataFrame, source: str, name: str, kind: Kind) -> Column:
    """Return a column with the edges or categories of the frame's values."""
    if not is_nameable(name):
        raise InputError(
            f"the name {name!r} cannot stand in an event",
            where=source,
            fix="Rename it: no quotes, backslashes or control characters.",
        )
    series = column_of(frame, source)
    if kind is Kind.NUMERIC:
        return Column(name=name, kind=kind, edges=_edges(numbers_of(series, source)))
    if kind is Kind.EMBEDDING:
        return Column(name=name, kind=kind, embedding=freeze_embedding(vectors_of(series, source)))
    codes = Codes(source, kind)
    codes_of(series, source, codes)
    return Column(name=name, kind=kind, categories=tuple(sorted(codes.labels[2:])))


def _prediction(frame: pd.DataFrame, source: str | None) -> Column:
    if source is None:
        return Column(name="prediction", kind=Kind.CATEGORICAL)
    series = column_of(frame, source)
    kind = kind_of(series, source)
    if kind is Kind.NUMERIC:
        values = numbers_of(series, source)
        distinct = np.unique(values[~np.isnan(values)])
        few_and_whole = len(distinct) <= _CLASSES and bool((distinct == np.floor(distinct)).all())
        kind = Kind.CATEGORICAL if few_and_whole else Kind.NUMERIC
    elif kind is Kind.EMBEDDING:
        raise InputError("holds vectors", where=source, fix="An answer is a class or a number.")
    elif kind is Kind.BOOLEAN:
        kind = Kind.CATEGORICAL
    return _frozen(frame, source, "prediction", kind)


def _check_answers(frame: pd.DataFrame, prediction: str | None) -> None:
    if prediction is None:
        return
    missing = int(column_of(frame, prediction).isna().sum())
    if missing:
        raise InputError(
            f"{missing:,} of {len(frame):,} predictions are missing",
            where=prediction,
            fix="Drop those rows: the model gave no answer.",
        )


def _edges(values: Floats) -> tuple[float, ...]:
    """Return edges at each distinct value if there are few, else at the quantiles; one more just above the largest.

    With an edge at each value, counts say all there is to know.
    """
    finite = values[np.abs(values) < LARGEST]
    if not len(finite):
        return ()
    edges = np.unique(finite)
    if len(edges) > FINE_BINS:
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, FINE_BINS + 1)))[:-1]
    return (*(edges + 0.0).tolist(), float(np.nextafter(finite.max(), np.inf)))


def _source(shape: RowShape, index: int, sources: dict[str, str | None]) -> str | None:
    """Return the frame's name of one of the layout's columns."""
    if index < shape.features:
        return shape.layout.features[index].name
    return sources[shape.field(index)]

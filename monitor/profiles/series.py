"""One column of a data frame as numbers, or as codes of labels."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.errors import EventError, InputError, MissingColumn
from monitor.profiles.layout import Kind
from monitor.profiles.vocabulary import MISSING_CODE, Codes, Vocabulary

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def column_of(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return a column of a frame.

    Raises
    ------
    MissingColumn
        Naming the nearest column that is there.
    InputError
        If there are several of this name.
    """
    if name not in frame.columns:
        names = [str(column) for column in frame.columns]
        near = get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(names)}."
        raise MissingColumn(f"there is no column {name}", where=name, fix=hint)
    series: Any = frame[name]
    if series.ndim != 1:
        raise InputError("there are several columns of this name", where=name, fix="Keep one.")
    column: pd.Series[Any] = series
    return column


def kind_of(series: pd.Series[Any], name: str) -> Kind:
    """Return the kind that fits a column's values.

    Raises
    ------
    InputError
        If they are neither numbers nor texts nor truths.
    """
    if _is_categorical(series):
        return Kind.CATEGORICAL
    known = {"b": Kind.BOOLEAN, "i": Kind.NUMERIC, "u": Kind.NUMERIC, "f": Kind.NUMERIC}
    if series.dtype.kind in known:
        return known[series.dtype.kind]
    found = {type(value) for value in series.dropna().tolist()}
    if found == {bool}:
        return Kind.BOOLEAN
    if found and found <= {int, float}:
        return Kind.NUMERIC
    if found <= {str, int, float, bool}:
        return Kind.CATEGORICAL
    if found <= {list, np.ndarray, tuple} and _holds_numbers(series):
        vectors_of(series, name)
        return Kind.EMBEDDING
    raise InputError(
        f"holds values of type {_names(found)}",
        where=name,
        fix="Leave the column out, or turn it into numbers, texts or booleans.",
    )


def numbers_of(series: pd.Series[Any], name: str) -> Floats:
    """Return the values of a numeric column, NaN where one is missing.

    Raises
    ------
    InputError
        If they are no numbers.
    """
    if not series.isna().all() and kind_of(series, name) is not Kind.NUMERIC:
        texts = [value for value in series.dropna().tolist() if not isinstance(value, (int, float))]
        example = f", such as {texts[0]!r}" if texts else ""
        raise InputError(
            f"expected numbers, got {series.dtype}{example}",
            where=name,
            fix="Turn it into numbers, or make the baseline anew if the feature's type has changed.",
        )
    try:
        numbers: Floats = series.to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError as error:
        raise InputError(f"a number is too large: {error}", where=name) from error
    return numbers


def vectors_of(series: pd.Series[Any], name: str, dimension: int | None = None) -> Floats:
    """Return the lists of a vector column as rows, shape (n, dimension); NaN where one is missing.

    Parameters
    ----------
    dimension
        How many numbers each has; None takes what the first one has.

    Raises
    ------
    InputError
        If one is no list of numbers, or of another length.
    """
    there = series.notna().to_numpy()
    lists = series[there].tolist()
    if dimension is None:
        dimension = next((len(one) for one in lists if hasattr(one, "__len__")), 0)
    found = np.full((len(series), dimension), np.nan)
    if not lists:
        return found
    try:
        rows = np.array([np.asarray(one, np.float64) for one in lists])
    except (ValueError, TypeError) as error:
        raise _no_vectors(name, dimension) from error
    if not dimension or rows.shape[1:] != (dimension,):
        raise _no_vectors(name, dimension)
    found[there] = rows
    return found


def _no_vectors(name: str, dimension: int) -> InputError:
    return InputError(
        f"expected lists of {dimension} numbers" if dimension else "expected lists of numbers",
        where=name,
        fix="Give each row as many numbers, none of them missing, or leave the column out.",
    )


def codes_of(series: pd.Series[Any], name: str, codes: Codes) -> NDArray[np.intp]:
    """Return the code of each value, learning labels not met before.

    Raises
    ------
    InputError
        If a value is not of the kind that the codes are for.
    """
    values = series.astype(object) if _is_categorical(series) else series
    places, distinct = values.factorize()
    found = [_plain(value) for value in distinct.tolist()]
    try:
        if series.dtype.kind == "O" and not all(isinstance(value, str) for value in found):
            # To pandas True is 1: what may hold both is looked at value by value.
            missing = series.isna().tolist()
            pairs = zip(values.tolist(), missing, strict=True)
            return np.array([codes.learn(None if gap else _plain(v)) for v, gap in pairs], np.intp)
        table = np.array([*map(codes.learn, found), MISSING_CODE], np.intp)
    except EventError as error:
        raise InputError(
            error.reason if error.reason != "is null" else "a value is missing",
            where=name,
            fix="Mend it, or make the baseline anew if the feature's type has changed.",
        ) from error
    chosen: NDArray[np.intp] = table[places]
    return chosen


def truths_of(series: pd.Series[Any], name: str, vocabulary: Vocabulary) -> Floats:
    """Return what turned out to be true as rows carry it: codes of a classifier's classes, or numbers.

    Raises
    ------
    InputError
        If a classifier's labels are no labels, or a regression's no numbers.
    """
    if vocabulary.truth is None:
        return numbers_of(series, name)
    return codes_of(series, name, vocabulary.truth).astype(np.float64)


def _plain(value: Any) -> Any:
    """Return a value that has a label, unchanged."""
    if isinstance(value, (str, bool, int, float)):
        return value
    raise EventError("", f"expected text, number or boolean, got {type(value).__name__}")


def _is_categorical(series: pd.Series[Any]) -> bool:
    return hasattr(series.dtype, "categories")


def _holds_numbers(series: pd.Series[Any]) -> bool:
    first = next((value for value in series.dropna().tolist() if len(value)), None)
    return first is not None and isinstance(first[0], (int, float, np.number))


def _names(types: set[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in types))

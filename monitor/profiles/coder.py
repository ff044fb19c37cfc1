"""Labels in Arrow's columns to codes, a message at a time: what the last one taught is looked up first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from monitor.errors import EventError
from monitor.profiles.vocabulary import MISSING_CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.vocabulary import Codes

    Floats = NDArray[np.float64]

#: Whole numbers from 0 to here are coded by a table instead of a hash.
_FEW = 256


class Coder:
    """Codes one column of every message.

    Parameters
    ----------
    codes
        Learns the labels that come.

    Examples
    --------
    >>> from monitor.profiles.layout import Kind
    >>> from monitor.profiles.vocabulary import Codes
    >>> coder = Coder(Codes("features.colour", Kind.CATEGORICAL, ["red"]))
    >>> coder.code(pa.array(["red", None, "blue", "red"])).tolist()
    [2.0, 0.0, 3.0, 2.0]
    """

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self._few = np.full(_FEW, np.nan)
        self._dictionary: Any = None
        self._table: Floats = np.empty(0)

    def code(self, array: Any) -> Floats:
        """Return the code of each value; each distinct value is looked up once.

        Raises
        ------
        EventError
            If the column's kind does not allow a value.
        """
        if types.is_null(array.type):
            return np.full(len(array), self.codes.learn(None), np.float64)
        if types.is_integer(array.type) and not array.null_count:
            few = self._code_few(array.to_numpy())
            if few is not None:
                return few
        if not types.is_dictionary(array.type):
            array = array.dictionary_encode()
        table, indices = self._table_of(array.dictionary), array.indices
        if indices.null_count:
            if self.codes.required:
                refuse_nulls(indices, self.codes.field)
            indices = indices.cast(pa.int64()).fill_null(len(table) - 1)
        chosen: Floats = table[indices.to_numpy()]
        return chosen

    def _table_of(self, dictionary: Any) -> Floats:
        """Return the code of each of a dictionary's values, and behind them that of a null."""
        if self._dictionary is None or not dictionary.equals(self._dictionary):
            values = dictionary.to_pylist()
            self._table = np.array([*map(self.codes.learn, values), MISSING_CODE], np.float64)
            self._dictionary = dictionary
        return self._table

    def _code_few(self, values: NDArray[np.integer[Any]]) -> Floats | None:
        """Return the codes of small whole numbers, such as classes; None if there are others."""
        if not len(values) or values.min() < 0 or values.max() >= _FEW:
            return None
        chosen: Floats = self._few[values]
        if (unknown := np.isnan(chosen)).any():
            for value in np.unique(values[unknown]).tolist():
                self._few[value] = self.codes.learn(value)
            chosen = self._few[values]
        return chosen


def refuse_nulls(array: Any, name: str) -> None:
    """Refuse a column that must have none.

    Raises
    ------
    EventError
        Naming the column.
    """
    if array.null_count:
        raise EventError(name, f"is null in {array.null_count:,} of {len(array):,} rows")

"""The columnar road: one Arrow IPC stream a message, many events, never taken apart into rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from monitor.errors import EventError
from monitor.profiles.coder import Coder, refuse_nulls
from monitor.profiles.decoder import Decoded
from monitor.profiles.inflation import survey
from monitor.profiles.layout import Kind
from monitor.profiles.vocabulary import MISSING_CODE, RowShape, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from monitor.events import ModelVersion
    from monitor.profiles.layout import Layout

    Floats = NDArray[np.float64]

#: Bytes that one message may hold once decompressed, and that its numbers may take as columns.
SIZE_CAP = 256 * 1024 * 1024

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}

#: All that bytes from outside may do to the reader. OSError and ValueError hold most of Arrow's errors.
_REFUSED = (pa.ArrowException, OSError, ValueError, TypeError, MemoryError, OverflowError)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where a schema has what a layout needs.

    Attributes
    ----------
    schema
        As written in the message.
    options
        So that nothing else is read.
    places
        Position of each wanted column among those that are read.
    doubles
        Position of each number of a row, if all are written as they are kept: then they are read all at once.
    absent, foreign
        Features of the layout that it lacks, and those that it has beside them.
    """

    schema: bytes
    options: Any
    places: dict[str, int]
    doubles: list[int]
    absent: tuple[str, ...]
    foreign: tuple[str, ...]


class ArrowDecoder:
    """Reads the record batches of one model version.

    A message is one Arrow IPC stream with the columns ``event_id``, ``prediction_id``, ``event_time`` (a timestamp
    with a time zone), ``model_name``, ``model_version``, ``prediction``, ``score``, ``features.<name>`` and
    ``groups.<attribute>``; strings plain or as dictionaries; LZ4, ZSTD or uncompressed. A feature or attribute
    without a column is missing in every event, as in JSON; other columns are passed over.

    Parameters
    ----------
    layout
        The version's columns.
    version
        What every event must say it is of; None to take any.
    """

    def __init__(self, layout: Layout, version: ModelVersion | None = None) -> None:
        self.layout = layout
        self._version = version
        self._shape = RowShape.of(layout)
        self._numbers = [self._shape.field(index) for index in self._shape.numbers]
        self._start_vocabulary()
        self._plan: _Plan | None = None

    def decode(self, value: bytes | None) -> Decoded:
        """Return the events of one message.

        Raises
        ------
        EventError
            If anything is wrong with it: then none of its events counts. ``field`` names the column.
        """
        if value is None:
            raise EventError("$", "the message has no value")
        if self._vocabulary.full:
            self._start_vocabulary()
        try:
            batches = self._read(value)
        except _REFUSED as error:
            raise EventError("$", f"no Arrow stream that can be read: {error}") from error
        parts = [self._columns(batch) for batch in batches]
        if len(parts) == 1:
            times, columns = parts[0]
        elif parts:
            times = np.concatenate([part[0] for part in parts])
            columns = np.concatenate([part[1] for part in parts], axis=1)
        else:
            times, columns = np.empty(0), np.empty((self._shape.width, 0))
        absent, foreign = (self._plan.absent, self._plan.foreign) if self._plan else ((), ())
        return Decoded(columns.T, times, self._vocabulary, absent=absent, foreign=foreign)

    def _start_vocabulary(self) -> None:
        self._vocabulary = Vocabulary.of(self.layout)
        self._coders = [Coder(codes) for codes in self._vocabulary.all]

    def _read(self, value: bytes) -> list[Any]:
        source = pa.py_buffer(value)
        written, size = survey(source)
        if size > SIZE_CAP:
            raise EventError("$", f"holds {size:,} bytes decompressed, the cap is {SIZE_CAP:,}")
        if self._plan is None or self._plan.schema != written:
            self._plan = _plan(self._shape, written, pa.ipc.open_stream(source).schema)
        batches, cells = [], 0
        for batch in pa.ipc.open_stream(source, options=self._plan.options):
            cells += batch.num_rows * (self._shape.width + 1)
            if cells * 8 > SIZE_CAP:
                raise EventError("$", f"more than {SIZE_CAP // 8:,} numbers in one message")
            batch.validate(full=True)
            batches.append(batch)
        return batches

    def _columns(self, batch: Any) -> tuple[Floats, Floats]:
        """Return event times, and columns of shape (width, n)."""
        assert self._plan is not None
        places = self._plan.places
        if self._version is not None:
            for name, expected in zip(("model_name", "model_version"), self._version, strict=True):
                _check_all(batch.column(places[name]), name, expected)
        if not self.layout.is_classifier:
            refuse_nulls(batch.column(places["prediction"]), "prediction")
        columns = np.empty((self._shape.width, batch.num_rows))
        doubles = self._plan.doubles
        if doubles:
            chosen = batch.select(doubles).to_tensor(null_to_nan=True, row_major=False)
            columns[: len(doubles)] = chosen.to_numpy().T
        else:
            for row, name in enumerate(self._numbers):
                at = places.get(name)
                columns[row] = np.nan if at is None else _numbers(batch.column(at))
        for row, coder in enumerate(self._coders, len(self._numbers)):
            at = places.get(coder.codes.field)
            columns[row] = MISSING_CODE if at is None else coder.code(batch.column(at))
        for index, place in self._shape.places():
            name = self._shape.field(index)
            at, dimension = places.get(name), self.layout.columns[index].dimension
            columns[place] = np.nan if at is None else _vectors(batch.column(at), name, dimension).T
        return _seconds(batch.column(places["event_time"])), columns


def kinds_of(value: bytes | None) -> dict[str, Kind]:
    """Return the columns that a message's schema names and that can be counted, each with its kind; none if it cannot be read.

    Answers that are whole numbers or truths are classes.
    """
    try:
        source = pa.py_buffer(value)
        survey(source)
        schema = pa.ipc.open_stream(source).schema
    except (*_REFUSED, EventError):
        return {}
    kinds = {}
    for column in schema:
        if column.name == "prediction" and not types.is_floating(column.type):
            kinds[column.name] = Kind.CATEGORICAL
        elif types.is_boolean(column.type):
            kinds[column.name] = Kind.BOOLEAN
        elif _is_number(column.type):
            kinds[column.name] = Kind.NUMERIC
        elif _is_label(column.type):
            kinds[column.name] = Kind.CATEGORICAL
    return kinds


def _plan(shape: RowShape, written: bytes, schema: Any) -> _Plan:
    """Check that the schema has what is needed, in types that fit.

    Raises
    ------
    EventError
        Naming the column.
    """
    layout = shape.layout
    wanted: dict[str, tuple[Callable[[Any], bool], str]] = {
        "event_time": (_is_instant, "a timestamp with a time zone"),
        "model_name": (_is_text, "strings"),
        "model_version": (_is_text, "strings"),
        "event_id": (_is_text, "strings"),
        "prediction_id": (_is_text, "strings"),
    }
    required = {*wanted, "prediction"}
    for index, column in enumerate(layout.columns):
        wanted[shape.field(index)] = _ACCEPTED[column.kind]
    for attribute in layout.groups:
        wanted[f"groups.{attribute}"] = _ACCEPTED[Kind.CATEGORICAL]
    for name, (accepts, expected) in wanted.items():
        count = len(schema.get_all_field_indices(name))
        if count > 1:
            raise EventError(name, f"there are {count} columns of this name")
        if not count and name in required:
            raise EventError(name, "there is no such column")
        if count and not accepts(schema.field(name).type):
            raise EventError(name, f"expected {expected}, got {schema.field(name).type}")
    # Ids are looked at by nobody here: their bytes need not be touched.
    names = {name for name in schema.names if name in wanted} - {"event_id", "prediction_id"}
    included = sorted((schema.get_field_index(name), name) for name in names)
    options = pa.ipc.IpcReadOptions(
        included_fields=[index for index, _ in included], use_threads=False
    )
    places = {name: at for at, (_, name) in enumerate(included)}
    numbers = [shape.field(index) for index in shape.numbers]
    plain = all(name in places and types.is_float64(schema.field(name).type) for name in numbers)
    doubles = [places[name] for name in numbers] if plain else []
    return _Plan(written, options, places, doubles, *_unlike(layout, schema.names))


def _unlike(layout: Layout, names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the layout's features that are not among the names, and the features that are there beside them."""
    known = {f"features.{column.name}" for column in layout.features}
    there = {name for name in names if name.startswith("features.")}
    return _bare(known - there), _bare(there - known)


def _bare(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name.removeprefix("features.") for name in names))


def _is_instant(kind: Any) -> bool:
    return bool(types.is_timestamp(kind) and kind.tz is not None)


def _is_text(kind: Any) -> bool:
    plain = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(plain) or types.is_large_string(plain))


def _is_number(kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind))


def _is_label(kind: Any) -> bool:
    plain = kind.value_type if types.is_dictionary(kind) else kind
    return bool(_is_text(plain) or _is_number(plain) or types.is_boolean(plain))


def _is_vector(kind: Any) -> bool:
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(types.is_null(kind) or (listed and _is_number(kind.value_type)))


def _is_truth(kind: Any) -> bool:
    return bool(types.is_boolean(kind) or types.is_integer(kind) or types.is_null(kind))


_ACCEPTED: dict[Kind, tuple[Callable[[Any], bool], str]] = {
    Kind.NUMERIC: (_is_number, "numbers"),
    Kind.CATEGORICAL: (_is_label, "strings, numbers or booleans"),
    Kind.BOOLEAN: (_is_truth, "booleans"),
    Kind.EMBEDDING: (_is_vector, "lists of numbers"),
}


def _numbers(array: Any) -> Floats:
    plain = array if types.is_float64(array.type) else array.cast(pa.float64())
    values: Floats = plain.to_numpy(zero_copy_only=False)
    return values


def _vectors(array: Any, name: str, dimension: int) -> Floats:
    """Return lists as rows, shape (n, dimension); NaN for a null.

    Raises
    ------
    EventError
        If a list has another length.
    """
    found = np.full((len(array), dimension), np.nan)
    if types.is_null(array.type):
        return found
    there = array.is_valid().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(array.drop_null()).to_numpy(zero_copy_only=False)
    if (wrong := lengths != dimension).any():
        length = int(lengths[wrong.argmax()])
        raise EventError(
            name, f"expected {dimension} numbers, got {length} in {wrong.sum():,} rows"
        )
    found[there] = _numbers(array.drop_null().flatten()).reshape(-1, dimension)
    return found


def _seconds(array: Any) -> Floats:
    refuse_nulls(array, "event_time")
    ticks: NDArray[np.int64] = array.view(pa.int64()).to_numpy()
    return ticks / _PER_SECOND[array.type.unit]


def _check_all(array: Any, name: str, expected: str) -> None:
    if not types.is_dictionary(array.type):
        array = array.dictionary_encode()
    values = array.dictionary.to_pylist()
    if values == [expected] and not array.null_count:
        return
    table = np.array([*(value == expected for value in values), False])
    indices = array.indices.cast(pa.int64()).fill_null(len(values))
    wrong = len(array) - int(table[indices.to_numpy()].sum())
    if wrong:
        raise EventError(name, f"{wrong:,} of {len(array):,} rows are not of {expected!r}")

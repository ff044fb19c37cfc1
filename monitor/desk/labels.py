"""A file of labels as events: what turned out to be true, from whoever knows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.desk.tables import Roles, read_table, require_column
from monitor.errors import InputError
from monitor.events import LabelEvent
from monitor.profiles.frames import frame_times

if TYPE_CHECKING:
    import pandas as pd

#: Columns that say when the outcome became known; the first that is there does.
_TIMES = ("label_time", "event_time")


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The rows of a file of labels.

    Attributes
    ----------
    unlabelled
        How many rows have no label yet: they are left out, for no label is not a negative one.
    """

    labels: tuple[LabelEvent, ...]
    unlabelled: int


def read_labels(path: Path, model: str | None) -> LabelFile:
    """Read labels from parquet or CSV.

    Its columns are ``prediction_id``, ``label``, ``label_time`` (or ``event_time``), and optionally ``revision``,
    ``source``, ``model`` and ``version``.

    Parameters
    ----------
    model
        Of every label, where the file has no column ``model``.

    Raises
    ------
    InputError
        Naming the row and column at fault.
    MissingColumn, EmptyData
        If a column that is needed is not there, or holds nothing.
    """
    where = str(path)
    frame = read_table(path, Roles(label="label", ignored=("prediction_id",)))
    time = next((name for name in _TIMES if name in frame.columns), None)
    if time is None:
        require_column(frame, _TIMES[0], where)
    assert time is not None
    if model is None:
        require_column(frame, "model", where)
    labelled = frame[frame["label"].notna()]
    times = frame_times(labelled, time)
    columns = {name: _scalars(labelled[name]) for name in ("prediction_id", "label")}
    for name in ("revision", "source", "model", "version"):
        if name in labelled.columns:
            columns[name] = _scalars(labelled[name])
    events = tuple(_events(columns, times.tolist(), model, where))
    return LabelFile(events, len(frame) - len(labelled))


def _events(
    columns: dict[str, list[Any]], times: list[float], model: str | None, where: str
) -> Iterator[LabelEvent]:
    for row, seconds in enumerate(times):
        said = {name: values[row] for name, values in columns.items() if values[row] is not None}
        revision = said.get("revision", 0)
        event = {
            "prediction_id": _text(said.get("prediction_id", "")),
            "model_name": str(said.get("model", model or "")),
            "model_version": _text(said.get("version", "")),
            "label": said["label"],
            "label_time": dt.datetime.fromtimestamp(seconds, dt.UTC),
            "source": None if "source" not in said else str(said["source"]),
            "revision": int(revision) if isinstance(revision, float) else revision,
        }
        try:
            yield msgspec.convert(event, LabelEvent)
        except msgspec.ValidationError as error:
            raise InputError(
                f"row {row} is no label: {error}", where=where, fix="Correct it and load the file."
            ) from error


def _scalars(column: pd.Series[Any]) -> list[Any]:
    missing = column.isna()
    return [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]


def _text(value: Any) -> str:
    """Return an id or version as text: a CSV's 7 is read as a number, and one with gaps as 7.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

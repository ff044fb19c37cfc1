"""Reading a parquet or CSV file, with sentences for what may be wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pandas as pd
import pyarrow as pa

from monitor.errors import EmptyData, InputError, MissingColumn
from monitor.profiles.layout import Kind
from monitor.profiles.series import column_of, kind_of
from monitor.profiles.vocabulary import label_of


@dataclass(frozen=True, slots=True)
class Roles:
    """Which columns of a table are not features.

    Attributes
    ----------
    prediction, score, label
        Column names; None where the table has no such column.
    groups
        Protected attributes.
    ignored
        Columns that are neither: ids, times.
    """

    prediction: str | None = None
    score: str | None = None
    label: str | None = None
    groups: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that plays a role."""
        single = (self.prediction, self.score, self.label)
        return (*(name for name in single if name is not None), *self.groups, *self.ignored)


def read_table(path: Path, roles: Roles) -> pd.DataFrame:
    """Return the file's rows.

    Raises
    ------
    InputError
        If it is not there, or neither parquet nor CSV.
    EmptyData
        If it has no rows, or a column that plays a role has no value.
    MissingColumn
        If a column that plays a role is not in it.
    """
    where = str(path)
    if not path.is_file():
        msg = "this is a folder, not a file" if path.is_dir() else "there is no such file"
        raise InputError(msg, where=where, fix="Check the path.")
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError, pa.ArrowException) as error:
        msg = f"not readable as {'CSV' if path.suffix == '.csv' else 'parquet'}: {error}"
        raise InputError(
            msg, where=where, fix="Give a parquet file, or CSV ending in .csv."
        ) from error
    if not len(frame):
        msg = "the file has no rows"
        raise EmptyData(msg, where=where, fix="Export it again, with data.")
    for name in roles.named:
        require_column(frame, name, where)
    check_one_value(frame, roles.named, where)
    return frame


def require_column(frame: pd.DataFrame, name: str, where: str) -> None:
    """Check that a column is there.

    Raises
    ------
    MissingColumn
        Naming the nearest column that is.
    """
    if name in frame.columns:
        return
    near = get_close_matches(name, [str(column) for column in frame.columns], n=1)
    hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(map(str, frame.columns))}."
    msg = f"there is no column {name}"
    raise MissingColumn(msg, where=where, fix=hint)


def feature_names(frame: pd.DataFrame, roles: Roles) -> list[str]:
    """Return the columns that play no other role, in the table's order."""
    return [str(name) for name in frame.columns if name not in roles.named]


def check_one_value(frame: pd.DataFrame, names: Sequence[str], where: str) -> None:
    """Check that none of these columns is all missing.

    Raises
    ------
    EmptyData
        Naming the column.
    """
    for name in names:
        if frame[name].isna().all():
            msg = f"all values of column {name} are missing"
            raise EmptyData(msg, where=where, fix="Export it with values, or do not name it.")


def check_labels(frame: pd.DataFrame, roles: Roles) -> None:
    """Check that some label is one of the answers, unless both are numbers: else no answer is ever right.

    Raises
    ------
    InputError
        Naming both, if they have nothing in common.
    """
    if roles.label is None or roles.prediction is None:
        return
    kinds = {kind_of(column_of(frame, name), name) for name in (roles.label, roles.prediction)}
    if kinds == {Kind.NUMERIC}:
        return
    truths, answers = (
        {label_of(value) for value in column_of(frame, name).dropna().unique().tolist()}
        for name in (roles.label, roles.prediction)
    )
    if truths and answers and not truths & answers:
        raise InputError(
            f"the labels are {_few(truths)}, the answers {_few(answers)}: none is ever right",
            where=roles.label,
            fix="Write labels as the model writes its answers.",
        )


def _few(labels: set[str]) -> str:
    shown = sorted(labels)[:3]
    return ", ".join(shown) + (", ..." if len(labels) > len(shown) else "")

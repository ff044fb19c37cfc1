"""The filters of ``--where``: one column, one comparison, one value; parsed, typed and bound, never pasted."""

from __future__ import annotations

import datetime as dt
import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from monitor.errors import InputError
from monitor.predictionlog.schema import SCHEMA, SEALED
from monitor.profiles.vocabulary import label_of

_GRAMMAR = re.compile(
    r"""\s* (?P<column> [a-z_]+ (?: \. (?: "[^"]+" | [^\s=!<>"]+ ) )? )
        \s* (?P<operator> != | <= | >= | = | < | > )
        \s* (?P<value> .*? ) \s*""",
    re.VERBOSE | re.DOTALL,
)

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

#: Columns that are JSON objects: ``features.NAME``, and for who may see them ``groups.NAME``.
NESTED = ("features", "groups")

_PLAIN = tuple(name for name in SCHEMA.names if name not in {*SEALED, *NESTED})


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison.

    Attributes
    ----------
    name
        Of the feature or group; None for a plain column.
    value
        Of the column's own type; None for a missing value.
    """

    column: str
    name: str | None
    operator: str
    value: Any

    def expression(self) -> ds.Expression | None:
        """Return the comparison for Arrow; None if only `holds` can tell."""
        if self.name is not None:
            return None
        field = ds.field(self.column)
        if self.value is None:
            return field.is_null() if self.operator == "=" else field.is_valid()
        value = pa.scalar(self.value, SCHEMA.field(self.column).type)
        compared: ds.Expression = _COMPARE[self.operator](field, value)
        return compared | field.is_null() if self.operator == "!=" else compared

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row's feature or group is as asked; values of another type are unequal, and in no order."""
        found = row[self.column].get(self.name)
        alike = _kind(found) is _kind(self.value)
        if self.operator in {"=", "!="}:
            return (alike and found == self.value) is (self.operator == "=")
        return alike and found is not None and bool(_COMPARE[self.operator](found, self.value))


def parse_condition(text: str) -> Condition:
    """Read ``COLUMN OPERATOR VALUE``.

    The operators are ``= != < <= > >=``. A value is JSON, or a bare word; ``null`` is a missing value.

    Raises
    ------
    InputError
        Saying what is not understood, and what there is.

    Examples
    --------
    >>> parse_condition('features.region = north')
    Condition(column='features', name='region', operator='=', value='north')
    >>> parse_condition("score >= 0.5").value
    0.5
    """
    found = _GRAMMAR.fullmatch(text)
    if found is None or not found["value"]:
        raise InputError(
            "it is not COLUMN OPERATOR VALUE",
            where=f"--where {text!r}",
            fix="Write such as 'score >= 0.5' or 'features.region = north'.",
        )
    column, _, name = found["column"].partition(".")
    said, value = found["operator"], _value(found["value"])
    if column in NESTED and name:
        condition = Condition(column, name.strip('"'), said, value)
    elif column in _PLAIN and not name:
        condition = Condition(*_column(column, said), said, _typed(column, said, value, text))
    else:
        known = ", ".join([*_PLAIN, *(f"{name}.NAME" for name in NESTED)])
        raise InputError(
            f"there is no column {found['column']}",
            where=f"--where {text!r}",
            fix=f"Known: {known}.",
        )
    if value is None and said not in {"=", "!="}:
        raise InputError("null has no order", where=f"--where {text!r}", fix="Use = or !=.")
    return condition


def _column(column: str, said: str) -> tuple[str, None]:
    """Return the column to look at: the order of predictions is that of numbers."""
    ordered = said not in {"=", "!="}
    return ("number" if column == "prediction" and ordered else column), None


def _value(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _typed(column: str, said: str, value: Any, text: str) -> Any:
    """Return the value in the column's own type."""
    if value is None:
        return None
    name, _ = _column(column, said)
    kind = SCHEMA.field(name).type
    try:
        if pa.types.is_string(kind):
            return label_of(value)
        if pa.types.is_timestamp(kind):
            return instant(str(value))
        if pa.types.is_date(kind):
            return dt.date.fromisoformat(str(value))
        return _number(value, kind)
    except (ValueError, OverflowError):
        raise InputError(
            f"{value!r} does not fit column {column}, which holds {kind}", where=f"--where {text!r}"
        ) from None


def _number(value: Any, kind: pa.DataType) -> float:
    if isinstance(value, bool | str):
        raise ValueError(value)  # noqa: TRY004 - said as of any other value that does not fit
    return int(value) if pa.types.is_integer(kind) and value == int(value) else float(value)


def instant(text: str) -> dt.datetime:
    """Return a time in UTC; without an offset it is UTC, without a time midnight.

    Raises
    ------
    ValueError
        If it is neither a date nor a time.

    Examples
    --------
    >>> instant("2026-01-02").isoformat(), instant("2026-01-02T03:00:00+01:00").isoformat()
    ('2026-01-02T00:00:00+00:00', '2026-01-02T02:00:00+00:00')
    """
    time = dt.datetime.fromisoformat(text)
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def _kind(value: Any) -> type:
    """Return a type that tells true from 1, and 1 not from 1.0."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)

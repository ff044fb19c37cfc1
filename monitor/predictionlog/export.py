"""Rows of the log as people and programs take them: JSON, CSV, Parquet."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: What a formula, or a call of another program, begins with.
_COMPUTED = ("=", "+", "-", "@", "\t", "\r")

_is_number = re.compile(r"[+-]\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE).fullmatch

#: Columns that hold a JSON object.
_NESTED = ("features", "groups")


def plain(rows: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield each row as JSON has it: features and groups as objects, times as text (RFC 3339)."""
    for row in rows.to_pylist():
        nested = {name: json.loads(row[name]) for name in _NESTED if row.get(name)}
        yield {name: text(value) for name, value in (row | nested).items()}


def to_csv(rows: pa.Table) -> str:
    r"""Return the rows as CSV (RFC 4180) with a header; features and groups as JSON text.

    It is opened in spreadsheets, and what it holds was written by strangers: a text that one would take for a formula
    has an apostrophe before it. JSON and Parquet hold every text as it is.

    Examples
    --------
    >>> to_csv(pa.table({"score": [-0.5], "features": ['{"age": 4}'], "source": ["=1+1"]}))
    'score,features,source\r\n-0.5,"{""age"": 4}",\'=1+1\r\n'
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(map(_cell, rows.column_names))
    writer.writerows(map(_cell, row.values()) for row in rows.to_pylist())
    return out.getvalue()


def to_parquet(rows: pa.Table) -> bytes:
    """Return the rows as a Parquet file."""
    out = pa.BufferOutputStream()
    pq.write_table(rows, out)
    data: bytes = out.getvalue().to_pybytes()
    return data


def text(value: Any) -> Any:
    """Return a date or time as text, anything else as it is."""
    return value.isoformat() if isinstance(value, dt.date) else value


def _cell(value: Any) -> Any:
    """Return a value that no spreadsheet computes; a class that is named ``-1`` stays one."""
    if isinstance(value, str) and value.startswith(_COMPUTED) and not _is_number(value):
        return f"'{value}"
    return text(value)

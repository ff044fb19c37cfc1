"""How tables look: 80 columns are enough, and no word of a cell is lost."""

from __future__ import annotations

import datetime as dt

from rich.table import Table


def plain_table(*columns: str, whole: tuple[str, ...] = ()) -> Table:
    """Return a table without lines, whose long cells go on below.

    Parameters
    ----------
    whole
        Columns whose cells are never broken.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name in whole)
    return table


def spoken(rule: str) -> str:
    """Return a rule's name as words that a line can be broken between; what is in brackets stays.

    Examples
    --------
    >>> spoken("demographic_parity_difference[birth_country]")
    'demographic parity difference [birth_country]'
    """
    name, bracket, rest = rule.partition("[")
    return name.replace("_", " ") + (f" {bracket}{rest}" if bracket else "")


def instant(seconds: float) -> str:
    """Return a time in UTC.

    Examples
    --------
    >>> instant(0.0)
    '1970-01-01 00:00:00'
    """
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(seconds: float) -> str:
    """Return how long ago, in the largest unit that says enough.

    Examples
    --------
    >>> ago(75.0), ago(7300.0), ago(200_000.0)
    ('75 s ago', '2 h ago', '2 d ago')
    """
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"

"""Durations as people write them."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PATTERN = r"^(\d+(\.\d+)?[smhdw])+$"
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")

#: What a JSON Schema says of a duration.
SCHEMA: dict[str, Any] = {
    "type": ["number", "string"],
    "pattern": _PATTERN,
    "description": 'Seconds, or such as "30s", "5m", "1h30m", "2d".',
}


def seconds(value: Any) -> Any:
    """Return a duration in seconds; what is not text is passed through for the type to judge.

    Raises
    ------
    ValueError
        If the text is no duration.

    Examples
    --------
    >>> seconds("5m"), seconds("1h30m"), seconds(12)
    (300.0, 5400.0, 12)
    """
    if not isinstance(value, str):
        return value
    if not re.match(_PATTERN, value):
        raise ValueError('it must be seconds, or such as "30s", "5m", "1h30m", "2d"')
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))

"""Where a version fell silent, seen from its records' arrival: the same however they were fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from monitor.engine.block import arrivals

if TYPE_CHECKING:
    from monitor.engine.records import Record


def arrival(record: Record) -> float:
    """Return when a record arrived, seconds since 1970 UTC."""
    return record.timestamp / 1000


def spells(records: Sequence[Record], since: float, silence: float) -> Iterator[Sequence[Record]]:
    """Cut a version's records, in order of arrival, before each that came after a silence.

    Parameters
    ----------
    since
        Arrival of the version's record before these, seconds since 1970 UTC.
    silence
        Seconds, from which on it is one.
    """
    begin = 0
    if arrival(records[-1]) - since >= silence:
        for position, at in enumerate(arrivals(records).tolist()):
            if at - since >= silence and position > begin:
                yield records[begin:position]
                begin = position
            since = max(since, at)
    yield records[begin:]

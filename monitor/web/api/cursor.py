"""Where a page has ended, as a text that a caller hands back."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from monitor.errors import InputError
from monitor.predictionlog.query import Mark

if TYPE_CHECKING:
    import pyarrow as pa


def cursor_of(rows: pa.Table) -> str:
    """Return the cursor of the page before these rows, of which the first is the oldest."""
    mark = Mark(rows["event_time"][0].as_py(), rows["event_id"][0].as_py())
    return base64.urlsafe_b64encode(msgspec.json.encode(mark)).decode().rstrip("=")


def read_cursor(text: str) -> Mark:
    """Return the row that a cursor stands for.

    Raises
    ------
    InputError
        If it is none of ours.

    Examples
    --------
    >>> read_cursor("WyIyMDI2LTAxLTAyVDAzOjA0OjA1KzAwOjAwIiwgImUtMSJd").event_id
    'e-1'
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        said = msgspec.json.decode(
            base64.b64decode(padded, altchars=b"-_", validate=True), type=Mark
        )
    except (ValueError, RecursionError):  # of base64 and of JSON, too
        said = None
    if said is None or said.event_time.tzinfo is None:
        raise InputError(
            "it is no cursor", where="cursor", fix="Hand back `next` of the page before."
        )
    return said

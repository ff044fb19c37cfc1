"""What may stand in a blank of a template."""

from __future__ import annotations

import enum


class Blank(enum.IntEnum):
    """Numbers that the kernels know; those up to `LABEL` give a number of the row."""

    NUMBER = 0
    NUMBER_OR_NULL = 1
    LABEL = 2
    INSTANT = 3
    STRING = 4
    ID = 5
    ANYTHING = 6


#: The same as plain numbers, as compiled functions take them.
NUMBER_OR_NULL, LABEL, INSTANT, ID, ANYTHING = map(
    int, (Blank.NUMBER_OR_NULL, Blank.LABEL, Blank.INSTANT, Blank.ID, Blank.ANYTHING)
)

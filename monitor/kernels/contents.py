"""What a field of an object may hold."""

from __future__ import annotations

import enum


class Content(enum.IntEnum):
    """Numbers that the kernel knows. Of those up to `OBJECT` it says where the value stands, of the next three which it is."""

    TEXT = 0
    TEXT_OR_NULL = 1
    SCALAR = 2
    OBJECT = 3
    NUMBER = 4
    NUMBER_OR_NULL = 5
    INSTANT = 6
    NULL = 7
    DIGIT = 8

    @property
    def has_place(self) -> bool:
        """Whether it is found as bytes, not as a number."""
        return self <= Content.OBJECT

    @property
    def has_number(self) -> bool:
        """Whether it is found as a number."""
        return Content.NUMBER <= self <= Content.INSTANT


#: The same as plain numbers, as compiled functions take them.
TEXT, TEXT_OR_NULL, SCALAR, OBJECT, NUMBER, NUMBER_OR_NULL, INSTANT, NULL, DIGIT = map(int, Content)

"""Messages of MessagePack that are all written alike, into rows of numbers."""

from __future__ import annotations

import math

import numpy as np

from monitor.kernels.blanks import ANYTHING, ID, INSTANT, LABEL, NUMBER_OR_NULL
from monitor.kernels.compiled import (
    SCAN,
    as_double,
    as_float,
    byte_at,
    kernel,
    part,
    swapped,
    word_at,
)
from monitor.kernels.heads import COUNT_BYTES, FIXED, SHORT_TEXT, TEXT_8, TEXT_32
from monitor.kernels.texts import instant, is_ascii, matches
from monitor.kernels.tokens import TOKEN_LENGTH, find

_NULL, _FLOAT, _DOUBLE, _UNSIGNED, _SIGNED, _NEGATIVE = 0xC0, 0xCA, 0xCB, 0xCC, 0xD0, 0xE0

_U = np.uint64
#: What is before the time in a stamp of four bytes, and of eight.
_STAMP_32, _STAMP_64 = 0xFFD6, 0xFFD7
_SHORT, _SECONDS, _SECOND = _U(0xFFFF), _U((1 << 34) - 1), 1_000_000_000


@part
def _behind(data, place, end):
    """Return where a scalar ends; -1 of one that does not end within its message, and of what is none."""
    head = byte_at(data, place)
    length, counted = FIXED[head], COUNT_BYTES[head]
    if length < 0:
        return -1
    if counted:
        length += np.int64(swapped(word_at(data, place + 1)) >> _U(64 - 8 * counted))
    return place + length if place + length <= end else -1


@part
def _start_of_text(data, place):
    """Return where the characters of a text begin; -1 if it is none."""
    head = byte_at(data, place)
    if TEXT_8 <= head <= TEXT_32:
        return place + 1 + COUNT_BYTES[head]
    return place + 1 if SHORT_TEXT <= head < _NULL else -1


@part
def _number(data, place):
    """Return a number, and where it ends; -1 if it is none."""
    head = byte_at(data, place)
    word = swapped(word_at(data, place + 1))
    if head == _DOUBLE:
        return as_double(word), place + 9
    if head < 0x80:
        return float(head), place + 1
    if head >= _NEGATIVE:
        return float(head - 256), place + 1
    if head == _FLOAT:
        return as_float(word >> _U(32)), place + 5
    if not _UNSIGNED <= head < _SIGNED + 4:
        return 0.0, -1
    after = place + FIXED[head]
    unused = _U(64 - 8 * (after - place - 1))
    if head < _SIGNED:
        return float(word >> unused), after
    return float(np.int64(word) >> np.int64(unused)), after


@part
def _stamp(data, place, end):
    """Return microseconds since 1970 UTC of a time stamp or a text, and where it ends; -1 if it is of another form."""
    word = word_at(data, place)
    head = word & _SHORT
    if head == _STAMP_64:
        word = swapped(word_at(data, place + 2))
        nanoseconds = np.int64(word >> _U(34))
        if nanoseconds >= _SECOND:
            return 0, -1
        # Rounded half up, as msgspec does.
        return np.int64(word & _SECONDS) * 1_000_000 + (nanoseconds + 500) // 1000, place + 10
    if head == _STAMP_32:
        return np.int64(swapped(word << _U(16)) & _U(0xFFFF_FFFF)) * 1_000_000, place + 6
    start = _start_of_text(data, place)
    if start < 0:
        return 0, -1
    moment, after = instant(data, start)
    return moment, (after if after == _behind(data, place, end) else -1)


@kernel(*SCAN)
def scan(
    data, which, begins, ends, literals, bounds, kinds, targets,
    token_kinds, token_spans, token_codes, token_texts, rows, times, ids, stops,
):  # fmt: skip
    """Read messages that consist of the same literals, with values in between: all as of `monitor.kernels.json.scan`."""
    count = len(kinds)
    for message in which:
        place, end = begins[message], ends[message]
        blank = at_value = 0
        while True:
            at_value = 0
            start, stop = bounds[blank], bounds[blank + 1]
            # A literal may hold zeros, so those behind the last message do not end it.
            if place + stop - start > end or not matches(data, place, literals, start, stop):
                break
            place += stop - start
            if blank == count:
                blank += 1
                break
            at_value = 1
            kind = kinds[blank]
            if kind <= NUMBER_OR_NULL:
                if kind == NUMBER_OR_NULL and byte_at(data, place) == _NULL:
                    value, after = math.nan, place + 1
                else:
                    value, after = _number(data, place)
                rows[message, targets[blank]] = value
            elif kind == INSTANT:
                moment, after = _stamp(data, place, end)
                times[message] = moment
            else:
                after = _behind(data, place, end)
                if kind == LABEL:
                    if not place < after <= place + TOKEN_LENGTH:
                        break
                    entry = find(
                        data, place, after, targets[blank], token_kinds, token_spans, token_texts
                    )
                    if entry < 0:
                        break
                    rows[message, targets[blank]] = token_codes[entry]
                elif kind != ANYTHING and after > 0:
                    start = _start_of_text(data, place)
                    if start < 0 or not is_ascii(data, start, after):
                        break
                    if kind == ID:
                        ids[message, 0], ids[message, 1] = start, after
            if after < 0:
                break
            place = after
            blank += 1
        stops[message, 0] = -1 if blank > count and place == end else blank
        stops[message, 1], stops[message, 2] = place, at_value

"""Messages of JSON that are all written alike, into rows of numbers."""

from __future__ import annotations

import math

import numpy as np

from monitor.kernels.blanks import ANYTHING, ID, INSTANT, LABEL, NUMBER_OR_NULL
from monitor.kernels.compiled import (
    SCAN,
    byte_at,
    kernel,
    part,
    word_at,
)
from monitor.kernels.decimals import behind_number, decimal
from monitor.kernels.texts import behind_string, instant, matches
from monitor.kernels.tokens import TOKEN_LENGTH, find

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
#: What ends a scalar that is no string: zeros stand behind the last message.
_ENDS = (0, *b",}] \t\r\n")

_NULL, _TRUE, _FALSE = (
    np.uint64(int.from_bytes(word, "little")) for word in (b"null", b"true", b"false")
)
_LOW_HALF, _FIVE = np.uint64((1 << 32) - 1), np.uint64((1 << 40) - 1)


@part
def _behind_label(data, place):
    """Return where a string or a word or number ends; -1 of one that is longer than those that are kept."""
    if byte_at(data, place) == _QUOTE:
        after = behind_string(data, place + 1, False)
        return after if after > 0 else _behind_escapes(data, place + 1)
    for after in range(place, place + TOKEN_LENGTH):
        byte = byte_at(data, after)
        if byte in _ENDS:
            return after if after > place else -1
    return -1


@part
def _behind_escapes(data, place):
    after = place
    while after < place + TOKEN_LENGTH:
        byte = byte_at(data, after)
        if byte == _QUOTE:
            return after + 1
        after += 2 if byte == _BACKSLASH else 1
    return -1


@part
def is_null(data, place):
    """Whether a null begins here."""
    return word_at(data, place) & _LOW_HALF == _NULL


@part
def behind_anything(data, place, ascii_only):
    """Return where a scalar ends, which must be one; -1 if that is not sure, of a text as of `behind_string`."""
    if byte_at(data, place) == _QUOTE:
        return behind_string(data, place + 1, ascii_only)
    word = word_at(data, place)
    if word & _LOW_HALF in (_NULL, _TRUE):
        return place + 4
    if word & _FIVE == _FALSE:
        return place + 5
    return behind_number(data, place)


@kernel(*SCAN)
def scan(
    data, which, begins, ends, literals, bounds, kinds, targets,
    token_kinds, token_spans, token_codes, token_texts, rows, times, ids, stops,
):  # fmt: skip
    """Read messages that consist of the same literals, with values in between.

    Parameters
    ----------
    data
        Bytes, of which the last 64 are 0.
    which
        Messages to be read; of each, it and all that follows has an entry or a row.
    begins, ends
        Where each message lies in the data.
    literals, bounds
        The literals' bytes, seven more, and where each begins, and the last one ends: one more than there are blanks.
    kinds, targets
        Of each blank: what may stand there, and which number of the row it is.
    token_kinds, token_spans, token_codes, token_texts
        Labels, as `Tokens` has them.
    rows, times, ids
        Filled: numbers and codes; microseconds since 1970; where the text of the id begins and ends.
    stops
        Filled, shape (n, 3): -1 of a message that was read, else the blank that it was left at; the place; and whether
        that is the blank's, or the literal's before it.
    """
    count = len(kinds)
    for message in which:
        place, end = begins[message], ends[message]
        blank = at_value = 0
        while True:
            at_value = 0
            start, stop = bounds[blank], bounds[blank + 1]
            if not matches(data, place, literals, start, stop):
                break
            place += stop - start
            if blank == count:
                blank += 1
                break
            at_value = 1
            kind = kinds[blank]
            if kind <= NUMBER_OR_NULL:
                if kind == NUMBER_OR_NULL and is_null(data, place):
                    value, after = math.nan, place + 4
                else:
                    value, after = decimal(data, place)
                rows[message, targets[blank]] = value
            elif kind == LABEL:
                after = _behind_label(data, place)
                if after > 0:
                    entry = find(
                        data, place, after, targets[blank], token_kinds, token_spans, token_texts
                    )
                    if entry < 0:
                        break
                    rows[message, targets[blank]] = token_codes[entry]
            elif kind == INSTANT:
                moment, after = instant(data, place + 1)
                if after < 0 or byte_at(data, place) != _QUOTE or byte_at(data, after) != _QUOTE:
                    break
                times[message] = moment
                after += 1
            elif kind == ANYTHING:
                after = behind_anything(data, place, True)
            elif byte_at(data, place) == _QUOTE:
                after = behind_string(data, place + 1, True)
                if kind == ID:
                    ids[message, 0], ids[message, 1] = place + 1, after - 1
            else:
                break
            if after < 0:
                break
            place = after
            blank += 1
        stops[message, 0] = -1 if blank > count and place == end else blank
        stops[message, 1], stops[message, 2] = place, at_value

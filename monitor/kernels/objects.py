"""JSON objects whose fields are known by name, in any order: where their values stand, and that they are what they may be."""

from __future__ import annotations

import math

from numba import int64

from monitor.kernels.compiled import (
    BYTES,
    INTEGERS,
    PAIRS,
    ROOM,
    ROWS,
    SHORT_INTEGERS,
    byte_at,
    kernel,
    part,
    put_word,
    word_at,
)
from monitor.kernels.contents import (
    INSTANT,
    NULL,
    NUMBER,
    NUMBER_OR_NULL,
    OBJECT,
    SCALAR,
    TEXT_OR_NULL,
)
from monitor.kernels.decimals import decimal
from monitor.kernels.json import behind_anything, is_null
from monitor.kernels.texts import behind_quote, behind_string, instant, is_ascii, matches

_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _SPACE = (ord(c) for c in '":,{} ')
_ONE, _NINE = ord("1"), ord("9")


@part
def _behind_spaces(data, place):
    while byte_at(data, place) == _SPACE:
        place += 1
    return place


@part
def _behind_colon(data, place):
    """Return where the value begins whose key ends here; -1 if there is none."""
    place = _behind_spaces(data, place)
    return _behind_spaces(data, place + 1) if byte_at(data, place) == _COLON else -1


@part
def _behind_object(data, place):
    """Return where an object of scalars ends; -1 of anything else, and of one with an escape or an odd number."""
    if byte_at(data, place) != _OPEN:
        return -1
    place = _behind_spaces(data, place + 1)
    if byte_at(data, place) == _CLOSE:
        return place + 1
    while byte_at(data, place) == _QUOTE:
        place = behind_string(data, place + 1, False)
        if place < 0:
            return -1
        place = _behind_colon(data, place)
        if place < 0:
            return -1
        place = behind_anything(data, place, False)
        if place < 0:
            return -1
        place = _behind_spaces(data, place)
        if byte_at(data, place) == _CLOSE:
            return place + 1
        if byte_at(data, place) != _COMMA:
            return -1
        place = _behind_spaces(data, place + 1)
    return -1


@part
def _find(data, place, names, bounds, guess):
    """Return which field's name stands here, the guessed one first, and where it ends; -1 if it is none."""
    count = len(bounds) - 1
    for turn in range(count):
        field = (guess + turn) % count
        start, stop = bounds[field], bounds[field + 1]
        if matches(data, place, names, start, stop):
            return field, place + stop - start
    return -1, -1


@part
def _span(data, place, content):
    """Return where a value's bytes begin and end, -1 of a null, and where it ends itself: -1 if it may not stand there."""
    if content == OBJECT:
        after = _behind_object(data, place)
        return place, after, after
    if content == SCALAR:
        if is_null(data, place):
            return -1, -1, -1
        after = behind_anything(data, place, False)
        return place, after, after
    if byte_at(data, place) == _QUOTE:
        after = behind_string(data, place + 1, False)
        return place + 1, after - 1, after
    if content == TEXT_OR_NULL and is_null(data, place):
        return -1, -1, place + 4
    return -1, -1, -1


@part
def _number(data, place, content):
    """Return a number or an instant, NaN of a null, and where it ends; -1 if it may not stand there."""
    if content == INSTANT:
        moment, after = instant(data, place + 1)
        if after < 0 or byte_at(data, place) != _QUOTE or byte_at(data, after) != _QUOTE:
            return math.nan, -1
        return float(moment), after + 1
    if content == NUMBER_OR_NULL and is_null(data, place):
        return math.nan, place + 4
    return decimal(data, place)


@part
def _behind_rest(data, place, content):
    """Return where a value ends that nobody asks for; -1 if it may not stand there."""
    if content == NULL:
        return place + 4 if is_null(data, place) else -1
    return place + 1 if _ONE <= byte_at(data, place) <= _NINE else -1


@kernel(
    BYTES, INTEGERS, INTEGERS, BYTES, INTEGERS, INTEGERS, INTEGERS, INTEGERS, int64,
    PAIRS, ROWS, INTEGERS,
)  # fmt: skip
def read(
    data, begins, ends, names, bounds, contents, targets, following, needed, places, numbers, fits
):
    """Read messages that are objects with fields of these names and nothing else.

    Parameters
    ----------
    data
        Bytes, of which the last 64 are 0.
    begins, ends
        Where each message lies in the data.
    names, bounds
        The fields' names in quotes, seven bytes more, and where each begins, and the last one ends.
    contents, targets
        Of each field: what it may hold, and which row of `places` (the first of two) or `numbers` is its own.
    following
        Which field came after each, as far as is known; kept up to date.
    needed
        A bit for each field that must be there.
    places, numbers
        Filled, a column for each message: where values begin and end, -1 of what is null or absent; and numbers,
        microseconds since 1970 of instants, NaN.
    fits
        Filled: 1 of each message that was read, 2 if it has bytes beyond ASCII, 0 of all others. What these' columns hold means
        nothing.
    """
    for message in range(len(begins)):
        place, end = begins[message], ends[message]
        places[:, message] = -1
        numbers[:, message] = math.nan
        fits[message] = 0
        seen, field = int64(0), int64(len(contents) - 1)
        more = byte_at(data, place) == _OPEN
        while more:
            before = field
            field, after = _find(
                data, _behind_spaces(data, place + 1), names, bounds, following[before]
            )
            if field < 0 or seen >> field & 1:
                break
            seen |= int64(1) << field
            following[before] = field
            place = _behind_colon(data, after)
            if place < 0:
                break
            content, target = contents[field], targets[field]
            if content <= OBJECT:
                places[target, message], places[target + 1, message], place = _span(
                    data, place, content
                )
            elif NUMBER <= content <= INSTANT:
                numbers[target, message], place = _number(data, place, content)
            else:
                place = _behind_rest(data, place, content)
            if place < 0:
                break
            place = _behind_spaces(data, place)
            more = byte_at(data, place) == _COMMA
        closed = not more and place + 1 == end and byte_at(data, place) == _CLOSE
        if closed and seen & needed == needed:
            fits[message] = 1 if is_ascii(data, begins[message], end) else 2


@kernel(BYTES, INTEGERS, INTEGERS, BYTES, INTEGERS, INTEGERS)
def bear(data, begins, ends, names, bounds, found):
    """Look for names in JSON objects that were read.

    Parameters
    ----------
    begins, ends
        Where each object lies in the data.
    names, bounds
        The names, each with the quote behind it, seven bytes more, and where each begins, and the last one ends.
    found
        Filled: 1 of each object in which one of them stands between quotes, else 0.
    """
    for row in range(len(begins)):
        found[row] = 0
        end = ends[row]
        place = behind_quote(data, begins[row], end)
        while place < end:
            for name in range(len(bounds) - 1):
                if matches(data, place, names, bounds[name], bounds[name + 1]):
                    found[row] = 1
            place = behind_quote(data, behind_quote(data, place, end), end)


@kernel(BYTES, INTEGERS, INTEGERS, SHORT_INTEGERS, ROOM)
def copy(data, begins, ends, bounds, room):
    """Copy pieces of data one behind the other.

    Parameters
    ----------
    begins, ends
        Where each lies in the data; of an empty one it does not matter where.
    bounds
        Filled: where each begins in the room, and the last one ends.
    room
        Filled; eight bytes longer than that, of which up to seven are written over.
    """
    at = 0
    for piece in range(len(begins)):
        bounds[piece] = at
        stop = at + ends[piece] - begins[piece]
        place = begins[piece]
        # What is written beyond the end of a piece the next one writes over.
        while at < stop:
            put_word(room, at, word_at(data, place))
            at += 8
            place += 8
        at = stop
    bounds[len(begins)] = at

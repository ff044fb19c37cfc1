"""Records of Kafka record batches that end in our publisher's headers: where everything stands in them."""

from __future__ import annotations

from numba import int64

from monitor.kernels.compiled import BYTES, INTEGERS, PAIRS, byte_at, kernel, part
from monitor.kernels.tokens import find

#: What is found of a record, in the order of the rows of `places`: differences of offset and time stamp to those of the
#: batch; bounds of the value, of all headers, and of the last three up to the sequence's digits; the sequence itself;
#: how many headers there are beyond the usual; which of the distinct keys and tails it has.
FOUND = 12
OFFSET, STAMP, VALUE, VALUE_END, HEADERS, END, TAIL, TAIL_END, SEQUENCE, MORE, KEY, LAST = range(
    FOUND
)

_MORE_COMES = 128
_ZERO = ord("0")

#: Numbers of so many digits may not fit 64 bits, and numbers of so many bytes neither.
_DIGITS, _LONGEST = 19, 9


@part
def varint(data, place):
    """Return a signed number as Kafka writes it, and where it ends; -1 if it has no end."""
    value, shift = int64(0), 0
    for _ in range(_LONGEST):
        byte = byte_at(data, place)
        value |= (byte & 127) << shift
        place += 1
        shift += 7
        if byte < _MORE_COMES:
            return (value >> 1) ^ -(value & 1), place
    return int64(0), int64(-1)


@part
def _field(data, place, end):
    """Return where a field begins and ends whose length stands here; -1 of a null, or of one beyond the end."""
    if not 0 <= place < end:
        return int64(-1), int64(-1)
    size, begin = varint(data, place)
    if begin < 0 or size < 0 or begin + size > end:
        return begin, int64(-1)
    return begin, begin + size


@part
def _number(data, place, end):
    """Return the whole number that stands there in digits; -1 if there is none, or it is too long."""
    if not 0 < end - place < _DIGITS:
        return -1
    value = 0
    for at in range(place, end):
        digit = byte_at(data, at) - _ZERO
        if not 0 <= digit <= 9:
            return -1
        value = 10 * value + digit
    return value


@part
def _behind_header(data, place, end):
    """Return where a header ends, name and value; -1 if it has no value."""
    for _ in range(2):
        _, place = _field(data, place, end)
        if place < 0:
            break
    return place


@part
def _known(data, begin, end, kind, kinds, spans, codes, distinct):
    """Return the number of a byte string among the distinct ones of its kind so far; -1 if there are too many."""
    entry = find(data, begin, end, kind, kinds, spans, data)
    if entry >= 0:
        return codes[entry]
    if 4 * distinct[kind] >= len(kinds):
        return int64(-1)
    entry = -1 - entry
    kinds[entry], codes[entry] = kind, distinct[kind]
    spans[entry, 0], spans[entry, 1] = begin, end
    distinct[kind] += 1
    return codes[entry]


@part
def _find_places(data, place, limit, usual, at, places):
    """Find where everything stands in a record; return its key's bounds, and where it ends: -1 if it is not as expected."""
    size, place = varint(data, place)
    end = place + size
    if place < 0 or size < 0 or end > limit or byte_at(data, place) != 0:
        return -1, -1, -1
    places[STAMP, at], place = varint(data, place + 1)
    if place < 0:
        return -1, -1, -1
    places[OFFSET, at], place = varint(data, place)
    key, key_end = _field(data, place, end)
    if key_end < 0:
        return -1, -1, -1
    value, value_end = _field(data, key_end, end)
    if value_end < 0:
        return -1, -1, -1
    count, place = varint(data, value_end)
    if not usual <= count <= usual + 1:
        return -1, -1, -1
    for _ in range(count - 3):
        place = _behind_header(data, place, end)
        if place < 0:
            return -1, -1, -1
    tail = place
    for _ in range(2):
        place = _behind_header(data, place, end)
        if place < 0:
            return -1, -1, -1
    _, tail_end = _field(data, place, end)
    if tail_end < 0:
        return -1, -1, -1
    digits, digits_end = _field(data, tail_end, end)
    if digits_end != end:
        return -1, -1, -1
    sequence = _number(data, digits, end)
    if sequence < 0:
        return -1, -1, -1
    places[VALUE, at], places[VALUE_END, at] = value, value_end
    places[HEADERS, at], places[END, at] = value_end, end
    places[TAIL, at], places[TAIL_END, at] = tail, tail_end
    places[SEQUENCE, at], places[MORE, at] = sequence, count - usual
    return key, key_end, end


@kernel(BYTES, PAIRS, INTEGERS, int64, PAIRS, INTEGERS, PAIRS, INTEGERS, INTEGERS, INTEGERS)
def read(data, batches, counts, usual, places, kinds, spans, codes, distinct, done):
    """Find the places of all records of some batches.

    Parameters
    ----------
    data
        Bytes, of which the last 64 are 0.
    batches, counts
        Where the records of each batch begin and end, and how many there are.
    usual
        How many headers a record has at least, and one less than at most.
    places
        Filled: a row for each of `FOUND`, a column for each record.
    kinds, spans, codes
        An empty table with room for distinct keys and tails, as `Tokens` has one.
    distinct
        Filled: how many distinct keys and tails there are.
    done
        Filled: 1 if all records were as expected.
    """
    at = 0
    for batch in range(len(counts)):
        place, limit = batches[batch, 0], batches[batch, 1]
        for _ in range(counts[batch]):
            key, key_end, place = _find_places(data, place, limit, usual, at, places)
            if place < 0:
                return
            tail, tail_end = places[TAIL, at], places[TAIL_END, at]
            places[KEY, at] = _known(data, key, key_end, 0, kinds, spans, codes, distinct)
            places[LAST, at] = _known(data, tail, tail_end, 1, kinds, spans, codes, distinct)
            if places[KEY, at] < 0 or places[LAST, at] < 0:
                return
            at += 1
        if place != limit:
            return
    done[0] = 1

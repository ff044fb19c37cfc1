"""Text within messages: where it ends, and which instant it names."""

from __future__ import annotations

import numpy as np

from monitor.kernels.compiled import byte_at, part, word_at, zeros_below

_U = np.uint64
_ONE, _ONES, _TOPS = _U(1), _U(0x0101_0101_0101_0101), _U(0x8080_8080_8080_8080)
_QUOTES, _BACKSLASHES = _ONES * _U(ord('"')), _ONES * _U(ord("\\"))
_SPACES = _ONES * _U(ord(" "))
_QUOTE, _POINT, _Z, _PLUS, _MINUS, _ZERO = (ord(c) for c in '".Z+-0')

#: Microseconds that a double holds exactly, to the years 1684 and 2255; others are not rounded here.
_EXACT = 1 << 53

#: Days of the months from March on, before each.
_BEFORE = np.array([306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275])
_LENGTHS = np.array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@part
def matches(data, place, other, start, stop):
    """Whether the bytes from a place on are the other ones from start to stop; up to seven beyond are looked at."""
    while stop - start >= 8:
        if word_at(data, place) != word_at(other, start):
            return False
        place += 8
        start += 8
    rest = stop - start
    if rest == 0:
        return True
    return (word_at(data, place) ^ word_at(other, start)) << _U(64 - 8 * rest) == 0


@part
def behind_string(data, place, ascii_only):
    """Return where a string ends whose first character is here; -1 of one with escapes, or not of ASCII if it must be."""
    while True:
        word = word_at(data, place)
        quote = word ^ _QUOTES
        slash = word ^ _BACKSLASHES
        # Each is right up to the first byte that it finds.
        quote = (quote - _ONES) & ~quote & _TOPS
        odd = ((word - _SPACES) & ~word) | ((slash - _ONES) & ~slash)
        if ascii_only:
            odd |= word
        odd &= _TOPS
        if quote:
            before = (quote & (~quote + _ONE)) - _ONE
            return -1 if odd & before else place + (zeros_below(quote) >> 3) + 1
        if odd:
            return -1
        place += 8


@part
def behind_quote(data, place, stop):
    """Return where the next quote ends; where there is none before it stops, that or a little more."""
    while place < stop:
        quote = word_at(data, place) ^ _QUOTES
        # It is right up to the first byte that it finds.
        quote = (quote - _ONES) & ~quote & _TOPS
        if quote:
            return place + (zeros_below(quote) >> 3) + 1
        place += 8
    return place


@part
def is_ascii(data, place, stop):
    """Whether bytes are all ASCII; the data goes on behind them."""
    while stop - place >= 8:
        if word_at(data, place) & _TOPS:
            return False
        place += 8
    return stop == place or (word_at(data, place) << _U(64 - 8 * (stop - place))) & _TOPS == 0


@part
def _two(data, place):
    tens, ones = byte_at(data, place) - _ZERO, byte_at(data, place + 1) - _ZERO
    return 10 * tens + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else -1


@part
def instant(data, place):
    """Return microseconds since 1970 UTC of an RFC 3339 text, and where it ends; -1 if it is of another form."""
    century, year = _two(data, place), _two(data, place + 2)
    month, day = _two(data, place + 5), _two(data, place + 8)
    hour, minute, second = _two(data, place + 11), _two(data, place + 14), _two(data, place + 17)
    marks = (
        byte_at(data, place + 4) == _MINUS
        and byte_at(data, place + 7) == _MINUS
        and byte_at(data, place + 10) == ord("T")
        and byte_at(data, place + 13) == ord(":")
        and byte_at(data, place + 16) == ord(":")
    )
    if not marks or min(century, year, hour, minute, second) < 0:
        return 0, -1
    year += 100 * century
    if year < 1 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return 0, -1
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _LENGTHS[month - 1] or (month == 2 and day == 29 and not leap):
        return 0, -1
    place += 19
    fraction = 0
    if byte_at(data, place) == _POINT:
        place += 1
        start = place
        while place - start < 9 and 0 <= byte_at(data, place) - _ZERO <= 9:
            fraction = 10 * fraction + byte_at(data, place) - _ZERO
            place += 1
        if place == start:
            return 0, -1
        for _ in range(9 - (place - start)):
            fraction *= 10
    ahead = 0
    ending = byte_at(data, place)
    if ending == _Z:
        place += 1
    elif ending in {_PLUS, _MINUS}:
        hours, minutes = _two(data, place + 1), _two(data, place + 4)
        if not 0 <= hours <= 23 or not 0 <= minutes <= 59 or byte_at(data, place + 3) != ord(":"):
            return 0, -1
        ahead = (60 * hours + minutes) * (60_000_000 if ending == _PLUS else -60_000_000)
        place += 6
    else:
        return 0, -1
    # The year begins in March, so that a leap day is its last.
    since = year - (month <= 2)
    days = (
        365 * since + since // 4 - since // 100 + since // 400 + _BEFORE[month - 1] + day - 719_469
    )
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    moment = seconds * 1_000_000 + (fraction + 500) // 1000 - ahead
    return moment, (place if -_EXACT <= moment <= _EXACT else -1)

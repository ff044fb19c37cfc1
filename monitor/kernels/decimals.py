"""Decimal text to the nearest double, eight digits at a time.

What is exact in a double is divided or multiplied by a power of ten (Clinger 1990); the rest goes through a product of
128 bits (Lemire 2021). Where neither is sure, nothing is returned: the caller has another way.

References
----------
Lemire, D. (2021). Number parsing at a gigabyte per second. Software: Practice and Experience 51(8).
Clinger, W. D. (1990). How to read floating point numbers accurately. PLDI.
"""

from __future__ import annotations

import math

import numpy as np

from monitor.kernels.compiled import as_double, byte_at, part, word_at, zeros_above, zeros_below

#: No number could be read with certainty.
UNSURE = -1

_MINUS, _PLUS, _POINT, _ZERO, _NINE, _E = (ord(c) for c in "-+.09e")
_LOWER = 0x20

_U = np.uint64
_ONE, _FOUR, _EIGHT, _NINTH, _HALF = _U(1), _U(4), _U(8), _U(9), _U(32)
_LOW_HALF = _U(0xFFFF_FFFF)
_ZEROS = _U(0x3030_3030_3030_3030)
_HIGH_NIBBLES = _U(0xF0F0_F0F0_F0F0_F0F0)
_SIXES = _U(0x0606_0606_0606_0606)
_TEN, _TEN_TO_8 = _U(10), _U(100_000_000)
_EXACT = _U(1 << 53)
_FRACTION = _U((1 << 52) - 1)
_TAIL = _U(0x1FF)

#: More digits may not fit a word.
_DIGITS = 19

#: No double needs more digits behind the point.
_MANY = 1_074

#: Powers of ten that are doubles, and those of a part of a word's digits.
_POWERS = np.array([10.0**power for power in range(23)])
_WHOLE_POWERS = np.array([10**power for power in range(9)], np.uint64)

_SMALLEST, _LARGEST = -342, 308


def _wide_powers() -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """Return the first 128 bits of each power of ten, shape (651, 2), the higher half first."""
    table = np.empty((_LARGEST - _SMALLEST + 1, 2), np.uint64)
    for row, power in enumerate(range(_SMALLEST, _LARGEST + 1)):
        bits = 10**power if power >= 0 else (1 << 2048) // 10**-power
        surplus = bits.bit_length() - 128
        bits = bits >> surplus if surplus > 0 else bits << -surplus
        table[row] = bits >> 64, bits & (2**64 - 1)
    return table


_WIDE_POWERS = _wide_powers()


@part
def digits(data, place, number):
    """Append the digits from a place on to a number; return it, and where they end."""
    while True:
        word = word_at(data, place)
        # A digit's upper half is 3, and stays 3 with six more.
        other = ((word & _HIGH_NIBBLES) ^ _ZEROS) | (((word + _SIXES) & _HIGH_NIBBLES) ^ _ZEROS)
        bits = zeros_below(other) & ~7
        if bits == 64:
            number = number * _TEN_TO_8 + _eight(word)
            place += 8
            continue
        if bits:
            number = number * _WHOLE_POWERS[bits >> 3] + _eight(
                (word << _U(64 - bits)) | (_ZEROS >> _U(bits))
            )
            place += bits >> 3
        return number, place


@part
def _eight(word):
    """Return what eight digits add up to: pairs first, then fours."""
    word -= _ZEROS
    word = word * _TEN + (word >> _EIGHT)
    mask = _U(0x0000_00FF_0000_00FF)
    first = (word & mask) * _U(0x000F_4240_0000_0064)
    second = ((word >> _U(16)) & mask) * _U(0x0000_2710_0000_0001)
    return (first + second) >> _HALF


@part
def decimal(data, place):
    """Return a number as JSON writes it, and where it ends; `UNSURE` if that is not sure to be right."""
    negative = byte_at(data, place) == _MINUS
    if negative:
        place += 1
    start = place
    number, place = digits(data, start, _U(0))
    whole = place - start
    leading_zero = byte_at(data, start) == _ZERO
    if whole == 0 or (leading_zero and whole != 1):
        return 0.0, UNSURE
    power, plain = np.int64(0), False
    if byte_at(data, place) == _POINT:
        start = place + 1
        number, place = digits(data, start, number)
        power = start - place
        if power == 0:
            return 0.0, UNSURE
        if leading_zero:  # those after the point do not count either
            while byte_at(data, start) == _ZERO:
                start += 1
            whole = 0
        whole += place - start
    else:
        plain = True
    if whole > _DIGITS:
        return 0.0, UNSURE
    if byte_at(data, place) | _LOWER == _E:
        place += 1
        sign = byte_at(data, place)
        if sign in {_MINUS, _PLUS}:
            place += 1
        start = place
        exponent, place = digits(data, start, _U(0))
        if not 1 <= place - start <= 4:
            return 0.0, UNSURE
        power += -np.int64(exponent) if sign == _MINUS else np.int64(exponent)
        plain = False
    if number == 0:
        # A whole -0 is 0 to some readers, and -0.0 to others.
        return (-0.0 if negative else 0.0), (UNSURE if negative and plain else place)
    while power < 0 and number >= _EXACT and number % _TEN == 0:  # 9456603941271454.0
        number //= _TEN
        power += 1
    if number < _EXACT and -22 <= power <= 22:
        value = float(number)
        value = value / _POWERS[-power] if power < 0 else value * _POWERS[power]
    else:
        value = _nearest(number, power)
        if math.isnan(value):
            return 0.0, UNSURE
    return (-value if negative else value), place


@part
def behind_number(data, place):
    """Return where a number ends as JSON writes it; `UNSURE` of what may be none, or too large for a double."""
    start = place
    if byte_at(data, place) == _MINUS:
        place += 1
    first = place
    _, place = digits(data, first, _U(0))
    if not 1 <= place - first <= _DIGITS or (place - first > 1 and byte_at(data, first) == _ZERO):
        return UNSURE
    if byte_at(data, place) == _POINT:
        first = place + 1
        _, place = digits(data, first, _U(0))
        if not 1 <= place - first <= _MANY:
            return UNSURE
    if byte_at(data, place) | _LOWER == _E:
        return decimal(data, start)[1]
    return place


@part
def _nearest(number, power):
    """Return the double nearest to number * 10 ** power; NaN if the product of 128 bits does not decide it."""
    if power < _SMALLEST or power > _LARGEST:
        return math.nan
    row = power - _SMALLEST
    shift = zeros_above(number)
    number <<= _U(shift)
    high, low = _product(number, _WIDE_POWERS[row, 0])
    if high & _TAIL == _TAIL and low + number < number:
        more_high, more_low = _product(number, _WIDE_POWERS[row, 1])
        middle = low + more_high
        if middle < low:
            high += _ONE
        if high & _TAIL == _TAIL and middle + _ONE == 0 and more_low + number < number:
            return math.nan
        low = middle
    top = high >> _U(63)
    found = high >> (top + _NINTH)
    # 217706 / 2 ** 16 is the logarithm of 10 to the base 2.
    exponent = ((217_706 * power) >> 16) + 64 + 1023 - shift - (1 - np.int64(top))
    if low == 0 and high & _TAIL == 0 and found & _U(3) == _ONE:
        return math.nan  # just between two doubles
    found = (found + (found & _ONE)) >> _ONE
    if found >> _U(53):
        found >>= _ONE
        exponent += 1
    if not 1 <= exponent < 0x7FF:
        return math.nan
    return as_double((_U(exponent) << _U(52)) | (found & _FRACTION))


@part
def _product(a, b):
    """Return the product of two words, the higher word first."""
    a_high, a_low, b_high, b_low = a >> _HALF, a & _LOW_HALF, b >> _HALF, b & _LOW_HALF
    cross, other = a_low * b_high, a_high * b_low
    carry = ((a_low * b_low) >> _HALF) + (cross & _LOW_HALF) + (other & _LOW_HALF)
    return a_high * b_high + (cross >> _HALF) + (other >> _HALF) + (carry >> _HALF), a * b

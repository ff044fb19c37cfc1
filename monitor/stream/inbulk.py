"""Whole record batches read in one pass, column by column: for records that end in our publisher's headers.

aiokafka's compiled parser makes 25 Python objects of a record and its eight headers. What the engine asks of them is the
value, and of the headers the last three; so the places of all fields are found for all records at once, and only what
is asked for is made. Whatever is not as expected leaves the batches to aiokafka, which also knows what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np
from aiokafka import codec
from numpy.lib.stride_tricks import sliding_window_view

from monitor.engine.intake import CONTENT_HEADER, FEWEST_HEADERS
from monitor.engine.records import Numbered, read_varint
from monitor.events import PRODUCER_HEADER, SEQUENCE_HEADER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Bytes = NDArray[np.uint8]

#: How a record batch begins: base offset, length, epoch, magic, checksum, attributes, last offset delta, first and
#: largest time stamp, producer id and epoch, sequence, count.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_MAGIC = 2
_CODEC, _LOG_APPEND_TIME = 0x07, 0x08
_UNPACK: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}

#: Numbers of so many digits may not fit 64 bits.
_DIGITS = 19

#: The bits that say "and more" of the first two bytes of a number.
_TWO_MORE = (128 << 7) + 128

_LAST_THREE = [name.encode() for name in (CONTENT_HEADER, PRODUCER_HEADER, SEQUENCE_HEADER)]


class _UnusualError(Exception):
    """Something is not as our publisher and a broker write it."""


def count_of(data: bytes, place: int) -> int:
    """Return how many records the batch that begins here says that it holds."""
    return int(_HEADER.unpack_from(data, place)[-1])


def read(data: bytes, batches: Sequence[slice]) -> list[Numbered] | None:
    """Return the records of whole batches, in order; None if there is any that is not as expected.

    Parameters
    ----------
    data
        A broker's answer.
    batches
        Where each batch lies in it, from its base offset on; checked against its sum.
    """
    try:
        return _read(data, batches)
    except (_UnusualError, LookupError, ValueError, OverflowError, struct.error):
        return None


def _read(answer: bytes, batches: Sequence[slice]) -> list[Numbered]:
    data, begin, end, offsets, stamps = _records(answer, batches)
    there = np.frombuffer(data, np.uint8)
    _expect(not there[begin].any())  # attributes, which mean nothing yet
    since, place = _varints(there, begin + 1)
    number, place = _varints(there, place)
    size, key = _varints(there, place)
    keys = _few(there, data, key, size)
    size, value = _varints(there, key + size)
    values = _pieces(data, value, size)
    raw = value + size
    count, tail = _varints(there, raw)
    more = count - FEWEST_HEADERS
    _expect(bool(((more == 0) | (more == 1)).all()))
    for _ in range(FEWEST_HEADERS - len(_LAST_THREE)):
        tail = _behind_header(there, tail)
    traced = np.flatnonzero(more)
    tail[traced] = _behind_header(there, tail[traced])
    size, place = _varints(there, _behind_header(there, _behind_header(there, tail)))
    named = place + size
    size, place = _varints(there, named)
    _expect(bool((place + size == end).all()))
    tails = _few(there, data, tail, named - tail)
    said = {one: _said(one) for one in set(tails)}
    sequences = _numbers(there, place, size)
    alike = [False, *(sequences[1:] > sequences[:-1]).tolist()]
    if len(said) > 1 or len(set(keys)) > 1:
        who = list(zip(keys, tails, strict=True))
        alike = [
            larger and one == before
            for larger, one, before in zip(alike, who, [None, *who[:-1]], strict=True)
        ]
    return list(
        map(
            Numbered,
            (offsets + number).tolist(),
            np.where(stamps < 0, -stamps, stamps + since).tolist(),
            keys,
            values,
            _pieces(data, raw, end - raw),
            [said[one][0] for one in tails],
            [said[one][1] for one in tails],
            sequences.tolist(),
            (more == 0).tolist(),
            alike,
        )
    )


def _records(
    answer: bytes, batches: Sequence[slice]
) -> tuple[bytes, Integers, Integers, Integers, Integers]:
    """Return all records' bytes, where each begins and ends, and what its offset and time stamp count from.

    A time stamp below zero is the broker's own, of all records of a batch, with its sign turned.
    """
    heads = [_HEADER.unpack_from(answer, batch.start) for batch in batches]
    _expect(all(magic == _MAGIC for _, _, _, magic, *_ in heads))
    counts, bases = [head[-1] for head in heads], [head[0] for head in heads]
    stamps = [-head[8] if head[5] & _LOG_APPEND_TIME else head[7] for head in heads]
    packings = [head[5] & _CODEC for head in heads]
    spans = [(batch.start + _HEADER.size, batch.stop) for batch in batches]
    data = answer
    if any(packings):
        parts = [
            _unpacked(answer[slice(*span)], how) for span, how in zip(spans, packings, strict=True)
        ]
        ends = list(accumulate(map(len, parts), initial=0))
        data, spans = b"".join(parts), list(pairwise(ends))
    places: list[int] = []
    for (start, stop), count in zip(spans, counts, strict=True):
        place = start
        for _ in range(count):
            places.append(place)
            low = data[place]
            if low < 128:
                place += 1 + (low >> 1)
                continue
            high = data[place + 1]
            if high < 128:
                place += 2 + (((high << 7) + low - 128) >> 1)
            else:
                place += 3 + (((data[place + 2] << 14) + (high << 7) + low - _TWO_MORE) >> 1)
        _expect(place == stop)
    size, begin = _varints(np.frombuffer(data, np.uint8), np.array(places, np.int64))
    # The walk takes no size for more than three bytes, and none for less than nothing.
    _expect(bool((size >= 0).all() and (begin - places <= 3).all()))
    return data, begin, begin + size, np.repeat(bases, counts), np.repeat(stamps, counts)


def _unpacked(data: bytes, how: int) -> bytes:
    try:
        return bytes(_UNPACK[how](data))
    except Exception as error:  # each library has errors of its own
        raise _UnusualError from error


def _varints(there: Bytes, at: Integers) -> tuple[Integers, Integers]:
    """Return the signed numbers that stand at these places, and where each ends."""
    byte = there[at]
    value = byte.astype(np.int64)
    end = at + 1
    longer = np.flatnonzero(byte > 127)
    shift = 7
    while len(longer):
        _expect(shift < 63)
        byte = there[end[longer]]
        # The bit that says "and more" of the byte before is taken off again.
        value[longer] += (byte.astype(np.int64) << shift) - (1 << shift)
        end[longer] += 1
        longer = longer[byte > 127]
        shift += 7
    return (value >> 1) ^ -(value & 1), end


def _behind_header(there: Bytes, at: Integers) -> Integers:
    """Return where a header ends whose name begins at `at`; one that has no value is not ours."""
    size, at = _varints(there, at)
    size, at = _varints(there, at + size)
    _expect(bool((size >= 0).all()))
    return at + size


def _pieces(data: bytes, at: Integers, size: Integers) -> list[bytes]:
    _expect(bool((size >= 0).all()))
    return [data[a:b] for a, b in zip(at.tolist(), (at + size).tolist(), strict=True)]


def _numbers(there: Bytes, at: Integers, size: Integers) -> Integers:
    """Return the numbers that stand there in digits."""
    found = np.empty(len(at), np.int64)
    for length in np.unique(size).tolist():
        _expect(0 < length < _DIGITS)
        which = np.flatnonzero(size == length)
        digits = sliding_window_view(there, length)[at[which]] - np.uint8(ord("0"))
        _expect(bool((digits <= 9).all()))
        found[which] = digits @ 10 ** np.arange(length - 1, -1, -1)
    return found


def _few(there: Bytes, data: bytes, at: Integers, size: Integers) -> list[bytes]:
    """Return pieces that are mostly one and the same."""
    first, length = int(at[0]), int(size[0])
    if length and (size == length).all() and int(at.max()) + length <= len(data):
        rows = sliding_window_view(there, length)[at]
        if (rows == rows[0]).all():
            return [data[first : first + length]] * len(at)
    return _pieces(data, at, size)


def _said(tail: bytes) -> tuple[bytes, bytes]:
    """Return content type and producer from what stands between the other headers and the sequence itself."""
    names: list[bytes] = []
    values: list[bytes] = []
    place = 0
    for _ in range(2):
        for found in (names, values):
            size, place = read_varint(tail, place)
            found.append(tail[place : place + size])
            place += size
    size, place = read_varint(tail, place)
    names.append(tail[place : place + size])
    _expect(names == _LAST_THREE)
    return values[0], values[1]


def _expect(so: bool) -> None:  # noqa: FBT001 - it reads as a sentence
    if not so:
        raise _UnusualError

"""Whole record batches read in one pass: for records that end in our publisher's headers.

aiokafka's compiled parser makes 25 Python objects of a record and its eight headers. What the engine asks of them is where
the value lies, and of the headers the last three; so the places of all fields are found for all records at once, and
nothing is made. Whatever is not as expected leaves the batches to aiokafka, which also knows what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from aiokafka import codec

from monitor.engine.block import Block, Sender
from monitor.engine.intake import CONTENT_HEADER, FEWEST_HEADERS
from monitor.engine.records import read_varint
from monitor.events import PRODUCER_HEADER, SEQUENCE_HEADER
from monitor.kernels import loaded
from monitor.kernels.pieces import PADDING, Pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

#: How a record batch begins: base offset, length, epoch, magic, checksum, attributes, last offset delta, first and
#: largest time stamp, producer id and epoch, sequence, count.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_MAGIC, _MAGIC_AT = 2, 16
_CODEC, _LOG_APPEND_TIME = 0x07, 0x08
_UNPACK: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}

#: Entries of the table of distinct keys and producers in one answer, four for each.
_DISTINCT = 4096

_LAST_THREE = [name.encode() for name in (CONTENT_HEADER, PRODUCER_HEADER, SEQUENCE_HEADER)]


class _UnusualError(Exception):
    """Something is not as our publisher and a broker write it."""


def count_of(data: bytes, place: int) -> int:
    """Return how many records the batch that begins here says that it holds; 0 of one of an old format."""
    return int(_HEADER.unpack_from(data, place)[-1]) if is_present(data, place) else 0


def is_present(data: bytes, place: int) -> bool:
    """Whether the batch that begins here is of the present format: with headers, and a CRC32C for a checksum."""
    return data[place + _MAGIC_AT] == _MAGIC


def read(answer: bytes, batches: Sequence[slice]) -> Block | None:
    """Return the records of whole batches, in order; None if there is any that is not as expected.

    Parameters
    ----------
    answer
        A broker's.
    batches
        Where each batch lies in it, from its base offset on; checked against its sum.
    """
    kernel = loaded("records")
    if kernel is None:
        return None
    try:
        return _read(answer, batches, kernel)
    except (_UnusualError, LookupError, ValueError, OverflowError, struct.error):
        return None


def _read(answer: bytes, batches: Sequence[slice], kernel: Any) -> Block:
    heads = [_HEADER.unpack_from(answer, batch.start) for batch in batches]
    _expect(all(magic == _MAGIC for _, _, _, magic, *_ in heads))
    counts = np.array([head[-1] for head in heads], np.int64)
    _expect(bool((counts >= 0).all()) and 0 < counts.sum() <= len(answer))
    data, spans = _unpacked_all(answer, batches, [head[5] & _CODEC for head in heads])
    places, keys, tails = _places(kernel, data, spans, counts)
    senders, sender = _senders(places[kernel.KEY], places[kernel.LAST], keys, tails)
    bases = np.array([head[0] for head in heads], np.int64)
    return Block(
        np.repeat(bases, counts) + places[kernel.OFFSET],
        _stamps(heads, counts, places[kernel.STAMP]),
        places[kernel.SEQUENCE],
        Pieces(data, places[kernel.VALUE], places[kernel.VALUE_END]),
        Pieces(data, places[kernel.HEADERS], places[kernel.END]),
        places[kernel.MORE] == 0,
        senders,
        sender,
    )


def _places(
    kernel: Any, data: bytes, spans: Integers, counts: Integers
) -> tuple[Integers, dict[int, bytes], dict[int, bytes]]:
    """Return where everything stands in all records, and the distinct keys and tails by number."""
    places = np.empty((kernel.FOUND, int(counts.sum())), np.int64)
    kinds, codes = np.full(_DISTINCT, -1, np.int64), np.zeros(_DISTINCT, np.int64)
    texts, distinct = np.zeros((_DISTINCT, 2), np.int64), np.zeros(2, np.int64)
    done = np.zeros(1, np.int64)
    there = np.frombuffer(data, np.uint8)
    kernel.read(there, spans, counts, FEWEST_HEADERS, places, kinds, texts, codes, distinct, done)
    _expect(bool(done[0]))
    keys, tails = (
        {
            int(codes[entry]): data[slice(*texts[entry].tolist())]
            for entry in np.flatnonzero(kinds == kind).tolist()
        }
        for kind in (0, 1)
    )
    return places, keys, tails


def _senders(
    key: Integers, tail: Integers, keys: Mapping[int, bytes], tails: Mapping[int, bytes]
) -> tuple[list[Sender], Integers]:
    """Return who sent any of the records, and which of those each is from."""
    pairs = key * len(tails) + tail
    present, sender = pairs[:1], np.zeros(len(key), np.int64)
    if len(keys) > 1 or len(tails) > 1:
        present, sender = np.unique(pairs, return_inverse=True)
    which = [divmod(pair, len(tails)) for pair in present.tolist()]
    return [Sender(keys[key_], *_said(tails[tail_])) for key_, tail_ in which], sender


def _stamps(heads: Sequence[tuple[int, ...]], counts: Integers, since: Integers) -> Integers:
    """Return each record's time stamp: its own, or the broker's, of all records of a batch."""
    first, last = (np.array([head[at] for head in heads], np.int64) for at in (7, 8))
    by_broker = np.array([bool(head[5] & _LOG_APPEND_TIME) for head in heads])
    own = np.repeat(first, counts) + since
    return np.where(np.repeat(by_broker, counts), np.repeat(last, counts), own)


def _unpacked_all(
    answer: bytes, batches: Sequence[slice], packings: Sequence[int]
) -> tuple[bytes, Integers]:
    """Return all records' bytes, and where those of each batch lie in them."""
    spans = [(batch.start + _HEADER.size, batch.stop) for batch in batches]
    if any(packings):
        parts = [
            _unpacked(answer[slice(*span)], how) for span, how in zip(spans, packings, strict=True)
        ]
        ends = list(accumulate(map(len, parts), initial=0))
        return b"".join([*parts, PADDING]), np.array(list(pairwise(ends)), np.int64)
    start = batches[0].start
    data = b"".join([memoryview(answer)[start : batches[-1].stop], PADDING])
    return data, np.array(spans, np.int64) - start


def _unpacked(data: bytes, how: int) -> bytes:
    try:
        return bytes(_UNPACK[how](data))
    except Exception as error:  # each library has errors of its own
        raise _UnusualError from error


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

"""How large an Arrow stream becomes once decompressed, read before it is.

Each compressed buffer starts with the length that it claims to have in the end, and Arrow allocates that much. So a
message of a hundred bytes could ask for a terabyte. This walks the metadata (FlatBuffers) as far as needed to add
those lengths up.
"""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa

_MESSAGE_HEADER = 2
_DICTIONARY_DATA = 1
_BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 3
_BUFFER_SIZE = 16

_unpack_i64 = struct.Struct("<q").unpack_from
_unpack_i32 = struct.Struct("<i").unpack_from
_unpack_u32 = struct.Struct("<I").unpack_from
_unpack_u16 = struct.Struct("<H").unpack_from


def survey(source: Any) -> tuple[bytes, int]:
    """Return the stream's schema as written, and the bytes that its compressed buffers say they will take.

    Parameters
    ----------
    source
        A `pyarrow.Buffer` with an Arrow IPC stream.

    Returns
    -------
    tuple
        The size is 0 for a stream that is not compressed.

    Raises
    ------
    ValueError, pyarrow.ArrowException, OSError
        If it is no such stream.
    """
    schema, total = b"", 0
    for message in pa.ipc.MessageReader.open_stream(source):
        if message.type in {"record batch", "dictionary"} and message.body is not None:
            try:
                total += _claimed(message.metadata.to_pybytes(), message.body, message.type)
            except struct.error as error:
                raise ValueError(f"broken metadata: {error}") from error
        elif message.type == "schema":
            schema = message.metadata.to_pybytes()
    return schema, total


def _claimed(metadata: bytes, body: Any, kind: str) -> int:
    batch = _follow(metadata, _root(metadata), _MESSAGE_HEADER)
    if kind == "dictionary" and batch:
        batch = _follow(metadata, batch, _DICTIONARY_DATA)
    if not batch or not _field(metadata, batch, _BATCH_COMPRESSION):
        return 0
    start = _follow(metadata, batch, _BATCH_BUFFERS)
    if not start:
        return 0
    (count,) = _unpack_u32(metadata, start)
    data, total = memoryview(body), 0
    for at in range(start + 4, start + 4 + count * _BUFFER_SIZE, _BUFFER_SIZE):
        (offset,), (length,) = _unpack_i64(metadata, at), _unpack_i64(metadata, at + 8)
        if length >= 8:
            # -1 says: not compressed after all.
            total += max(_unpack_i64(data, offset)[0], length)
    return total


def _root(metadata: bytes) -> int:
    return int(_unpack_u32(metadata, 0)[0])


def _field(metadata: bytes, table: int, index: int) -> int:
    """Return where a table's field stands; 0 if it is absent."""
    vtable = table - _unpack_i32(metadata, table)[0]
    slot = 4 + 2 * index
    if vtable < 0 or slot >= _unpack_u16(metadata, vtable)[0]:
        return 0
    (offset,) = _unpack_u16(metadata, vtable + slot)
    return table + offset if offset else 0


def _follow(metadata: bytes, table: int, index: int) -> int:
    """Return where the table or vector stands that a field points to; 0 if it is absent."""
    at = _field(metadata, table, index)
    return at + _unpack_u32(metadata, at)[0] if at else 0

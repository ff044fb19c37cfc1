"""Which partition a key belongs to: the publishers' partitioner, as Kafka's own producer has it."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a message key, as librdkafka's ``murmur2_random`` has it.

    Examples
    --------
    >>> [partition_of(key, 4) for key in (b"credit/7", b"credit/8")]
    [3, 2]
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions

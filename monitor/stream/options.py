"""What the stream room is told from outside: names, times, and how to reach Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from monitor.engine.records import Engine
from monitor.stream.topics import TopicNames


class KafkaAccess(Protocol):
    """How Kafka is reached; the settings' Kafka section is one."""

    def aiokafka(self) -> dict[str, Any]:
        """Return the arguments that every aiokafka client takes: servers, protocol, TLS, SASL."""


class MakeEngine(Protocol):
    """What builds the engine of one source partition."""

    def __call__(self, partition: int, partitions: int) -> Engine:
        """Return a fresh engine for source partition number `partition` of so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """Settings of one worker.

    Attributes
    ----------
    app
        Consumer group: workers of the same name share the load.
    snapshot_seconds
        What was counted is written at most so much later; when a window closes, at once.
    leave_seconds
        How long a partition that is given up may take to write what it has; past it, the next owner counts again.
    session_seconds, heartbeat_seconds
        A worker that is silent for a session loses its partitions.
    transaction_seconds
        The broker aborts a transaction that is open for longer.
    idle_seconds
        A partition that is silent for so long is idle: its windows move on, by the time it was silent.
    takeover_seconds
        How long taking over partitions may take before the process gives up; under Faust's own 90.
    fetch_records
        Most records that are handed on at a time.
    fetch_bytes
        Most bytes, as they lie on the broker, that one fetch brings of a partition. Up to four fetches of each
        partition are in memory, and four more of all together.
    partitions
        Of the source topic, where the worker has to make it.
    """

    app: str = "monitor"
    topics: TopicNames = field(default_factory=TopicNames)
    snapshot_seconds: float = 2.0
    leave_seconds: float = 5.0
    session_seconds: float = 10.0
    heartbeat_seconds: float = 1.0
    transaction_seconds: float = 30.0
    idle_seconds: float = 30.0
    takeover_seconds: float = 60.0
    fetch_records: int = 10_000
    fetch_bytes: int = 4 << 20
    partitions: int = 4

    def transactional_id(self, partition: int) -> str:
        """Return the name by which the owner of a source partition fences the one before it.

        It names the state topic, not the app: two apps that share state by mistake fence each other, aloud.

        Examples
        --------
        >>> StreamOptions().transactional_id(3)
        'state-predictions-3'
        """
        return f"{self.topics.state}-{self.topics.predictions}-{partition}"

"""How far the prediction log is behind its topic."""

from __future__ import annotations

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from monitor.bootstrap import archived_positions
from monitor.settings import Settings

#: Seconds that the broker may take to answer.
_PATIENCE = 5.0


def archive_lag(settings: Settings, admin: AdminClient, partitions: int) -> int | None:
    """Return how many messages of topic `predictions` are not in the prediction log; None without a log.

    Raises
    ------
    StoreError
        If the log cannot be read.
    KafkaException
        If the broker does not answer.
    """
    topic = settings.topics.names()["predictions"]
    held = archived_positions(settings, partitions)
    if held is None:
        return None
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    ends, begins = (
        {
            place.partition: int(answer.result(timeout=_PATIENCE).offset)
            for place, answer in admin.list_offsets(dict.fromkeys(places, spec)).items()
        }
        for spec in (OffsetSpec.latest(), OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    )
    # From what is held on, or from the first that the topic still has.
    return sum(max(0, ends[n] - max(begins[n], held[n] + 1)) for n in range(partitions))

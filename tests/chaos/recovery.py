"""How long it takes until all is counted that had come in when a fault was over."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from monitor.testing import until
from tests.deployment import Deployment
from tests.traffic import PARTITIONS


@dataclass(slots=True)
class _Mark:
    at: float
    ends: dict[int, int]


class Recovery(threading.Thread):
    """Watches the group's committed offsets, which move with the workers' transactions.

    Attributes
    ----------
    longest
        Seconds from a mark until the offsets had passed all ends of that moment.
    """

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self._topic = deployment.topic("predictions")
        self._consumer = Consumer(
            {
                **deployment.settings.kafka.confluent(),
                "group.id": deployment.settings.stream.app,  # never joined: it only asks
                "enable.auto.commit": False,
            }
        )
        self._marks: list[_Mark] = []
        self._over = threading.Event()

    def mark(self) -> None:
        """A fault is over now."""
        now = time.monotonic()
        self._marks.append(_Mark(now, until(self._ends, what="the broker says where it ends")))

    def end(self) -> float:
        """All is counted by now: the longest recovery, in seconds."""
        self._over.set()
        self.join()
        self._look(over=True)
        self._consumer.close()
        return self.longest

    def run(self) -> None:
        while not self._over.wait(0.2):
            if self._marks:
                self._look()

    def _look(self, *, over: bool = False) -> None:
        try:
            counted = self._counted()
        except KafkaException:  # away, which is the fault
            return
        for mark in list(self._marks):
            # The last offset may be a transaction's end, which is no record.
            if over or all(counted.get(p, 0) >= end - 1 for p, end in mark.ends.items()):
                self.longest = max(self.longest, time.monotonic() - mark.at)
                self._marks.remove(mark)

    def _counted(self) -> dict[int, int]:
        asked = [TopicPartition(self._topic, p) for p in range(PARTITIONS)]
        return {p.partition: p.offset for p in self._consumer.committed(asked, timeout=10)}

    def _ends(self) -> dict[int, int] | None:
        places = [TopicPartition(self._topic, p) for p in range(PARTITIONS)]
        try:
            ends = [self._consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
        except KafkaException:  # one that has just come back leads nothing yet
            return None
        return dict(enumerate(ends))

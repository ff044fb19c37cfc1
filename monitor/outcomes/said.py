"""Labelled reports and verdicts onto the topics that the stream writes: whoever reads those reads these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.publish.confirmed import ConfirmedProducer, Outgoing
from monitor.reports import Report, Verdict, encode


class KafkaSaid:
    """Publishes to the topics of reports and verdicts. Saying a thing twice changes nothing: both have their ids.

    Parameters
    ----------
    kafka
        Configuration by librdkafka's names.
    """

    def __init__(self, kafka: Mapping[str, Any], *, reports: str, verdicts: str) -> None:
        self._reports, self._verdicts = reports, verdicts
        self._producer = ConfirmedProducer(kafka, what="labelled reports")

    def say(self, reports: Sequence[Report], verdicts: Sequence[Verdict]) -> None:
        """Publish, and return when Kafka has confirmed all; errors as of `monitor.outcomes.judge.Said`."""
        said = [Outgoing(self._reports, one.subject.key, encode(one)) for one in reports]
        told = [Outgoing(self._verdicts, one.model.encode(), encode(one)) for one in verdicts]
        self._producer.send([*said, *told])

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()

"""Labelled reports and verdicts onto the topics that the stream writes: whoever reads those reads these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError as BrokerError
from confluent_kafka import KafkaException, Message, Producer

from monitor.errors import KafkaError
from monitor.reports import Report, Verdict, encode

#: Seconds that the broker may take to confirm.
_PATIENCE = 30.0


class KafkaSaid:
    """Publishes to the topics of reports and verdicts. Saying a thing twice changes nothing: both have their ids.

    Parameters
    ----------
    kafka
        Configuration by librdkafka's names.
    """

    def __init__(self, kafka: Mapping[str, Any], *, reports: str, verdicts: str) -> None:
        self._reports, self._verdicts, self._where = reports, verdicts, kafka["bootstrap.servers"]
        self._producer = Producer(
            {
                **kafka,
                "enable.idempotence": True,
                "max.in.flight.requests.per.connection": 1,  # docs/decisions/008
                # As the stream: a model's verdicts lie in the partition that its actor holds.
                "partitioner": "murmur2_random",
                "message.max.bytes": 16 << 20,
                "message.timeout.ms": int(_PATIENCE * 1000),
                "log_level": 3,
            }
        )

    def say(self, reports: Sequence[Report], verdicts: Sequence[Verdict]) -> None:
        """Publish, and return when Kafka has confirmed all; errors as of `monitor.outcomes.judge.Said`."""
        failed: list[BrokerError] = []

        def heard(error: BrokerError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        said = [(self._reports, report.subject.key, report) for report in reports]
        told = [(self._verdicts, verdict.model.encode(), verdict) for verdict in verdicts]
        try:
            for topic, key, value in (*said, *told):
                self._producer.produce(topic, encode(value), key, on_delivery=heard)
            left = self._producer.flush(_PATIENCE + 5)
        except (KafkaException, BufferError) as error:
            raise self._away(error) from error
        if failed or left:
            raise self._away(failed[0].str() if failed else "it did not confirm in time")

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()

    def _away(self, why: object) -> KafkaError:
        return KafkaError(
            f"labelled reports cannot be published: {why}",
            where=self._where,
            fix="Check the address, the credentials, and that the broker runs.",
        )

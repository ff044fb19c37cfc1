"""Publishing from the desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.settings import Settings, reveal

if TYPE_CHECKING:
    from monitor.publish import PredictionPublisher


def open_publisher(settings: Settings) -> PredictionPublisher:
    """Return a publisher for the desk: no spool, since a person is there to try again."""
    from monitor.publish import PredictionPublisher

    kafka, topics = settings.kafka, settings.topics.names()
    paths = {
        name: None if path is None else str(path)
        for name in ("ssl_ca", "ssl_cert", "ssl_key")
        for path in [getattr(kafka, name)]
    }
    return PredictionPublisher(
        kafka.bootstrap,
        topic=topics["predictions"],
        labels_topic=topics["labels"],
        source="/desk",
        security_protocol=kafka.security_protocol,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_username=kafka.sasl_username,
        sasl_password=reveal(kafka.sasl_password),
        **paths,
    )

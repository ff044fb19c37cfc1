"""What a publisher needs to know, from arguments or from the environment."""

from __future__ import annotations

import difflib
import os
import socket
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KAFKA = "MONITOR_KAFKA__"
_PUBLISH = "MONITOR_PUBLISH__"


@dataclass(frozen=True, kw_only=True)
class PublisherSettings:
    """Where to publish, and what to do while Kafka is away.

    Attributes
    ----------
    bootstrap
        ``host:port`` of one or more brokers, with commas between.
    topic, labels_topic
        Where predictions go, and labels.
    source
        Which server answered; by default this machine's name.
    producer_id
        Only with `spool_directory`. Chosen by the publisher if left out, which is best.
    spool_directory
        Where messages wait while Kafka is away. None: they wait in memory only.
    spool_bytes
        Most bytes the spool may take on disk. Beyond it the newest events are dropped, and counted.
    queue_events
        Most messages between `publish` and the background thread; beyond it events are dropped.
    window_events, window_bytes
        Most messages, and bytes, handed to librdkafka and not yet confirmed by Kafka.
    patience_s
        Seconds without an answer from Kafka after which what is unconfirmed is written to the spool.
    linger_ms
        Milliseconds that a message may wait for others to share a request with.
    librdkafka
        More configuration for the client, by librdkafka's own names; it cannot undo idempotence.

    Examples
    --------
    >>> PublisherSettings(bootstrap="kafka:9092").topic
    'predictions'
    """

    bootstrap: str
    topic: str = "predictions"
    labels_topic: str = "labels"
    source: str = field(default_factory=lambda: f"/serving/{socket.gethostname()}")
    producer_id: str | None = None
    spool_directory: str | Path | None = None
    spool_bytes: int = 1024**3
    queue_events: int = 50_000
    window_events: int = 10_000
    window_bytes: int = 64 * 1024**2
    patience_s: float = 2.0
    linger_ms: float = 5.0
    compression: str = "lz4"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None
    librdkafka: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.bootstrap:
            raise SettingsError(
                "no Kafka broker is named",
                where="bootstrap",
                fix=f"Pass bootstrap='host:9092', or set {_KAFKA}BOOTSTRAP.",
            )
        if self.producer_id and self.spool_directory is None:
            raise SettingsError(
                "a chosen producer_id needs a place to keep its sequence: "
                "after a restart its events would look like ones already counted",
                where="producer_id",
                fix="Set spool_directory, or leave producer_id out.",
            )
        for name in ("spool_bytes", "queue_events", "window_events", "window_bytes", "patience_s"):
            if getattr(self, name) <= 0:
                raise SettingsError(
                    f"{getattr(self, name)} is not above 0", where=name, fix="Set more."
                )

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **given: Any
    ) -> PublisherSettings:
        """Read ``MONITOR_KAFKA__*`` and ``MONITOR_PUBLISH__*``; what is given by name goes first.

        A secret may stand in a file: ``MONITOR_KAFKA__SASL_PASSWORD_FILE`` names it.

        Raises
        ------
        SettingsError
            Naming the setting that is unknown, missing or malformed.

        Examples
        --------
        >>> PublisherSettings.from_environment({"MONITOR_KAFKA__BOOTSTRAP": "kafka:9092"}).bootstrap
        'kafka:9092'
        """
        known = {item.name for item in fields(cls)}
        variables = os.environ if environment is None else environment
        _refuse_unknown(given, known)
        _refuse_unknown(
            [name.removesuffix("_FILE") for name in variables if name.startswith(_PUBLISH)],
            {f"{_PUBLISH}{name.upper()}" for name in _PUBLISH_SETTINGS},
        )
        found: dict[str, Any] = {"bootstrap": ""}
        for variable, names in ((_KAFKA, _KAFKA_SETTINGS), (_PUBLISH, _PUBLISH_SETTINGS)):
            for name, kind in names.items():
                text = _look_up(variables, f"{variable}{name.upper()}")
                if text is not None:
                    found[name] = _convert(text, kind, f"{variable}{name.upper()}")
        return cls(**{**found, **{k: v for k, v in given.items() if v is not None}})

    def client(self) -> dict[str, Any]:
        """Return librdkafka's configuration; the last lines are what exactly-once rests on."""
        secrets = {
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.location": self.ssl_ca,
            "ssl.certificate.location": self.ssl_cert,
            "ssl.key.location": self.ssl_key,
        }
        return {
            "client.id": "model-monitor-publisher",
            "compression.type": self.compression,
            "linger.ms": self.linger_ms,
            "reconnect.backoff.max.ms": 2_000,
            "socket.timeout.ms": 10_000,
            "log_level": 2,  # a broker that is away is told by the publisher, once and in plain words
            "log.connection.close": False,
            "security.protocol": self.security_protocol,
            **{name: value for name, value in secrets.items() if value is not None},
            **self.librdkafka,
            "bootstrap.servers": self.bootstrap,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            # Of two on the way a new leader may refuse the first and take the second, and librdkafka then takes both
            # for written: docs/decisions/008.
            "max.in.flight.requests.per.connection": 1,
            "acks": "all",
            # No message gives up by itself: a later one could overtake it. See courier.py.
            "message.timeout.ms": 0,
            "queue.buffering.max.messages": self.window_events + 1,
            "queue.buffering.max.kbytes": max(2 * self.window_bytes // 1024, 4_096),
        }


_KAFKA_SETTINGS: dict[str, type] = dict.fromkeys(
    (
        "bootstrap",
        "security_protocol",
        "sasl_mechanism",
        "sasl_username",
        "sasl_password",
        "ssl_ca",
        "ssl_cert",
        "ssl_key",
    ),
    str,
)
_PUBLISH_SETTINGS: dict[str, type] = {
    "topic": str,
    "labels_topic": str,
    "source": str,
    "producer_id": str,
    "spool_directory": str,
    "spool_bytes": int,
    "queue_events": int,
    "patience_s": float,
}


def _refuse_unknown(names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            nearest = difflib.get_close_matches(name, sorted(known), n=1)
            raise SettingsError(
                "there is no such setting",
                where=name,
                fix=f"Did you mean {nearest[0]}?" if nearest else None,
            )


def _look_up(variables: Mapping[str, str], name: str) -> str | None:
    if name in variables:
        return variables[name]
    path = variables.get(f"{name}_FILE")
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"the file {path} cannot be read ({error.strerror})",
            where=f"{name}_FILE",
            fix="Name a file that this process may read.",
        ) from error


def _convert(text: str, kind: type, name: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError(
            f"{text!r} is not a number", where=name, fix="Write digits only."
        ) from error

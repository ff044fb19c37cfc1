"""The tree of settings, and what each means."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)

from monitor.errors import SettingsError
from monitor.settings.section import Section, reveal
from monitor.settings.web import Web


class Kafka(Section):
    """How Kafka is reached."""

    bootstrap: str = Field(default="localhost:9092", min_length=1)
    """``host:port`` of one or more brokers, with commas between."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether the way to the broker is encrypted, and who asks for a password."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How the password is proved; only with a SASL protocol."""
    sasl_username: str | None = None
    """User; only with a SASL protocol."""
    sasl_password: SecretStr | None = None
    """Password; only with a SASL protocol."""
    ssl_ca: Path | None = None
    """PEM file of the authorities that sign brokers; the system's own by default."""
    ssl_cert: Path | None = None
    """PEM file of this client's certificate, where the broker asks for one."""
    ssl_key: Path | None = None
    """PEM file of that certificate's key."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        sasl = ("sasl_mechanism", "sasl_username", "sasl_password")
        if self.security_protocol.startswith("SASL"):
            missing = [name for name in sasl if getattr(self, name) is None]
            if missing:
                raise ValueError(f"{self.security_protocol} also needs {', '.join(missing)}")
        if (self.ssl_cert is None) != (self.ssl_key is None):
            raise ValueError("ssl_cert and ssl_key go together")
        return self

    def confluent(self) -> dict[str, Any]:
        """Return the configuration for confluent-kafka, by librdkafka's names.

        Examples
        --------
        >>> Kafka(bootstrap="kafka:9092").confluent()
        {'bootstrap.servers': 'kafka:9092', 'security.protocol': 'PLAINTEXT'}
        """
        given = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": reveal(self.sasl_password),
            "ssl.ca.location": self.ssl_ca,
            "ssl.certificate.location": self.ssl_cert,
            "ssl.key.location": self.ssl_key,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    def aiokafka(self) -> dict[str, Any]:
        """Return the keyword arguments that every aiokafka client takes.

        Raises
        ------
        SettingsError
            When a certificate or key cannot be read.
        """
        given: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            given |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": reveal(self.sasl_password),
            }
        if self.security_protocol.endswith("SSL"):
            given["ssl_context"] = self._ssl_context()
        return given

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca)
            if self.ssl_cert is not None:
                context.load_cert_chain(self.ssl_cert, self.ssl_key)
        except OSError as error:  # ssl.SSLError is one
            files = ", ".join(str(f) for f in (self.ssl_ca, self.ssl_cert, self.ssl_key) if f)
            raise SettingsError(
                f"the certificates cannot be read: {error}",
                where=f"kafka.ssl_* ({files})",
                fix="Name PEM files that this process may read.",
            ) from error
        return context


class Topics(Section):
    """What the topics are called."""

    prefix: str = Field(default="", pattern=r"^[a-zA-Z0-9._-]*$")
    """Put before each name, for many deployments on one broker."""
    predictions: str = "predictions"
    """What the models answered: written by serving code."""
    labels: str = "labels"
    """What turned out to be true."""
    state: str = "state"
    """Open windows and positions; compacted, with as many partitions as ``predictions``."""
    reports: str = "reports"
    """What was measured, a report for each window and revision."""
    verdicts: str = "verdicts"
    """What the policy makes of it."""
    decisions: str = "decisions"
    """What was done; kept for ever."""
    dead_letters: str = "dead-letters"
    """What could not be counted, with the reason."""

    def names(self) -> dict[str, str]:
        """Return each topic's full name, by what it holds.

        Examples
        --------
        >>> Topics(prefix="eu-").names()["dead_letters"]
        'eu-dead-letters'
        """
        return {k: f"{self.prefix}{name}" for k, name in self if k != "prefix"}


class Stream(Section):
    """How a worker counts."""

    app: str = Field(default="monitor", min_length=1)
    """Consumer group: workers of one name share the load."""
    partitions: PositiveInt = 4
    """Of the topic ``predictions`` where the worker has to make it."""
    fetch_records: PositiveInt = 10_000
    """Most records handed on at a time."""
    fetch_bytes: PositiveInt = 4 << 20
    """Most bytes of a partition in one fetch; four such are in memory for each partition."""
    snapshot_seconds: PositiveFloat = 2.0
    """What was counted is written at most so much later."""
    leave_seconds: PositiveFloat = 5.0
    """How long giving up a partition may take."""
    session_seconds: PositiveFloat = 10.0
    """A worker that is silent for so long loses its partitions."""
    idle_seconds: PositiveFloat = 30.0
    """With nothing more to read for so long, open windows move on towards their closing."""
    max_skew_seconds: NonNegativeFloat = 300.0
    """An event from further in the future than this, against its arrival, goes to the dead letters."""
    unregistered_versions: PositiveInt = 200
    """Most versions without a baseline that a partition counts; records of more go to the dead letters."""


class Registry(Section):
    """Where the models are."""

    uri: str = Field(default="http://localhost:5000", min_length=1)
    """MLflow tracking and registry address."""


class Influx(Section):
    """How InfluxDB 2 is reached; only for ``store.kind: influx``."""

    url: str = "http://localhost:8086"
    """Address."""
    org: str = "monitor"
    """Organisation."""
    bucket: str = "monitor"
    """Bucket; it must be there."""
    token: SecretStr | None = None
    """Token that may write and read the bucket."""


class Store(Section):
    """Where reports and decisions are kept for reading."""

    kind: Literal["sqlite", "influx"] = "sqlite"
    """The embedded store, or InfluxDB for Grafana."""
    path: Path = Path("monitor.db")
    """File of the embedded store."""
    influx: Influx = Influx()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "influx" and self.influx.token is None:
            raise ValueError("kind influx also needs influx.token")
        return self


class Notify(Section):
    """Who is told. Without a secret, nobody is told that way."""

    slack_webhook: SecretStr | None = None
    """Address of a Slack incoming webhook."""
    slack_token: SecretStr | None = None
    """Token of a Slack bot that may ``chat:write``: it answers in threads, which a webhook cannot. With `slack_channel`."""
    slack_channel: str | None = None
    """Id of the channel that the bot writes to, such as ``C0123456789``."""
    pagerduty_key: SecretStr | None = None
    """Integration key of a PagerDuty service (Events v2)."""
    pagerduty_url: str = Field(
        default="https://events.pagerduty.com/v2/enqueue", pattern="^https?://"
    )
    """Where PagerDuty takes events; in its EU region ``https://events.eu.pagerduty.com/v2/enqueue``."""
    webhook_url: SecretStr | None = None
    """Address that gets each notice as signed JSON: a retraining pipeline, a ticket system."""
    webhook_secret: SecretStr | None = None
    """Key of that signature, such as ``openssl rand -base64 32`` gives. Needed with `webhook_url`."""
    grafana_url: str | None = None
    """Address of Grafana, for links in notices, such as ``https://grafana.example.org``."""
    runbook_url: str | None = None
    """Address of the runbook, for links in notices; the section is added as ``#monitor-rollback``."""
    log_url: str | None = None
    """Address that answers for the prediction log, for links in notices; ``?model=...&version=...`` is added."""
    outbox: Path = Path("notices.db")
    """File of the messages that wait to be delivered."""

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        for one, other in (("slack_token", "slack_channel"), ("webhook_url", "webhook_secret")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one} and {other} go together")
        return self


class Audit(Section):
    """Where the record of decisions is kept."""

    path: Path = Path("audit.jsonl")
    """File; each line holds the hash of the one before."""


class Log(Section):
    """Where the prediction log is, and its keys."""

    path: str = Field(default="prediction-log", min_length=1)
    """A directory, or an object store's address such as ``s3://bucket/predictions``."""
    storage: dict[str, str] = Field(default={})
    """Settings of the object store, by Delta's names; in the environment as one JSON object. Credentials: its own."""
    keys: Path | None = None
    """Directory of the wrapped keys, on a disk that every archiver shares; ``PATH.keys`` for a local log."""
    master_key: SecretStr | None = None
    """Wraps the keys of protected attributes and pseudonyms: 32 bytes in base64."""
    previous_master_key: SecretStr | None = None
    """The one before, until ``monitor log rotate`` is through."""
    batch_rows: PositiveInt = 100_000
    """A commit has about so many rows at most."""
    batch_seconds: PositiveFloat = 10.0
    """What was read is written at most so much later."""
    judge_seconds: PositiveFloat = 30.0
    """How often ``monitor labels judge`` looks for new labels."""
    label_patience_seconds: PositiveFloat = 604_800.0
    """A label whose prediction is still unknown after so long (a week) is reported as never matched."""

    @field_validator("storage", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @property
    def labels(self) -> str:
        """Address of the labels' table, beside that of predictions.

        Examples
        --------
        >>> Log(path="s3://bucket/predictions/").labels
        's3://bucket/predictions.labels'
        """
        return f"{self.path.rstrip('/')}.labels"

    @property
    def key_directory(self) -> Path:
        """The directory of the wrapped keys.

        Raises
        ------
        SettingsError
            If the log is in an object store, and no directory is named.

        Examples
        --------
        >>> Log().key_directory
        PosixPath('prediction-log.keys')
        """
        if self.keys is not None:
            return self.keys
        if "://" in self.path:
            raise SettingsError(
                "a log in an object store needs a directory for its keys",
                where="log.keys",
                fix="Name one on a disk that every archiver shares.",
            )
        return Path(f"{self.path.rstrip('/')}.keys")


class Health(Section):
    """Where each process says how it is: `/metrics`, `/livez`, `/readyz`."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on; 0.0.0.0 where a container's or a cluster's probes ask from outside."""
    port: int = Field(default=9464, ge=0, le=65535)
    """Port; where it is taken, any free one, which the log names. 0 is any free one."""
    seconds: PositiveFloat = 15.0
    """How often the same series are written to InfluxDB, where that is the store."""


class PolicyFile(Section):
    """Where the policy is."""

    path: Path = Path("policy.yaml")
    """YAML file; without one, and without this setting, the defaults hold."""


class Settings(Section):
    """All settings of one deployment."""

    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    stream: Stream = Stream()
    registry: Registry = Registry()
    store: Store = Store()
    notify: Notify = Notify()
    audit: Audit = Audit()
    health: Health = Health()
    log: Log = Log()
    web: Web = Web()
    policy: PolicyFile = PolicyFile()

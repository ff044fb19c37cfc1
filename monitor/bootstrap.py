"""The one place that joins the rooms: from settings to parts that work together."""

from __future__ import annotations

import asyncio
import datetime as dt
import getpass
import math
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import structlog

from monitor.errors import NoticeError, PolicyError, SettingsError
from monitor.policy.load import parse_policy
from monitor.policy.model import Policy
from monitor.settings import Settings, reveal

if TYPE_CHECKING:
    import threading

    from monitor.actions.outbox import Channel, Outbox
    from monitor.actions.ports import DecisionLog
    from monitor.actions.service import ActingTopics
    from monitor.engine.partition import PartitionEngine
    from monitor.health import Health
    from monitor.outcomes.judge import LabelJudge
    from monitor.predictionlog.joined import LabelledLog
    from monitor.predictionlog.keys import KeyRing
    from monitor.predictionlog.log import PredictionLog
    from monitor.predictionlog.replayed import LoggedRecord
    from monitor.predictionlog.table import PredictionTable
    from monitor.publish import PredictionPublisher
    from monitor.registry.mlflow_registry import Registry
    from monitor.stores.influx import InfluxStore
    from monitor.stores.protocol import ReportStore
    from monitor.stream import StreamOptions

log_ = structlog.get_logger(__name__)

#: Seconds that a person waits for a broker.
_PERSONS_PATIENCE = 10.0


def load_policy(settings: Settings) -> Policy:
    """Return the deployment's policy; the defaults if no file was named and there is none.

    Raises
    ------
    PolicyError
        If the file cannot be read, or does not say what a policy may say.
    """
    path = settings.policy.path
    if not path.exists() and "path" not in settings.policy.model_fields_set:
        return Policy()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(
            f"the policy cannot be read: {error}",
            where=str(path),
            fix="Check MONITOR_POLICY__PATH.",
        ) from error
    return parse_policy(text, where=str(path))


def open_registry(settings: Settings) -> Registry:
    """Return the model registry."""
    from monitor.registry.mlflow_registry import Registry

    return Registry(settings.registry.uri)


def open_store(settings: Settings) -> ReportStore:
    """Return the store of reports and decisions.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """
    if settings.store.kind == "sqlite":
        from monitor.stores.sqlite import SqliteStore

        return SqliteStore(settings.store.path)
    return _influx(settings)


def _influx(settings: Settings) -> InfluxStore:
    from monitor.stores.influx import InfluxStore

    influx = settings.store.influx
    return InfluxStore(
        url=influx.url, org=influx.org, bucket=influx.bucket, token=reveal(influx.token) or ""
    )


def make_engine(
    settings: Settings, policy: Policy, partition: int, partitions: int
) -> PartitionEngine:
    """Return a fresh engine of one source partition."""
    from monitor.engine.partition import PartitionEngine, Place
    from monitor.plugins import load_metrics, report_fault
    from monitor.stream.partitioner import partition_of

    topic = settings.topics.names()["predictions"]
    place = Place(topic, partition, lambda key: partition_of(key, partitions))
    stream = settings.stream
    return PartitionEngine(
        place,
        policy,
        max_skew=stream.max_skew_seconds,
        silence=stream.idle_seconds,
        unregistered=stream.unregistered_versions,
        others=load_metrics(on_fault=report_fault),
    )


@contextmanager
def shown_health(settings: Settings) -> Iterator[Health]:
    """Return this process's health, shown over HTTP, and in InfluxDB where that is the store.

    Raises
    ------
    SettingsError
        If nobody can listen at the address.
    """
    from monitor.health import Health, HealthServer
    from monitor.stores.health import HealthWriter

    health, shown = Health(), settings.health
    with ExitStack() as stack:
        server = stack.enter_context(HealthServer(health, shown.host, shown.port))
        log_.info("health is shown", at=server.address)
        if settings.store.kind == "influx":
            writer = HealthWriter(health, _influx(settings), seconds=shown.seconds)
            stack.enter_context(writer)
        yield health


def run_stream(settings: Settings, health: Health) -> int:
    """Count, judge and publish until asked to stop; return the process's exit status."""
    from monitor.stream import run_worker

    policy = load_policy(settings)
    # Loads what engines need, pandas and plug-ins, before there are threads and heartbeats.
    make_engine(settings, policy, 0, 1)
    return run_worker(
        settings.kafka,
        _stream_options(settings),
        lambda partition, partitions: make_engine(settings, policy, partition, partitions),
        open_registry(settings),
        health,
    )


def make_topics(settings: Settings) -> None:
    """Make the topics that are missing.

    Raises
    ------
    KafkaError
        If the broker does not answer, or refuses, naming the setting to mend.
    """
    from monitor.brokers import reach
    from monitor.stream import ensure_topics

    reach(settings.kafka.confluent())
    options = _stream_options(settings)
    asyncio.run(ensure_topics(settings.kafka, options.topics, partitions=options.partitions))


def run_actor(settings: Settings, stop: threading.Event, health: Health) -> None:
    """Act on verdicts, and tell people, until `stop` is set."""
    from monitor.actions.audit import AuditRecord
    from monitor.actions.links import Places
    from monitor.actions.service import ActingService

    notify = settings.notify
    outbox = _outbox(settings)
    outbox.start()
    health.notices_waiting.set_function(lambda: _waiting(outbox))
    try:
        ActingService(
            settings.kafka.confluent(),
            _acting_topics(settings),
            open_registry(settings),
            load_policy(settings),
            outbox,
            AuditRecord(settings.audit.path).add,
            session_seconds=settings.stream.session_seconds,
            places=Places(notify.grafana_url, notify.runbook_url, notify.log_url),
            health=health,
        ).run(stop)
    finally:
        outbox.close()


def _waiting(outbox: Outbox) -> float:
    try:
        return outbox.backlog
    except NoticeError:  # its file cannot be read: the outbox says so itself
        return math.nan


def run_sink(settings: Settings, stop: threading.Event, health: Health) -> None:
    """Copy reports and decisions into the store until `stop` is set."""
    from monitor.stores.sink import Sink

    topics = settings.topics.names()
    store = open_store(settings)
    try:
        Sink(
            store,
            settings.kafka.confluent(),
            app=settings.stream.app,
            reports=topics["reports"],
            decisions=topics["decisions"],
            health=health,
        ).run(stop)
    finally:
        store.close()


@contextmanager
def open_decision_log(settings: Settings) -> Iterator[DecisionLog]:
    """Return the log of decisions, for a person's own: it fences nobody."""
    from monitor.actions.audit import AuditRecord
    from monitor.actions.log import DecisionReader, KafkaDecisionLog

    topic = settings.topics.names()["decisions"]
    kafka = settings.kafka.confluent()
    record = AuditRecord(settings.audit.path).add
    reader = DecisionReader(kafka, topic, record, patience=_PERSONS_PATIENCE)
    log = KafkaDecisionLog(kafka, topic, f"{topic}-by-hand-{uuid.uuid4().hex}", reader)
    try:
        yield log
    finally:
        reader.close()


def run_archiver(settings: Settings, stop: threading.Event, health: Health) -> None:
    """Write predictions into the prediction log until `stop` is set.

    Raises
    ------
    SettingsError
        If there is no master key.
    """
    from monitor.brokers import reach
    from monitor.predictionlog.archiver import Archiver, BatchSize, together
    from monitor.predictionlog.labels import LabelRows
    from monitor.predictionlog.rows import Rows

    policy, log, keys = load_policy(settings), settings.log, _key_ring(settings)
    topics, size = (
        settings.topics.names(),
        BatchSize(rows=log.batch_rows, seconds=log.batch_seconds),
    )
    if keys is None:
        raise SettingsError(
            "the prediction log needs a master key",
            where="log.master_key",
            fix="Make one with `openssl rand -base64 32`, and name its file by MONITOR_LOG__MASTER_KEY_FILE.",
        )
    rows = Rows(
        keys,
        lambda model: policy.of(model).protected_features.keys(),
        max_skew=settings.stream.max_skew_seconds,
    )
    app, seconds = settings.stream.app, settings.stream.session_seconds
    kafka = settings.kafka.confluent()
    reach(kafka)
    predictions = Archiver(
        _prediction_table(settings),
        rows,
        kafka,
        app=app,
        topic=topics["predictions"],
        size=size,
        session_seconds=seconds,
        health=health,
    )
    labels = Archiver(
        _label_table(settings),
        LabelRows(),
        kafka,
        app=f"{app}-labels",
        topic=topics["labels"],
        size=size,
        session_seconds=seconds,
        health=health,
        part="labels",
    )
    together([predictions.run, labels.run], stop)


def read_logged(
    settings: Settings, model: str, since: dt.datetime, until: dt.datetime | None
) -> Iterator[LoggedRecord]:
    """Return a model's events from the log, protected attributes opened; the question goes on the record first.

    Raises
    ------
    SettingsError
        If there is no master key: groups are sealed in the log.
    """
    from monitor.actions.audit import AuditRecord
    from monitor.predictionlog.replayed import logged_records

    keys = _needed_keys(settings)
    now = dt.datetime.now(dt.UTC)
    until = until or now
    asked = {"model": model, "since": since.isoformat(), "until": until.isoformat()}
    said = {"kind": "log_replay", "actor": getpass.getuser(), "filter": asked, "protected": True}
    AuditRecord(settings.audit.path).write(now.timestamp(), said)
    return logged_records(_prediction_table(settings), keys, model, since, until)


def open_labelled_log(settings: Settings) -> LabelledLog:
    """Return the log with its labels; errors as of `read_logged`."""
    from monitor.predictionlog.joined import LabelledLog

    keys = _needed_keys(settings)
    return LabelledLog(_prediction_table(settings), _label_table(settings), keys)


def _needed_keys(settings: Settings) -> KeyRing:
    keys = _key_ring(settings)
    if keys is None:
        raise SettingsError(
            "this needs the master key: groups are sealed in the log",
            where="log.master_key",
            fix="Set MONITOR_LOG__MASTER_KEY_FILE as for `monitor archive`.",
        )
    return keys


def open_label_judge(settings: Settings) -> LabelJudge:
    """Return the judge of windows by their labels.

    Raises
    ------
    SettingsError
        If there is no master key: groups are sealed in the log.
    """
    from monitor.outcomes.judge import LabelJudge
    from monitor.outcomes.said import KafkaSaid

    topics = settings.topics.names()
    said = KafkaSaid(
        settings.kafka.confluent(), reports=topics["reports"], verdicts=topics["verdicts"]
    )
    return LabelJudge(
        open_labelled_log(settings),
        open_store(settings),
        open_registry(settings),
        load_policy(settings),
        said,
        patience=settings.log.label_patience_seconds,
        now=time.time,
    )


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


def archived_positions(settings: Settings, partitions: int) -> list[int] | None:
    """Return the last offset of each source partition in the prediction log, -1 for none; None without a log.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    table = _prediction_table(settings)
    if not table.exists():
        return None
    topic = settings.topics.names()["predictions"]
    sources = [f"{topic}-{partition}" for partition in range(partitions)]
    held = table.positions(sources)
    return [-1 if (offset := held[source]) is None else offset for source in sources]


def open_prediction_log(settings: Settings, actor: str) -> PredictionLog:
    """Return the prediction log, each use of which goes on the record.

    Without a master key it is a reader's: no subjects, no protected attributes.
    """
    from monitor.actions.audit import AuditRecord
    from monitor.predictionlog.log import PredictionLog

    return PredictionLog(
        _prediction_table(settings),
        _key_ring(settings),
        AuditRecord(settings.audit.path).write,
        actor=actor,
        now=time.time,
    )


def _prediction_table(settings: Settings) -> PredictionTable:
    from monitor.predictionlog.table import PredictionTable

    return PredictionTable(settings.log.path, settings.log.storage)


def _label_table(settings: Settings) -> PredictionTable:
    from monitor.predictionlog.labels import LABELS
    from monitor.predictionlog.table import PredictionTable

    return PredictionTable(settings.log.labels, settings.log.storage, layout=LABELS)


def _key_ring(settings: Settings) -> KeyRing | None:
    from monitor.predictionlog.keys import KeyRing, MasterKey

    log = settings.log
    master, previous = reveal(log.master_key), reveal(log.previous_master_key)
    if master is None:
        return None
    return KeyRing(
        log.key_directory, MasterKey(master), None if previous is None else MasterKey(previous)
    )


def _stream_options(settings: Settings) -> StreamOptions:
    from monitor.stream import StreamOptions, TopicNames

    stream = settings.stream
    return StreamOptions(
        app=stream.app,
        topics=TopicNames(**settings.topics.names()),
        partitions=stream.partitions,
        snapshot_seconds=stream.snapshot_seconds,
        leave_seconds=stream.leave_seconds,
        session_seconds=stream.session_seconds,
        idle_seconds=stream.idle_seconds,
        fetch_records=stream.fetch_records,
        fetch_bytes=stream.fetch_bytes,
    )


def _acting_topics(settings: Settings) -> ActingTopics:
    from monitor.actions.service import ActingTopics

    topics = settings.topics.names()
    return ActingTopics(topics["verdicts"], topics["decisions"])


def _outbox(settings: Settings) -> Outbox:
    from monitor.actions.audit import AuditRecord
    from monitor.actions.outbox import Outbox
    from monitor.actions.slack import Slack, SlackBot
    from monitor.actions.threads import ThreadFile
    from monitor.actions.webhook import Webhook

    notify = settings.notify
    channels: dict[str, Channel] = {}
    if notify.slack_token is not None and notify.slack_channel is not None:
        threads = ThreadFile(notify.outbox)
        channels["slack"] = SlackBot(notify.slack_token, notify.slack_channel, threads)
    elif notify.slack_webhook is not None:
        channels["slack"] = Slack(notify.slack_webhook)
    if (pager := open_pager(settings)) is not None:
        channels["pagerduty"] = pager
    if notify.webhook_url is not None and notify.webhook_secret is not None:
        record = AuditRecord(settings.audit.path).write
        channels["webhook"] = Webhook(
            notify.webhook_url, notify.webhook_secret, record, now=time.time
        )
    return Outbox(notify.outbox, channels, now=time.time)


def open_pager(settings: Settings) -> Channel | None:
    """Return who is woken; None if nobody is to be."""
    from monitor.actions.pagerduty import PagerDuty

    key = settings.notify.pagerduty_key
    return None if key is None else PagerDuty(key, url=settings.notify.pagerduty_url)

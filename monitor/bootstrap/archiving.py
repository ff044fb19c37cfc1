"""The prediction log: written, asked, read again, and joined with labels."""

from __future__ import annotations

import datetime as dt
import getpass
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from monitor.bootstrap.shared import load_kernels, load_policy, open_registry, open_store
from monitor.errors import SettingsError
from monitor.settings import Settings, reveal

if TYPE_CHECKING:
    import threading

    from monitor.health import Health
    from monitor.outcomes.judge import LabelJudge
    from monitor.predictionlog.joined import LabelledLog
    from monitor.predictionlog.keys import KeyRing
    from monitor.predictionlog.log import PredictionLog
    from monitor.predictionlog.replayed import LoggedRecord
    from monitor.predictionlog.table import PredictionTable


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
    from monitor.predictionlog.letters import DeadLetters
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
    confluent, kafka = settings.kafka.confluent(), settings.kafka.aiokafka()
    reach(confluent)
    letters = DeadLetters(confluent, topics["dead_letters"])
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
        letters=letters.send,
    )
    load_kernels()
    try:
        together([predictions.run, labels.run], stop)
    finally:
        letters.close()


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
        labels=_label_table(settings),
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


@contextmanager
def open_label_judge(settings: Settings, health: Health | None = None) -> Iterator[LabelJudge]:
    """Give the judge of windows by their labels; at the end its broker and store are let go.

    Parameters
    ----------
    health
        Told what it waits for.

    Raises
    ------
    SettingsError
        If there is no master key: groups are sealed in the log.
    """
    from monitor.outcomes.judge import LabelJudge
    from monitor.outcomes.said import KafkaSaid

    topics = settings.topics.names()
    labelled = open_labelled_log(settings)
    with ExitStack() as opened:
        said = KafkaSaid(
            settings.kafka.confluent(), reports=topics["reports"], verdicts=topics["verdicts"]
        )
        opened.callback(said.close)
        store = open_store(settings)
        opened.callback(store.close)
        yield LabelJudge(
            labelled,
            store,
            open_registry(settings),
            load_policy(settings),
            said,
            patience=settings.log.label_patience_seconds,
            now=time.time,
            pulse=None if health is None else health.pulse("judge"),
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


def _needed_keys(settings: Settings) -> KeyRing:
    keys = _key_ring(settings)
    if keys is None:
        raise SettingsError(
            "this needs the master key: groups are sealed in the log",
            where="log.master_key",
            fix="Set MONITOR_LOG__MASTER_KEY_FILE as for `monitor archive`.",
        )
    return keys

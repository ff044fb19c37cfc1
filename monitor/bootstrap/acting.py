"""Acting on verdicts, telling people, and copying what was said into the store."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from monitor.bootstrap.shared import load_policy, open_registry, open_store
from monitor.errors import NoticeError
from monitor.settings import Settings

if TYPE_CHECKING:
    import threading

    from monitor.actions.outbox import Channel, Outbox
    from monitor.actions.ports import DecisionLog
    from monitor.actions.service import ActingTopics
    from monitor.health import Health

#: Seconds that a person waits for a broker.
_PERSONS_PATIENCE = 10.0


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


def open_pager(settings: Settings) -> Channel | None:
    """Return who is woken; None if nobody is to be."""
    from monitor.actions.pagerduty import PagerDuty

    key = settings.notify.pagerduty_key
    return None if key is None else PagerDuty(key, url=settings.notify.pagerduty_url)


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


def _waiting(outbox: Outbox) -> float:
    try:
        return outbox.backlog
    except NoticeError:  # its file cannot be read: the outbox says so itself
        return math.nan


def _acting_topics(settings: Settings) -> ActingTopics:
    from monitor.actions.service import ActingTopics

    topics = settings.topics.names()
    return ActingTopics(topics["verdicts"], topics["decisions"])

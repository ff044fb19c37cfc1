"""Whether the parts of a deployment are there, and fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from msgspec import Struct

from monitor.bootstrap import load_policy, open_registry, open_store
from monitor.brokers import reach
from monitor.desk.lag import archive_lag
from monitor.errors import KafkaError, MonitorError, without_credentials
from monitor.settings import Settings
from monitor.stream.topics import TopicNames, topic_configs

#: A question that costs the registry nothing.
_NO_MODEL = "monitor-doctor"

#: Seconds that a server may take to answer.
_PATIENCE = 5.0


class Check(Struct, frozen=True):
    """One thing looked at: `result` is ok, warn or fail; `fix` says what to do."""

    name: str
    result: Literal["ok", "warn", "fail"]
    sentence: str
    fix: str = ""


def examine(settings: Settings) -> list[Check]:
    """Look at every part, and let none that fails keep the others from being looked at."""
    return [
        *_kafka(settings),
        _registry(settings),
        _store(settings),
        _policy(settings),
        _notices(settings),
    ]


def _kafka(settings: Settings) -> Iterator[Check]:
    where = settings.kafka.bootstrap
    try:
        reach(settings.kafka.confluent(), seconds=_PATIENCE)
        admin = AdminClient({**settings.kafka.confluent(), "log_level": 0})
        metadata = admin.list_topics(timeout=_PATIENCE)
    except KafkaError as error:
        yield Check("kafka", "fail", f"{error.what}, at {where}", error.fix or "")
        return
    except KafkaException as error:
        yield Check("kafka", "fail", f"{where}: {error.args[0].str()}", "See the broker's log.")
        return
    yield Check("kafka", "ok", f"{len(metadata.brokers)} broker(s) at {where}")
    names = settings.topics.names()
    missing = [
        name for what, name in names.items() if what != "labels" and name not in metadata.topics
    ]
    if missing:
        yield Check(
            "topics",
            "warn",
            f"not there yet: {', '.join(missing)}",
            "`monitor run` makes them, if it may; else make them as docs/deploy.md says.",
        )
        return
    counts = {
        what: len(metadata.topics[names[what]].partitions) for what in ("predictions", "state")
    }
    if counts["predictions"] != counts["state"]:
        yield Check(
            "topics",
            "fail",
            f"{names['predictions']} has {counts['predictions']} partitions, {names['state']} has {counts['state']}",
            "Partition n of the state belongs to partition n of the predictions: give both the same count.",
        )
    else:
        yield Check("topics", "ok", f"all there; {counts['predictions']} source partitions")
    yield _arrival(admin, names["predictions"])
    yield _record_sizes(admin, topic_configs(TopicNames(**names)))
    if settings.log.master_key is not None:
        yield _archive(settings, admin, counts["predictions"])


def _arrival(admin: AdminClient, topic: str) -> Check:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        config = admin.describe_configs([resource])[resource].result(timeout=_PATIENCE)
    except KafkaException as error:
        return Check("arrival time", "warn", f"cannot be read: {error.args[0].str()}")
    kind = config["message.timestamp.type"].value
    if kind == "LogAppendTime":
        return Check("arrival time", "ok", "is the broker's")
    return Check(
        "arrival time",
        "warn",
        f"of {topic} is the producers' clocks ({kind})",
        f"Set message.timestamp.type=LogAppendTime on {topic}: then a replay decides as the first run did.",
    )


def _record_sizes(admin: AdminClient, wanted: Mapping[str, Mapping[str, str]]) -> Check:
    least = {t: int(c["max.message.bytes"]) for t, c in wanted.items() if "max.message.bytes" in c}
    try:
        answers = admin.describe_configs([ConfigResource(ResourceType.TOPIC, t) for t in least])
        found = {
            asked.name: int(answer.result(timeout=_PATIENCE)["max.message.bytes"].value)
            for asked, answer in answers.items()
        }
    except KafkaException as error:
        return Check(
            "record sizes",
            "warn",
            f"cannot be read: {error.args[0].str()}",
            "Let this user describe the topics' configuration.",
        )
    small = [topic for topic, size in found.items() if size < least[topic]]
    if not small:
        return Check("record sizes", "ok", "each topic takes the largest record it may be sent")
    return Check(
        "record sizes",
        "warn",
        f"too small a max.message.bytes: {', '.join(f'{topic} ({found[topic]})' for topic in small)}",
        f"Set max.message.bytes: {', '.join(f'{topic}={least[topic]}' for topic in small)}. "
        "Kafka refuses a record that is larger, and all that is written with it.",
    )


def _archive(settings: Settings, admin: AdminClient, partitions: int) -> Check:
    try:
        behind = archive_lag(settings, admin, partitions)
    except MonitorError as error:
        return Check("prediction log", "fail", error.what, error.fix or "Check log.path.")
    except KafkaException as error:
        return Check("prediction log", "warn", f"its lag is not known: {error.args[0].str()}")
    if behind is None:
        return Check(
            "prediction log", "warn", "there is none yet", "Run `monitor archive`, and let it run."
        )
    return Check("prediction log", "ok", f"{behind:,} messages behind its topic")


def _registry(settings: Settings) -> Check:
    try:
        open_registry(settings).versions(_NO_MODEL)
    except MonitorError as error:
        return Check("registry", "fail", error.what, error.fix or "Check MONITOR_REGISTRY__URI.")
    return Check(
        "registry", "ok", f"MLflow answers at {without_credentials(settings.registry.uri)}"
    )


def _store(settings: Settings) -> Check:
    try:
        open_store(settings).health()
    except MonitorError as error:
        return Check("store", "fail", error.what, error.fix or "Check MONITOR_STORE__*.")
    return Check("store", "ok", f"{settings.store.kind} answers")


def _policy(settings: Settings) -> Check:
    try:
        policy = load_policy(settings)
    except MonitorError as error:
        return Check("policy", "fail", str(error), "See `monitor policy validate FILE`.")
    named = ", ".join(sorted(policy.models)) or "none by name; the defaults hold for all"
    return Check("policy", "ok", f"valid, sha256 {policy.sha256[:12]}; models: {named}")


def _notices(settings: Settings) -> Check:
    ways = [
        name
        for name, secret in (
            ("Slack", settings.notify.slack_token or settings.notify.slack_webhook),
            ("PagerDuty", settings.notify.pagerduty_key),
            ("a webhook", settings.notify.webhook_url),
        )
        if secret is not None
    ]
    if ways:
        return Check("notices", "ok", f"go to {' and '.join(ways)}")
    return Check(
        "notices",
        "warn",
        "nobody is told of a rollback",
        "Set MONITOR_NOTIFY__SLACK_WEBHOOK or MONITOR_NOTIFY__PAGERDUTY_KEY, or their _FILE.",
    )

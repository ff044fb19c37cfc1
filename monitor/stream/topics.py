"""The topics: their names, how they are made, and what is refused before anything is counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError as ClientError
from aiokafka.errors import TopicAlreadyExistsError, for_code

from monitor.errors import KafkaError

if TYPE_CHECKING:
    from monitor.stream.options import KafkaAccess

log = structlog.get_logger(__name__)

#: Largest record that state, reports and dead letters may need, in bytes; the producers allow as much.
LARGEST_RECORD = 16 << 20

_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicNames:
    """What the topics are called in this deployment."""

    predictions: str = "predictions"
    labels: str = "labels"
    state: str = "state"
    reports: str = "reports"
    verdicts: str = "verdicts"
    dead_letters: str = "dead-letters"
    decisions: str = "decisions"


def topic_configs(names: TopicNames) -> dict[str, dict[str, str]]:
    """Return each topic's configuration, by its name.

    Arrival is the broker's clock (LogAppendTime): no publisher's clock decides what is late, and a replay of the
    topic decides as the first run did.
    """
    large = {"max.message.bytes": str(LARGEST_RECORD)}
    return {
        names.predictions: {
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(4 << 20),
        },
        names.labels: {"message.timestamp.type": "LogAppendTime"},
        names.state: {
            "cleanup.policy": "compact",
            # Reading it back is what taking over waits for: keep it short.
            "segment.bytes": str(64 << 20),
            "min.cleanable.dirty.ratio": "0.2",
            "delete.retention.ms": str(_DAY),
            **large,
        },
        names.reports: {"retention.ms": str(30 * _DAY), **large},
        names.verdicts: {"retention.ms": str(30 * _DAY)},
        names.dead_letters: {"retention.ms": str(30 * _DAY), **large},
        names.decisions: {"retention.ms": "-1"},
    }


async def ensure_topics(
    kafka: KafkaAccess, names: TopicNames, *, partitions: int = 4, replication: int = -1
) -> int:
    """Make the topics that are missing, and say how many partitions the source has.

    Parameters
    ----------
    partitions
        Of the topic ``predictions``, where it is missing; one that exists keeps its own number.
    replication
        Copies of each new partition; -1 leaves it to the broker.

    Raises
    ------
    KafkaError
        If the broker does not answer, refuses, or the state topic has another number of partitions than the source.
    """
    access = kafka.aiokafka()
    where = str(access["bootstrap_servers"])
    admin = AIOKafkaAdminClient(**access)
    try:
        await admin.start()
        counts = await _counts(admin, names)
        source = counts.get(names.predictions, partitions)
        missing = [
            _new_topic(name, source if name in {names.predictions, names.state} else 4, config)
            for name, config in topic_configs(names).items()
            if name not in counts
        ]
        for topic in missing:
            topic.replication_factor = replication
        if missing:
            _check(await admin.create_topics(missing), where)
            log.info("topics made", topics=[topic.name for topic in missing])
    except ClientError as error:
        msg = f"the broker does not answer as it should: {error!r}"
        fix = "Check the address, the credentials, and that the broker runs."
        raise KafkaError(msg, where=where, fix=fix) from error
    finally:
        await admin.close()
    state = counts.get(names.state, source)
    if state != source:
        msg = f"it has {state} partitions, and {names.predictions} has {source}: state would be lost or mixed"
        fix = f"Give {names.state} as many partitions as {names.predictions}, or name another state topic."
        raise KafkaError(msg, where=f"topic {names.state}", fix=fix)
    return source


def _new_topic(name: str, partitions: int, config: dict[str, str]) -> NewTopic:
    return NewTopic(name, partitions, 1, topic_configs=config)


async def _counts(admin: AIOKafkaAdminClient, names: TopicNames) -> dict[str, int]:
    known = set(await admin.list_topics()) & set(asdict(names).values())
    if not known:
        return {}
    described: list[dict[str, Any]] = await admin.describe_topics(sorted(known))
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


def _check(response: Any, where: str) -> None:
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        # Another worker that starts at the same time may have been faster.
        if code and error is not TopicAlreadyExistsError:
            msg = f"topic {name} cannot be made: {rest[0] if rest and rest[0] else error.__name__}"
            raise KafkaError(msg, where=where, fix="Make it by hand, or allow it to this user.")

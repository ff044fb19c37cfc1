"""The archiver killed at random under load: the log holds each event once."""

from __future__ import annotations

import random
import uuid
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from tests.archiving import PARTITIONS, kill_at_random
from tests.chaos.outcome import Fault, Outcome, Servers

KILLS = 20


def killed(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """One of two archivers is killed, twenty times; ids and number of rows are those of what was produced."""
    topic = f"predictions-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": servers.kafka})
    config = {"message.timestamp.type": "LogAppendTime"}
    admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)])[topic].result(60)
    found = kill_at_random(servers.kafka, topic, folder, dice, kills=KILLS)
    return Outcome(
        tried=KILLS,
        events=found.produced,
        lost=found.lost,
        doubled=found.doubled,
        recovered_s=found.recovered_s,
        kills=found.kills,
    )


FAULTS: dict[str, Fault] = {"archiver killed at random under load": killed}

"""What may come in and is no event: garbage of all kinds, values far too large, and baselines that nobody approved."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from monitor.baselines import ARTIFACT, HASH_TAG
from monitor.engine.deadletters import LETTER_BYTES
from monitor.events import ModelVersion, encode
from monitor.reports import DeadLetter
from tests.chaos.outcome import Fault, Outcome, Servers, outcome_of
from tests.chaos.recovery import Recovery
from tests.chaos.workers import under_load
from tests.traffic import PARTITIONS, Line
from tests.world import World

_ARROW, _MSGPACK = b"application/vnd.apache.arrow.stream", b"application/msgpack"

#: From an event that is well to one that is none. The first argument is its JSON.
SPOILT: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "no value": lambda _value, _dice: None,
    "an empty value": lambda _value, _dice: b"",
    "random bytes": lambda _value, dice: dice.randbytes(dice.randint(1, 2_000)),
    "a flipped quote": lambda value, _dice: value.replace(b'"features"', b'"features', 1),
    "half of it": lambda value, _dice: value[: len(value) // 2],
    "two documents": lambda value, _dice: value + value,
    "a list": lambda value, _dice: b"[" + value + b"]",
    "a number": lambda _value, dice: b"%d" % dice.randrange(1 << 60),
    "null": lambda _value, _dice: b"null",
    "UTF-16": lambda value, _dice: value.decode().encode("utf-16"),
    "not UTF-8": lambda value, _dice: value.replace(b'"town":"', b'"town":"\xff\xfe', 1),
    "a lone surrogate": lambda value, _dice: value.replace(b'"town":"', b'"town":"\\ud800', 1),
    "nested deeply": lambda value, _dice: value.replace(
        b'"age":', b'"deep":' + b"[" * 100_000 + b"]" * 100_000 + b',"age":', 1
    ),
    "NaN": lambda value, _dice: value.replace(b'"age":', b'"age":NaN,"was":', 1),
    "Infinity": lambda value, _dice: value.replace(b'"age":', b'"age":-Infinity,"was":', 1),
    "1e999": lambda value, _dice: value.replace(b'"age":', b'"age":1e999,"was":', 1),
    "text for a number": lambda value, _dice: value.replace(b'"age":', b'"age":"old","was":', 1),
    "an object for a number": lambda value, _dice: value.replace(b'"age":', b'"age":{"a":', 1),
    "no features": lambda value, _dice: value.replace(b'"features"', b'"festures"', 1),
    "no time": lambda value, _dice: value.replace(b'"event_time"', b'"evnt_time"', 1),
    "a time that is none": lambda value, _dice: value.replace(
        b'"event_time":"', b'"event_time":"30 February ', 1
    ),
    "3 MB of a": lambda _value, _dice: b"a" * 3_000_000,
}

#: Well by its value, and not by what its headers say.
MISLABELLED: dict[str, list[tuple[str, bytes]]] = {
    "JSON said to be Arrow": [("content-type", _ARROW)],
    "JSON said to be MessagePack": [("content-type", _MSGPACK)],
    "XML": [("content-type", b"text/xml")],
    "a sequence that is no number": [("producer_id", b"x"), ("sequence", b"one")],
    "a sequence past all numbers": [("producer_id", b"x"), ("sequence", b"9" * 40)],
    "a producer of 10,000 letters": [("producer_id", b"x" * 10_000), ("sequence", b"1")],
}


def poison(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Each kind of garbage, eight times, under the keys of real versions: set aside once each, with a reason."""
    with under_load(servers, folder, dice) as world:
        world.deployment.run("stream")
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        poured = 0
        for _ in range(8):
            for spoil in SPOILT.values():
                line = dice.choice(world.lines[:4])
                _pour(world, line, spoil(_event(line), dice), [])
                poured += 1
            for headers in MISLABELLED.values():
                line = dice.choice(world.lines[:4])
                _pour(world, line, _event(line), headers)
                poured += 1
        recovery.mark()
        world.finish()
        spent = recovery.end()
        made = outcome_of(world.tally(), tried=poured, recovered_s=spent)
        letters = world.deployment.values("dead_letters", DeadLetter)
        silent = tuple(f"no reason at {x.offset}" for x in letters if not x.reason or not x.field)
        return replace(made, wrong=(*made.wrong, *silent))


def huge(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """A value of 50 MB, where a broker lets it in: in its own partition, and in one that would have to send it on."""
    with under_load(servers, folder, dice) as world:
        world.deployment.run("stream")
        world.begin()
        recovery = Recovery(world.deployment)
        recovery.start()
        topic = world.deployment.topic("predictions")
        _let_in(world, topic, 60_000_000)
        kafka = world.deployment.settings.kafka.confluent()
        producer = Producer({**kafka, "message.max.bytes": 60_000_000, "linger.ms": 0})
        key = world.lines[0].subject.key
        for partition in range(PARTITIONS):
            value = b'{"essay": "%d' % partition + b"a" * 50_000_000
            world.traffic.refused[value[:LETTER_BYTES]] += 1
            producer.produce(topic, value, key, partition=partition)
            assert producer.flush(120) == 0
        recovery.mark()
        world.finish()
        spent = recovery.end()
        return outcome_of(world.tally(), tried=PARTITIONS, recovered_s=spent)


def unapproved(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """A baseline's file is altered, another's tag is gone, a third's version: counted, and not judged by it."""
    with under_load(servers, folder, dice, own=True) as world:
        client = mlflow.MlflowClient(servers.mlflow, servers.mlflow)
        altered, deleted, untagged = (line.subject for line in world.lines[:3])
        _alter(client, altered, folder)
        client.delete_model_version(*deleted)
        client.delete_model_version_tag(*untagged, HASH_TAG)
        for subject in (altered, deleted, untagged):
            del world.baselines[subject]
        worker = world.deployment.run("stream")
        began = time.monotonic()
        world.begin()
        spent = time.monotonic() - began
        world.finish()
        made = outcome_of(world.tally(), tried=3, recovered_s=spent)
        said = [line for line in worker.log.read_text().splitlines() if "not judged" in line]
        named = any("/".join(altered) in line and "sha256" in line for line in said)
        wrong = () if named else (f"the altered baseline is not named: {said}",)
        return replace(made, wrong=(*made.wrong, *wrong))


def _event(line: Line) -> bytes:
    return encode(line.event(line.start))


def _pour(world: World, line: Line, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    world.traffic.refused[value] += 1
    world.traffic._log(line.subject.key, value, headers)


def _let_in(world: World, topic: str, size: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(world.deployment.settings.kafka.confluent())
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(60)


def _alter(client: mlflow.MlflowClient, subject: ModelVersion, folder: Path) -> None:
    run = client.get_model_version(*subject).run_id
    (place,) = [f.path for f in client.list_artifacts(run, "monitor") if f.is_dir]
    approved = Path(client.download_artifacts(run, f"{place}/{ARTIFACT}", str(folder)))
    file = folder / uuid.uuid4().hex / ARTIFACT
    file.parent.mkdir()
    file.write_bytes(approved.read_bytes().replace(b'"f"', b'"x"', 1))
    client.log_artifact(run, str(file), place)


FAULTS: dict[str, Fault] = {
    f"{len(SPOILT) + len(MISLABELLED)} kinds of garbage": poison,
    "values of 50 MB": huge,
    "baseline altered, tag gone, version deleted": unapproved,
}

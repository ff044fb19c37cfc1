"""Counting and judging: the engines, the worker, its topics, and what shows that it is well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import structlog

from monitor.bootstrap.shared import load_kernels, load_policy, open_influx, open_registry
from monitor.policy.model import Policy
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.engine.partition import PartitionEngine
    from monitor.health import Health
    from monitor.stream import StreamOptions

log_ = structlog.get_logger(__name__)


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
            writer = HealthWriter(health, open_influx(settings), seconds=shown.seconds)
            stack.enter_context(writer)
        yield health


def run_stream(settings: Settings, health: Health) -> int:
    """Count, judge and publish until asked to stop; return the process's exit status."""
    from monitor.stream import run_worker

    policy = load_policy(settings)
    # Loads what engines need, pandas and plug-ins, before there are threads and heartbeats.
    make_engine(settings, policy, 0, 1)
    load_kernels()
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

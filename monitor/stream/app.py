"""The Faust app: consumer group, transport and flow control are Faust's, ownership is ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import TP, AgentT, AppT, EventT
from faust.types.auth import CredentialsT
from faust.types.tuples import Message
from yarl import URL

from monitor.engine.records import BaselineSource
from monitor.fetch.answers import install
from monitor.health import Health
from monitor.stream.options import KafkaAccess, MakeEngine, StreamOptions
from monitor.stream.owners import Owners
from monitor.stream.transport import Transport


class WholeBatches(faust.Schema[Any, Any]):
    """A schema that decodes nothing, and so never raises: what is in a record is the engine's business."""

    def compile(self, app: AppT, **_: Any) -> Callable[..., Any]:
        """Return the decoder that Faust calls with each message."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT[Any]:  # noqa: ARG001 - Faust's signature
            return create_event(message.key, message.value, message.headers, message)

        return decode


class StreamApp(faust.App):
    """A Faust app whose partitions have owners.

    Attributes
    ----------
    failure
        What has to end the process, once something has.
    """

    owners: Owners
    failure: BaseException | None = None
    on_failure: Callable[[], None] | None = None

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Make none: there are no tables, and nothing is kept on this disk."""

    async def take_over(self, partitions: set[int]) -> None:
        """Own what the group assigned to this worker."""
        await self.owners.take_over(partitions)

    async def on_stop(self) -> None:
        """Write what was counted before the group hears that this worker leaves."""
        await self.owners.release()
        await super().on_stop()

    async def _on_agent_error(self, agent: AgentT[Any], exc: BaseException) -> None:  # noqa: ARG002 - Faust's signature
        # Faust would restart the agent, and go on after what it did not understand.
        self.fail(exc)

    def fail(self, error: BaseException) -> None:
        """Have the process end: nothing that is not on Kafka is to be trusted any more."""
        if self.failure is None:
            self.failure = error
            self.log.critical("the worker ends: %r", error, exc_info=error)
        if self.on_failure is not None:
            self.on_failure()


class ConsumerFlow:
    """What owners may do to the app's consumer."""

    def __init__(self, app: StreamApp, topic: str) -> None:
        self._app = app
        self._topic = topic

    async def seek(self, offsets: Mapping[int, int]) -> None:
        """Have the next batches of these partitions begin here."""
        try:
            await self._app.consumer.seek_wait({self._tp(p): at for p, at in offsets.items()})
        except IllegalStateError:
            # A rebalance took one of them meanwhile; whoever gets it seeks for itself.
            self._app.log.info("not sought, since a rebalance began: %r", offsets)

    def pause(self, partition: int) -> None:
        """Fetch no more of a partition."""
        self._app.consumer.pause_partitions({self._tp(partition)})

    def resume(self, partition: int) -> None:
        """Fetch it again."""
        self._app.consumer.resume_partitions({self._tp(partition)})

    def assigned(self) -> set[int]:
        """Return the partitions that the group gives to this worker; none while it rebalances."""
        if self._app.rebalancing or self._app.should_stop:
            return set()
        return {tp.partition for tp in self._app.consumer.assignment()}

    def settled(self) -> bool:
        """Whether the group has said which partitions are this worker's."""
        return self._app.consumer_generation_id > 0 and not self._app.rebalancing

    def _tp(self, partition: int) -> TP:
        return TP(self._topic, partition)


def build_app(
    kafka: KafkaAccess,
    options: StreamOptions,
    make_engine: MakeEngine,
    source: BaselineSource,
    *,
    count: int,
    health: Health | None = None,
) -> StreamApp:
    """Return the app, ready to start, inside the running event loop.

    Parameters
    ----------
    count
        Partitions of the source topic, as `ensure_topics` says.
    health
        Told how each partition is.
    """
    install()
    access = kafka.aiokafka()
    servers = access["bootstrap_servers"]
    servers = servers.split(",") if isinstance(servers, str) else servers
    app = StreamApp(
        options.app,
        broker=[URL(f"kafka://{server.strip()}") for server in servers],
        broker_credentials=credentials(access),
        # The only partition may wait for the registry as long as it takes: that is no reason to leave the group.
        broker_max_poll_interval=86_400.0,
        broker_max_poll_records=options.fetch_records,
        broker_session_timeout=options.session_seconds,
        broker_heartbeat_interval=options.heartbeat_seconds,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=options.fetch_bytes,
        store="memory://",
        stream_buffer_maxsize=4,
        stream_wait_empty=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=count,
        web_enabled=False,
    )
    topic = options.topics.predictions
    app.owners = Owners(
        ConsumerFlow(app, topic),
        kafka,
        options,
        make_engine,
        source,
        count=count,
        fail=app.fail,
        health=health,
    )

    async def count_batches(stream: faust.Stream[Any]) -> None:
        async for event in stream.noack().events():
            message = event.message
            batch, message.value = message.value, None  # the records are not kept twice
            await app.owners.accept(batch)

    app.agent(app.topic(topic, schema=WholeBatches(), partitions=count, acks=False))(count_batches)

    async def on_revoked(*_: Any, **__: Any) -> None:
        await app.owners.release()

    app.on_partitions_revoked.connect(on_revoked)
    return app


def credentials(access: Mapping[str, Any]) -> CredentialsT | None:
    """Return Faust's credentials for what an aiokafka client would be given.

    Examples
    --------
    >>> credentials({"security_protocol": "PLAINTEXT"})
    >>> credentials({"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN",
    ...              "sasl_plain_username": "monitor", "sasl_plain_password": "secret"})
    <SASLCredentials: username=monitor>
    """
    protocol = access.get("security_protocol", "PLAINTEXT")
    context = access.get("ssl_context")
    if protocol.startswith("SASL"):
        return SASLCredentials(
            username=access.get("sasl_plain_username"),
            password=access.get("sasl_plain_password"),
            mechanism=access.get("sasl_mechanism"),
            ssl_context=context if protocol == "SASL_SSL" else None,
        )
    return SSLCredentials(context) if protocol == "SSL" else None

"""What the stream room overrides or reads of Faust and aiokafka, under names that are theirs to change."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from importlib.metadata import version

import aiokafka
import faust
import pytest
from aiokafka import codec, conn
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from aiokafka.producer.producer import TransactionContext
from faust.agents.agent import Agent
from faust.app.base import App
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from monitor.fetch.answers import Fetched, PartitionRecords
from monitor.stream.app import credentials
from monitor.stream.transport import Consumer
from tests.batches import batch


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(function) -> str:
    return inspect.getsource(function)


def test_the_versions_are_the_ones_that_were_read():
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka") == "0.14.0"


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (App._new_transport, ["self"]),
        (App._create_directories, ["self"]),
        (App._on_agent_error, ["self", "agent", "exc"]),
        (App.on_stop, ["self"]),
        (driver.Transport.__init__, ["self", "args", "kwargs"]),
        (driver.Consumer._new_consumer_thread, ["self"]),
        (faust_consumer.Consumer.getmany, ["self", "timeout"]),
        (faust_consumer.Consumer._wait_next_records, ["self", "timeout"]),
        (faust_consumer.Consumer.perform_seek, ["self"]),
        (driver.AIOKafkaConsumerThread.__post_init__, ["self"]),
        (driver.AIOKafkaConsumerThread._create_worker_consumer, ["self", "transport"]),
        (driver.AIOKafkaConsumerThread._seek_wait, ["self", "consumer", "partitions"]),
        (
            driver.AIOKafkaConsumerThread._fetch_records,
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (faust_consumer.ConsumerThread.on_partitions_revoked, ["self", "revoked"]),
        (
            faust_consumer.ConsumerThread.on_partitions_assigned,
            ["self", "assigned", "generation_id"],
        ),
        (faust.Schema.compile, None),
    ],
)
def test_what_is_overridden_has_the_signature_that_it_had(function, names):
    assert names is None or parameters(function) == names


def test_the_transport_takes_its_consumer_from_the_class():
    assert driver.Transport.Consumer is driver.Consumer
    assert "_new_consumer_thread" in source(faust_consumer.ThreadDelegateConsumer.__init__)


def test_the_isolation_level_is_read_when_the_consumer_starts():
    assert "isolation_level=self._isolation_level" in source(aiokafka.AIOKafkaConsumer.start)


def test_a_seek_sets_the_positions_before_it_first_waits():
    body = source(driver.AIOKafkaConsumerThread._seek_wait)
    assert body.index("consumer.seek(") < body.index("await ")


def test_nothing_runs_between_taking_fetched_records_and_handing_them_on():
    body = source(Fetcher.fetched_records)
    assert "await" not in body[body.index("getall(") : body.index("return drained")]
    tail = source(driver.AIOKafkaConsumerThread._fetch_records).split("fetched_records(")[1]
    assert "await" not in tail


def test_records_of_before_a_seek_are_not_handed_out_after_it():
    assert "position != self._partition_records.next_fetch_offset" in source(
        FetchResult.check_assignment
    )


def test_nothing_is_fetched_while_the_flow_is_stopped():
    assert "if not self.consumer.flow_active" in source(
        driver.AIOKafkaConsumerThread._fetch_records
    )


def test_an_empty_answer_of_the_broker_leaves_its_time_and_both_ends():
    body = source(Fetcher._proc_fetch_request)
    for line in (
        "tp_state.highwater = highwater",
        "tp_state.lso = lso",
        "tp_state.timestamp = now_ms",
    ):
        assert line in body
    assert {"position", "has_valid_position"} <= set(dir(TopicPartitionState))
    assert {"active", "tps", "state_value"} <= set(dir(Assignment))
    assert isinstance(SubscriptionState.subscription, property)


def test_the_fetcher_drops_only_what_lies_behind_its_read_offset():
    body = source(faust_consumer.Consumer._drain_messages)
    assert "r_offset is None or offset >= r_offset" in body
    assert "getmany(timeout=1.0)" in body


def test_a_rebalance_ends_in_perform_seek_before_the_flow_resumes():
    body = source(Recovery._resume_streams)
    assert body.index("perform_seek()") < body.index("resume_flow()")


def test_a_rebalance_stops_the_flow_before_it_tells_of_revoked_partitions():
    body = source(App._on_partitions_revoked)
    assert body.index("stop_flow") < body.index("on_partitions_revoked.send")


def test_faust_sleeps_for_a_second_where_all_partitions_have_enough_in_front_of_them():
    # The reason why our `getmany` waits for room by itself: were this to change, that could go.
    assert "await self.sleep(1)" in source(faust_consumer.Consumer._wait_next_records)
    assert "self._buffered_partitions.add(tp)" in source(faust_consumer.Consumer.on_buffer_full)


def test_ours_goes_on_as_soon_as_one_has_room():
    async def story():
        consumer = Consumer.__new__(Consumer)
        full = TP("predictions", 0)
        consumer._active_partitions = set()
        consumer._buffered_partitions = {full}
        consumer._room = asyncio.Event()
        turn = asyncio.create_task(anext(consumer.getmany(timeout=600.0), None))
        await asyncio.sleep(0)
        assert not turn.done()
        consumer.on_buffer_drop(full)
        await asyncio.wait_for(turn, 60)
        assert consumer._active_partitions == {full}

    asyncio.run(story())


def test_an_agents_error_comes_to_the_app():
    assert "self._on_error(self, exc)" in source(Agent._execute_actor)
    assert "on_error=self._on_agent_error" in source(App.agent)


def test_round_robin_assigns_where_there_are_no_tables_and_no_standbys():
    assert "else RoundRobinPartitionAssignor" in source(
        driver.AIOKafkaConsumerThread._create_worker_consumer
    )


def test_a_transaction_commits_without_looking_whether_its_records_were_delivered():
    # The reason why `write` gathers what it sent: were this to change, it could go.
    assert "commit_transaction()" in source(TransactionContext.__aexit__)
    assert "result()" not in source(TransactionContext.__aexit__)


@pytest.mark.parametrize(
    "access",
    [
        {"security_protocol": "PLAINTEXT"},
        {"security_protocol": "SSL", "ssl_context": ssl.create_default_context()},
        {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": "monitor",
            "sasl_plain_password": "secret",
            "ssl_context": ssl.create_default_context(),
        },
    ],
    ids=lambda access: access["security_protocol"],
)
def test_faust_reaches_the_broker_as_the_other_clients_do(access):
    assert driver.credentials_to_aiokafka_auth(credentials(access)) == access


def test_every_compression_that_a_publisher_may_use_can_be_read():
    for name in ("has_gzip", "has_snappy", "has_lz4", "has_zstd"):
        assert getattr(codec, name)(), name


def test_a_fetch_is_put_together_as_aiokafka_does():
    """`monitor.fetch.answers` repeats these lines for whole batches; were they to change, so must it."""
    body = source(fetcher.PartitionRecords._unpack_records)
    for line in (
        "next_batch = records.next_batch()",
        "self._check_crcs and not next_batch.validate_crc()",
        "self._consume_aborted_up_to(next_batch.base_offset)",
        "self._aborted_producers.discard(next_batch.producer_id)",
        "next_batch.producer_id in self._aborted_producers",
        "self.next_fetch_offset = next_batch.next_offset",
    ):
        assert line in body
    assert "PartitionRecords(" in source(Fetcher._proc_fetch_request)
    assert "type(res_or_error) is FetchResult" in source(Fetcher.fetched_records)
    assert "limit=READER_LIMIT" in source(conn.AIOKafkaConnection.connect)


@pytest.mark.parametrize("most", [1, 7, 10, None])
def test_records_are_the_same_however_many_are_taken_at_a_time(most):
    batches = b"".join(_batch(first, count=5) for first in (0, 5, 10))
    records = PartitionRecords(
        TP("predictions", 0), Fetched(batches), [], 2, None, None, True, READ_COMMITTED
    )
    taken = []
    while not records.ended:
        part = records.take(most)
        assert most is None or len(part) <= most
        taken += part
        assert records.next_fetch_offset == 2 + len(taken)
    assert [(r.offset, r.key, r.value, r.headers) for r in taken] == [
        (offset, b"k", b"%d" % offset, [("h", b"1")]) for offset in range(2, 15)
    ]


def test_a_client_knows_what_it_may_not_see_and_when_its_fetching_has_ended():
    assert "self.unauthorized_topics = _new_unauthorized_topics" in source(
        ClusterMetadata.update_metadata
    )
    assert "return self._fetch_task" in source(Fetcher.error_future.fget)
    assert parameters(AIOKafkaClient.close) == ["self"]
    body = source(aiokafka.AIOKafkaConsumer)
    assert "self._client = AIOKafkaClient(" in body
    assert "self._fetcher = Fetcher(" in body


def _batch(first: int, *, count: int) -> bytes:
    records = [(b"k", b"%d" % (first + number), [("h", b"1")]) for number in range(count)]
    return batch(records, first=first, appended=False)

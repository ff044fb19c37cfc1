"""A member of a group on a real broker: what it is given, hands on, and does when the broker or the group changes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from monitor.errors import KafkaError
from monitor.fetch.member import Assignment, Member
from monitor.servers import free_ports
from monitor.testing import until

pytestmark = pytest.mark.kafka

PATIENCE = 120.0


@pytest.fixture
def member_of(kafka):
    """Makes members of a topic's group, which leave at the end."""
    with ExitStack() as joined:

        def make(topic: str) -> Member:
            return joined.enter_context(new_member(kafka.bootstrap, topic))

        yield make


def new_member(bootstrap: str, topic: str) -> Member:
    return Member({"bootstrap_servers": bootstrap}, topic, f"{topic}-readers", session_seconds=30)


@pytest.fixture
def admin(kafka):
    return AdminClient({"bootstrap.servers": kafka.bootstrap})


def publish(bootstrap: str, topic: str, *values: bytes, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(PATIENCE) == 0


def assigned(member: Member, *others: Member, partitions: set[int]) -> Assignment:
    """Wait until the group gives these partitions to a member; all of them keep asking meanwhile."""

    def given() -> bool:
        for one in (member, *others):
            one.take(0.05)
        return set(member.assignment.partitions) == partitions

    until(given, deadline=PATIENCE)
    return member.assignment


def taken(member: Member, enough: Callable[[list], bool]) -> list:
    found: list = []

    def has_enough() -> bool:
        for records in member.take(0.2).values():
            found.extend(records)
        return enough(found)

    until(has_enough, deadline=PATIENCE)
    return found


def test_it_hands_on_what_comes_from_the_place_it_was_told(kafka, topics, member_of):
    topic = topics("read")
    publish(kafka.bootstrap, topic, b"a", b"b", b"c")
    member = member_of(topic)
    assignment = assigned(member, partitions={0})
    assert member.bounds(assignment.partitions) == {0: (0, 3)}
    assert not any(member.take(0.3) for _ in range(4))  # nobody has said where to begin
    member.begin(assignment, {0: 1})
    found = taken(member, lambda found: len(found) == 2)
    assert [(one.offset, one.value) for one in found] == [(1, b"b"), (2, b"c")]
    member.pause(assignment)
    publish(kafka.bootstrap, topic, b"d")
    assert not any(member.take(0.3) for _ in range(4))
    member.resume(assignment)
    assert [one.value for one in taken(member, bool)] == [b"d"]
    assert member.commit({0: 4}) == {0: 4}  # that it was the last


def test_what_it_committed_is_heard_although_it_leaves_at_once(kafka, topics):
    topic = topics("read")
    publish(kafka.bootstrap, topic, b"a", b"b", b"c")
    with new_member(kafka.bootstrap, topic) as member:
        member.begin(assigned(member, partitions={0}), {0: 0})
        taken(member, lambda found: len(found) == 3)
        for place in (1, 2, 3):  # the first is still on its way
            member.commit({0: place})
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"{topic}-readers"})
    (place,) = consumer.committed([TopicPartition(topic, 0)], timeout=PATIENCE)
    consumer.close()
    assert place.offset == 3


def test_a_topic_that_is_made_later_is_found(kafka, admin, member_of):
    topic = f"later-{uuid.uuid4().hex[:8]}"
    member = member_of(topic)
    assert member.take(0.2) == {}
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE)
    member.begin(assigned(member, partitions={0}), {0: 0})
    publish(kafka.bootstrap, topic, b"a")
    assert [one.value for one in taken(member, bool)] == [b"a"]


def test_members_share_partitions_and_get_those_of_one_that_leaves(kafka, topics, member_of):
    topic = topics("shared", partitions=2)
    publish(kafka.bootstrap, topic, b"0")
    publish(kafka.bootstrap, topic, b"1", partition=1)
    first = member_of(topic)
    both = assigned(first, partitions={0, 1})
    with ExitStack() as leaving:
        second = leaving.enter_context(new_member(kafka.bootstrap, topic))

        def shared() -> bool:
            first.take(0.05)
            second.take(0.05)
            return len(first.assignment.partitions) == len(second.assignment.partitions) == 1

        until(shared, deadline=PATIENCE)
        first.begin(both, {0: 0, 1: 0})  # nothing happens: it is of before
        assert first.take(1.0) == {}
        for member in (first, second):
            (partition,) = member.assignment.partitions
            member.begin(member.assignment, {partition: 0})
            assert [one.value.decode() for one in taken(member, bool)] == [str(partition)]
    assert assigned(first, partitions={0, 1}) is not both


def test_where_the_topic_has_lost_what_comes_next_it_is_assigned_anew(
    kafka, admin, topics, member_of
):
    topic = topics("short")
    publish(kafka.bootstrap, topic, *[b"old"] * 5)
    member = member_of(topic)
    before = assigned(member, partitions={0})
    (deleted,) = admin.delete_records([TopicPartition(topic, 0, 3)]).values()
    deleted.result(PATIENCE)
    member.begin(before, {0: 1})
    until(lambda: not member.take(0.2) and member.assignment is not before, deadline=PATIENCE)
    assert member.assignment.partitions == (0,)
    assert member.bounds((0,)) == {0: (3, 5)}
    member.begin(member.assignment, {0: 3})
    assert [one.offset for one in taken(member, lambda found: len(found) == 2)] == [3, 4]


def test_where_no_broker_answers_it_says_so_and_ends():
    (port,) = free_ports(1)
    with pytest.raises(KafkaError, match="the broker does not answer"):
        new_member(f"127.0.0.1:{port}", "predictions").__enter__()

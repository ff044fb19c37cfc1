"""One life of one idempotent Kafka producer, and the messages that it has not yet confirmed."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import confluent_kafka

from monitor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from monitor.publish.settings import PublisherSettings
    from monitor.publish.spool import Record

_E = confluent_kafka.KafkaError
#: The message itself is at fault: sent again it would be refused again.
_UNFIT = frozenset(
    {_E.MSG_SIZE_TOO_LARGE, _E.RECORD_LIST_TOO_LARGE, _E.INVALID_RECORD, _E.INVALID_MSG}
)
_GIVEN_UP = frozenset({_E._PURGE_QUEUE, _E._PURGE_INFLIGHT})  # noqa: SLF001 librdkafka's public names begin so


class Flight:
    """One message handed to librdkafka."""

    __slots__ = ("error", "landed", "partition", "record", "session", "started")

    def __init__(self, record: Record, started: float, session: Session) -> None:
        self.record = record
        self.started = started
        self.session = session
        self.landed = False
        self.partition: int | None = None
        self.error: confluent_kafka.KafkaError | None = None

    def report(self, error: confluent_kafka.KafkaError | None, message: Message) -> None:
        """Take librdkafka's delivery report."""
        self.partition = message.partition()
        if error is None:
            self.landed = True
            self.session.highest[self.partition] = self.record.sequence
        else:
            self.refuse(error)

    def refuse(self, error: confluent_kafka.KafkaError) -> None:
        """Note that Kafka did not take the message; end the session unless only this one is unfit."""
        self.error = error
        self.landed = error.code() in _UNFIT
        if not self.landed and error.code() not in _GIVEN_UP:
            self.session.failure = self.session.failure or error


@dataclass
class Settled:
    """What became of messages: counted in events where they are gone, listed where they are not."""

    delivered: int = 0
    unfit: list[Record] = field(default_factory=list)
    #: Still to be sent, in order.
    again: list[Record] = field(default_factory=list)
    #: A later message of the same partition is in Kafka, so the worker would take these for known.
    overtaken: list[Record] = field(default_factory=list)
    #: Sequences that must not be sent again, though an earlier one must.
    skip: set[int] = field(default_factory=set)


class Session:
    """A producer from its first message to its first failure.

    Within a session no message is skipped: librdkafka sends in order, retries for ever, and the session
    ends with the first message that Kafka refuses for another reason than the message itself. So what one
    partition holds of a session is always everything up to some message.
    """

    def __init__(self, settings: PublisherSettings, on_trouble: Callable[[Any], None]) -> None:
        self._topic = settings.topic
        self._most_events = settings.window_events
        self._most_bytes = settings.window_bytes
        self._producer = new_producer(settings, on_trouble)
        self._flights: deque[Flight] = deque()
        self._bytes = 0
        #: Highest sequence that each partition confirmed.
        self.highest: dict[int | None, int] = {}
        #: Sequence of the last message sent; what the spool hands out up to it is under way already.
        self.last_sent = -1
        #: Everything up to this sequence needs no further care.
        self.confirmed = -1
        #: Why the session is over, if it is.
        self.failure: confluent_kafka.KafkaError | None = None

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def full(self) -> bool:
        """Whether the window of unconfirmed messages is used up."""
        return len(self._flights) >= self._most_events or self._bytes >= self._most_bytes

    @property
    def unconfirmed(self) -> list[Record]:
        """What was sent and is not yet settled, in order."""
        return [flight.record for flight in self._flights if not flight.landed]

    def stalled(self, now: float, patience_s: float) -> bool:
        """Whether the oldest message has waited longer than `patience_s` for its confirmation."""
        return bool(self._flights) and now - self._flights[0].started > patience_s

    def send(self, record: Record, now: float) -> bool:
        """Hand one message to librdkafka; False if it has no room just now."""
        flight = Flight(record, now, self)
        try:
            self._producer.produce(
                self._topic,
                record.value,
                record.key,
                headers=record.headers,  # type: ignore[arg-type]  # a list is invariant
                on_delivery=flight.report,
            )
        except BufferError:
            return False
        except confluent_kafka.KafkaException as error:
            flight.refuse(error.args[0])
        self.last_sent = record.sequence
        self._flights.append(flight)
        self._bytes += len(record.value)
        return True

    def serve(self, timeout: float) -> Settled:
        """Wait for reports, up to `timeout` seconds, and return what is settled from the front on."""
        self._producer.poll(timeout)
        settled = Settled()
        flights = self._flights
        while flights and flights[0].landed:
            flight = flights.popleft()
            self._bytes -= len(flight.record.value)
            self.confirmed = flight.record.sequence
            if flight.error is None:
                settled.delivered += flight.record.events
            else:
                settled.unfit.append(flight.record)
        return settled

    def abandon(self, patience_s: float = 1.0) -> Settled:
        """End the session, and return what became of all that it held."""
        if self.failure is not None:
            # What is on the wire behind a refused message may be taken: wait for those answers.
            self._producer.purge(in_flight=False)
            self._drain(patience_s)
        self._producer.purge()
        self._drain(patience_s)
        settled = self.serve(0)
        for flight in self._flights:
            record = flight.record
            if flight.landed:
                settled.skip.add(record.sequence)
                if flight.error is None:
                    settled.delivered += record.events
                else:
                    settled.unfit.append(record)
            elif self._is_overtaken(flight):
                settled.skip.add(record.sequence)
                settled.overtaken.append(record)
            else:
                settled.again.append(record)
        self._flights.clear()
        return settled

    def _drain(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while len(self._producer) and time.monotonic() < deadline:
            self._producer.poll(0.05)

    def _is_overtaken(self, flight: Flight) -> bool:
        refused = flight.error is not None and flight.error.code() not in _GIVEN_UP
        return refused and flight.record.sequence < self.highest.get(flight.partition, -1)


def new_producer(
    settings: PublisherSettings, on_trouble: Callable[[Any], None]
) -> confluent_kafka.Producer:
    """Return a producer that connects by itself, in the background.

    Raises
    ------
    SettingsError
        If librdkafka does not take the configuration.
    """
    try:
        return confluent_kafka.Producer({**settings.client(), "error_cb": on_trouble})
    except confluent_kafka.KafkaException as error:
        raise SettingsError(
            f"the Kafka client refuses its configuration: {error.args[0].str()}",
            where="kafka",
            fix="Correct that setting; names and values are librdkafka's.",
        ) from error

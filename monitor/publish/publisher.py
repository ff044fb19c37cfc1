"""What serving code holds: hand over an event, and go on serving."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from monitor.errors import SettingsError
from monitor.events import (
    ARROW_CONTENT,
    JSON_CONTENT,
    LABEL_TYPE,
    PREDICTION_TYPE,
    LabelEvent,
    ModelVersion,
    PredictionEvent,
    encode,
    new_event_id,
)
from monitor.publish.courier import Courier, Parcel
from monitor.publish.identity import Identity
from monitor.publish.ledger import Alarm, Counts
from monitor.publish.session import new_producer
from monitor.publish.settings import PublisherSettings
from monitor.publish.spool import Spool
from monitor.publish.trace import TRACE_LENGTH, current_traceparent

if TYPE_CHECKING:
    import pyarrow as pa

#: What publish_batch may put into the queue; single events are bounded by their number.
_QUEUE_BYTES = 256 * 1024**2
#: Couriers of a parent process: their threads do not exist here, and must not be waited for.
_left_behind: list[Courier] = []


class PredictionPublisher:
    """Publishes predictions to Kafka, without ever slowing or breaking the service.

    `publish` encodes the event, puts it into a bounded queue and returns. A background thread numbers the
    events and sends them with an idempotent producer. While Kafka is away they wait on disk, and go out
    afterwards in the order in which they were published. `counts` says what became of each.

    What a killed process (SIGKILL) still had in memory is lost: the queue, and what was sent in the last
    `patience_s` seconds and not confirmed.

    Parameters
    ----------
    settings
        Settings, or only the brokers' ``host:port``; what is missing comes from the environment
        (``MONITOR_KAFKA__BOOTSTRAP`` and so on).
    given
        Fields of `PublisherSettings`, by name.

    Raises
    ------
    SettingsError
        If a setting is wrong. A broker that is away is no error.

    Examples
    --------
    >>> with PredictionPublisher("127.0.0.1:1") as publisher:  # nobody answers there
    ...     publisher.counts.accepted
    0
    """

    def __init__(self, settings: PublisherSettings | str | None = None, **given: Any) -> None:
        if isinstance(settings, PublisherSettings):
            self.settings = replace(settings, **given)
        else:
            self.settings = PublisherSettings.from_environment(bootstrap=settings, **given)
        new_producer(self.settings, lambda _: None)  # a wrong setting is told now, to the caller
        self._alarm = Alarm()
        self._lock = threading.Lock()
        self._closed = False
        self._refused = self._invalid = 0
        self._labels: PredictionPublisher | None = None
        self._begin()
        _forget_after_fork(self)
        atexit.register(self.close)

    @property
    def counts(self) -> Counts:
        """What became of the events so far."""
        counts = self._courier.counts
        return replace(
            counts,
            accepted=counts.accepted + self._refused,
            dropped=counts.dropped + self._refused,
            invalid=self._invalid,
        )

    @property
    def producer_id(self) -> str:
        """Whom the worker takes the events to be from."""
        return self._identity.producer_id

    def publish(self, event: PredictionEvent, *, traceparent: str | None = None) -> None:
        """Hand over one event. Returns at once; raises nothing, whatever the event or Kafka's state.

        An event that cannot be written as JSON, or whose time has no zone, is counted as invalid.

        Parameters
        ----------
        traceparent
            W3C trace context of the request; that of OpenTelemetry's current span, if there is one, by default.
        """
        try:
            value = encode(event)
            if event.event_time.tzinfo is None:
                self.refuse("event_time has no time zone")
                return
            if not isinstance(event.event_id, str):
                self.refuse(f"event_id is {type(event.event_id).__name__}, not str")
                return
            key = f"{event.model_name}/{event.model_version}".encode()
            trace = traceparent or current_traceparent()
            parcel = Parcel(
                key,
                event.event_id,
                event.event_time,
                1,
                JSON_CONTENT,
                value,
                PREDICTION_TYPE,  # by position: a name costs a microsecond more
                trace.encode() if trace and len(trace) == TRACE_LENGTH else None,
            )
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            self.refuse(error)
            return
        self._enqueue(parcel)

    def publish_label(self, label: LabelEvent) -> None:
        """Hand over what turned out to be true of a prediction; as `publish`, to the labels' topic.

        Labels have a queue and a spool of their own: `labels` counts them.
        """
        self.labels._publish_label(label)  # noqa: SLF001 of this class

    @property
    def labels(self) -> PredictionPublisher:
        """The publisher of labels, made when it is first asked for; it is closed with this one."""
        with self._lock:
            if self._labels is None:
                own = self.settings
                spool = own.spool_directory
                self._labels = PredictionPublisher(
                    replace(
                        own,
                        topic=own.labels_topic,
                        producer_id=None,
                        spool_directory=None if spool is None else Path(spool) / "labels",
                    )
                )
            return self._labels

    def _publish_label(self, label: LabelEvent) -> None:
        try:
            value = encode(label)
            if label.label_time.tzinfo is None:
                self.refuse("label_time has no time zone")
                return
            # By prediction: all that is said of one lies in one partition, in the order in which it was said.
            key, at = label.prediction_id.encode(), label.label_time
            parcel = Parcel(key, new_event_id(), at, 1, JSON_CONTENT, value, LABEL_TYPE)
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            self.refuse(error)
            return
        self._enqueue(parcel)

    def publish_batch(self, table: pa.Table, *, timeout: float = 0.0) -> None:
        """Hand over many events in columns: one Arrow message for each version and about 900 KB.

        Parameters
        ----------
        table
            Columns ``model_name``, ``model_version``, ``prediction``, ``event_time`` (timestamp with
            zone UTC), and optionally ``event_id``, ``prediction_id``, ``score``, ``features.<name>``,
            ``groups.<name>``. Ids that are missing are made.
        timeout
            Seconds to wait for room in the queue; 0, the default, never waits.
        """
        from pyarrow import ArrowException

        from monitor.publish.table import messages

        deadline = time.monotonic() + timeout
        try:
            parcels = [
                Parcel(ModelVersion(*version).key, first, at, rows, ARROW_CONTENT, value)
                for version, first, at, rows, value in messages(table)
            ]
        except (ValueError, OverflowError, ArrowException) as error:
            self.refuse(error, events=table.num_rows)
            return
        for parcel in parcels:
            while self._crowded and time.monotonic() < deadline:
                self._courier.wait_turn(0.05)
            if self._crowded:
                self._lose(parcel.events, "the queue is full")
            else:
                self._enqueue(parcel)

    def refuse(self, reason: object, *, events: int = 1) -> None:
        """Count what should have been an event and is not, and say so in the log."""
        with self._lock:
            self._invalid += events
        self._alarm.say("invalid", "not an event, not published", events=events, reason=reason)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until Kafka has confirmed everything; False if it has not within `timeout` seconds."""
        return self._courier.wait_idle(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Flush, put what is left into the spool, and stop. Without a spool what is left is lost."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            labels = self._labels
        if labels is not None:
            labels.close(timeout)
        atexit.unregister(self.close)
        self.flush(timeout)
        self._courier.leave(timeout + 5.0)
        self._identity.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _crowded(self) -> bool:
        waiting = list(self._inbox)
        return (
            len(waiting) >= self.settings.queue_events
            or sum(len(parcel.value) for parcel in waiting) > _QUEUE_BYTES
        )

    def _enqueue(self, parcel: Parcel) -> None:
        if self._closed:
            self._lose(parcel.events, "the publisher is closed")
        elif len(self._inbox) >= self.settings.queue_events:
            self._lose(parcel.events, "the queue is full")
        else:
            self._inbox.append(parcel)
            if self._courier.asleep:
                self._courier.wake()

    def _lose(self, events: int, reason: str) -> None:
        with self._lock:
            self._refused += events
        self._alarm.say("lost", "events are lost", events=events, reason=reason)

    def _begin(self) -> None:
        directory = self.settings.spool_directory
        self._identity = Identity(Path(directory) if directory else None, self.settings.producer_id)
        spool = None
        if self._identity.slot is not None:
            try:
                spool = Spool(self._identity.slot, limit_bytes=self.settings.spool_bytes)
                self._identity.skip_to(spool.last + 1)
            except OSError as error:
                self._identity.close()
                raise SettingsError(
                    f"the spool cannot be read ({error.strerror})",
                    where=str(self._identity.slot),
                    fix="Name a directory that this process may read and write.",
                ) from error
        self._inbox: deque[Parcel] = deque()
        self._courier = Courier(self.settings, self._inbox, self._identity, spool, self._alarm)
        self._courier.start()

    def _begin_in_child(self) -> None:
        """After a fork: the thread and the connections stayed with the parent; make our own."""
        _left_behind.append(self._courier)
        self._lock = threading.Lock()
        self._alarm = Alarm()
        self._refused = self._invalid = 0
        if not self._closed:
            self._identity.close()
            self._begin()


def _forget_after_fork(publisher: PredictionPublisher) -> None:
    alive = weakref.ref(publisher)

    def begin_in_child() -> None:
        publisher = alive()
        if publisher is not None:
            publisher._begin_in_child()  # noqa: SLF001 of this module

    os.register_at_fork(after_in_child=begin_in_child)

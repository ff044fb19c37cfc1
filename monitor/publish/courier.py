"""The background thread that carries messages from the queue to Kafka, by way of the spool if need be.

How an event is counted exactly once
------------------------------------
The worker counts a message if its sequence is above the highest that it has seen from this producer in
that partition. Duplicates are therefore harmless, and a message that arrives first after a later one is
lost. So all that matters is this: *in each partition, messages first appear in order of sequence.*

1. One thread numbers messages and sends them, so they are handed to librdkafka in order.
2. Within a `Session`, an idempotent producer with no message timeout and one request on its way keeps that
   order: no message gives up while a later one goes through. What a partition holds of a session is everything
   up to some message.
3. A session that fails is ended as a whole. The next one begins with the first unconfirmed message and
   skips none but those that are known to be in Kafka.
4. While the spool holds anything, every new message goes behind it.

A message that was refused while a later one of its partition was taken cannot be sent under its number any
more; it is dropped, and counted. (Refusals are things like missing rights; an answer lost at that very
moment hides the later one, and then the drop goes uncounted.)

By 2 and 3 each session's next message for a partition is either there already or the very next one; so
even if a request of an ended session is still lying in a broker's socket and is served late, whichever
comes first, messages first appear in order.

When Kafka does not answer for `patience_s`, the unconfirmed messages are *copied* to the spool and stay in
flight: the session lives on, and librdkafka sends them when the broker is back. What is behind them is
read from the spool as the window frees up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from monitor.brokers import in_plain_words
from monitor.errors import SettingsError
from monitor.events import (
    PREDICTION_TYPE,
    PRODUCER_HEADER,
    SEQUENCE_HEADER,
    TRACE_HEADER,
    cloud_event_headers,
)
from monitor.publish.ledger import Alarm, Counts
from monitor.publish.session import Session, Settled
from monitor.publish.spool import Record, Spool

if TYPE_CHECKING:
    import datetime as dt

    from monitor.publish.identity import Identity
    from monitor.publish.settings import PublisherSettings

_EVERYTHING = 2**63
_BATCH = 1_000
_LONGEST_BACKOFF_S = 30.0

#: Seconds for which this thread goes on looking after the last event. To wake it costs the serving thread 10 to 25 us, so
#: that in steady traffic nobody has to; two looks in ten milliseconds cost a busy server nothing.
_LINGER_S = 0.2


class Parcel(NamedTuple):
    """An encoded message, before it has a number."""

    key: bytes
    event_id: str
    event_time: dt.datetime
    events: int
    content_type: bytes
    value: bytes
    type: str = PREDICTION_TYPE
    trace: bytes | None = None


class Courier(threading.Thread):
    """Owner of the producer, the spool and the numbering; nothing else touches them.

    Parameters
    ----------
    inbox
        Where serving threads put parcels; this thread alone takes them out.
    """

    def __init__(
        self,
        settings: PublisherSettings,
        inbox: deque[Parcel],
        identity: Identity,
        spool: Spool | None,
        alarm: Alarm,
    ) -> None:
        super().__init__(name="monitor-publish", daemon=True)
        self._settings = settings
        self._inbox = inbox
        self._identity = identity
        self._spool = spool
        self._alarm = alarm
        self._source = settings.source
        self._session: Session | None = None
        self._retry_at = 0.0
        self._backoff_s = 1.0
        self._spooling = spool is not None and not spool.empty
        self._backlog: deque[Record] = deque()  # read from the spool, or left by a session
        self._settled_to = -1  # an ended session settled everything up to here
        self._skip: set[int] = set()  # and these, behind one that it did not
        self._unspooled: set[int] = set()  # in flight while spooling, and not on disk
        self._torn_told = 0
        self._wake = threading.Event()
        self._turned = threading.Condition()
        self._turns = 0
        self._leaving = False
        self._taken = self._delivered = self._spooled = self._dropped = 0
        self._recovered = spool.events if spool is not None else 0
        self._busy_at = -_LINGER_S
        self.asleep = False
        self.idle = False

    @property
    def counts(self) -> Counts:
        """What became of the events so far."""
        return Counts(
            accepted=self._taken + sum(parcel.events for parcel in list(self._inbox)),
            recovered=self._recovered,
            delivered=self._delivered,
            spooled=self._spooled,
            dropped=self._dropped,
        )

    def wake(self) -> None:
        """Tell the thread that there is something in the inbox."""
        self._wake.set()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until all that was in the inbox at the call is delivered or dropped."""
        deadline = time.monotonic() + timeout
        with self._turned:
            start = self._turns  # the turn under way may have begun before the call
            while self._turns < start + 2 or not self.idle:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self.is_alive():
                    return False
                self._wake.set()
                self._turned.wait(min(remaining, 0.1))
        return True

    def wait_turn(self, timeout: float) -> None:
        """Wait until the thread has had a look round."""
        with self._turned:
            self._turned.wait(timeout)

    def leave(self, timeout: float) -> None:
        """Put what is unconfirmed into the spool, and end the thread."""
        self._leaving = True
        self._wake.set()
        self.join(timeout)

    def run(self) -> None:
        """Carry until told to leave."""
        while not self._leaving:
            try:
                self._turn()
            except OSError as error:
                self._alarm.say("spool", "the spool cannot be read or written", reason=error)
                self._wake.wait(1.0)
            except Exception as error:  # noqa: BLE001 - without this thread nothing is published any more
                self._alarm.say("turn", "publishing failed, and goes on", reason=repr(error))
                self._wake.wait(1.0)
            with self._turned:
                self._turns += 1
                self._turned.notify_all()
        self._part()

    def _turn(self) -> None:
        self._rest()
        now = time.monotonic()
        session = self._session if self._session is not None else self._new_session(now)
        if session is not None:
            self._settle(session.serve(self._pause()))
            if session.failure is not None:
                self._end(session)
                session = None
        if self._spool is not None and not self._spooling:
            crowded = len(self._inbox) > self._settings.queue_events // 2
            if session is None or crowded or session.stalled(now, self._settings.patience_s):
                self._begin_spooling(session.unconfirmed if session else [])
        if self._spool is not None and self._spooling:
            self._take_to_spool(self._spool)
            self._send_from_spool(self._spool, session, now)
        elif session is not None:
            self._send(session, now)
        self.idle = not self._busy

    @property
    def _busy(self) -> bool:
        under_way = self._session is not None and len(self._session) > 0
        return bool(self._inbox or self._backlog or self._spooling or under_way)

    def _rest(self) -> None:
        """Sleep while there is nothing to do, or nobody to do it with."""
        nothing, now = not self._busy, time.monotonic()
        if not nothing:
            self._busy_at = now
        if self._session is not None and now < self._busy_at + _LINGER_S:
            return
        if not nothing and (self._session is not None or now >= self._retry_at):
            return
        self.asleep = nothing
        if not (nothing and self._inbox):
            self._wake.wait(1.0 if nothing else 0.05)
        self.asleep = False
        self._wake.clear()

    def _pause(self) -> float:
        if self._spooling:
            return 0.02
        return 0.0 if self._inbox and self._session and not self._session.full else 0.005

    def _new_session(self, now: float) -> Session | None:
        if now < self._retry_at:
            return None
        try:
            self._session = Session(self._settings, self._hear)
        except SettingsError as error:  # it was right at the start: a certificate has gone since
            self._alarm.say("client", "the Kafka client cannot be made", reason=error)
            self._put_off(now)
        return self._session

    def _hear(self, error: Any) -> None:
        self._alarm.say(
            "broker", "Kafka does not answer; events wait", reason=in_plain_words(error)
        )

    def _put_off(self, now: float) -> None:
        self._retry_at = now + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, _LONGEST_BACKOFF_S)

    def _settle(self, settled: Settled) -> None:
        if settled.delivered:
            self._delivered += settled.delivered
            self._backoff_s = 1.0
        if settled.unfit:
            self._drop("unfit", "Kafka can never take these messages: too large", settled.unfit)
        if settled.overtaken:
            self._drop("overtaken", "refused while a later one was accepted", settled.overtaken)

    def _end(self, session: Session) -> None:
        """End a failed session, and put what it held where the next one finds it first."""
        self._alarm.say("refused", "Kafka refuses events; they wait", reason=session.failure)
        settled = session.abandon()
        self._settle(settled)
        self._session = None
        self._put_off(time.monotonic())
        if self._spool is None:
            self._backlog.extendleft(reversed(settled.again))
            return
        self._leave_to_spool(settled.again)
        self._settled_to = max(self._settled_to, session.confirmed)
        self._skip |= settled.skip
        self._spool.rewind()

    def _begin_spooling(self, unconfirmed: list[Record]) -> None:
        """Copy what is in flight, and what was taken behind it, to the spool."""
        self._spooling = True
        waiting = [*unconfirmed, *self._backlog]
        kept = self._keep(waiting)
        self._unspooled = {record.sequence for record in unconfirmed[kept:]}
        self._drop("full", "the spool was full", waiting[max(kept, len(unconfirmed)) :])
        self._backlog.clear()

    def _leave_to_spool(self, again: list[Record]) -> None:
        """Let the spool alone hold what a session held."""
        if not self._spooling:
            self._begin_spooling(again)
        lost = [record for record in again if record.sequence in self._unspooled]
        self._drop("full", "the spool was full", lost)
        self._unspooled.clear()
        self._backlog.clear()

    def _keep(self, records: list[Record]) -> int:
        if self._spool is None:
            return 0
        kept = self._spool.append(records)
        self._spooled += sum(record.events for record in records[:kept])
        return kept

    def _take_to_spool(self, spool: Spool) -> None:
        while records := self._take(_BATCH):
            kept = self._keep(records)
            if kept < len(records):
                self._drop("full", "the spool takes no more", records[kept:], spool.trouble)
            if self._session is not None and not self._session.full:
                return

    def _send_from_spool(self, spool: Spool, session: Session | None, now: float) -> None:
        if session is None:
            return
        spool.confirm(max(session.confirmed, self._settled_to))
        passed = max(session.last_sent, self._settled_to)
        exhausted = False
        while not session.full and session.failure is None:
            if not self._backlog:
                found = spool.read()
                if not found:
                    exhausted = True
                    break
                self._backlog.extend(
                    record
                    for record in found
                    if record.sequence > passed and record.sequence not in self._skip
                )
                continue
            if not session.send(self._backlog[0], now):
                break
            self._backlog.popleft()
        if exhausted and not len(session):
            spool.confirm(_EVERYTHING)  # what is left could not be read back
        if spool.torn_bytes > self._torn_told:
            torn, self._torn_told = spool.torn_bytes - self._torn_told, spool.torn_bytes
            self._alarm.say("torn", f"{torn} bytes of the spool could not be read back")
        if spool.empty:
            self._spooling = False
            self._skip.clear()
            self._unspooled.clear()

    def _send(self, session: Session, now: float) -> None:
        while not session.full and session.failure is None:
            if not self._backlog:
                self._backlog.extend(self._take(100))
            if not self._backlog or not session.send(self._backlog[0], now):
                return
            self._backlog.popleft()

    def _take(self, most: int) -> list[Record]:
        parcels = [self._inbox.popleft() for _ in range(min(most, len(self._inbox)))]
        records = [self._number(parcel) for parcel in parcels]
        self._taken += sum(parcel.events for parcel in parcels)
        return records

    def _number(self, parcel: Parcel) -> Record:
        sequence = self._identity.next_sequence()
        headers = cloud_event_headers(
            parcel.event_id,
            parcel.event_time,
            self._source,
            type_=parcel.type,
            content_type=parcel.content_type,
        )
        if parcel.trace is not None:
            headers.insert(0, (TRACE_HEADER, parcel.trace))  # the worker looks for ours at the end
        headers.append((PRODUCER_HEADER, self._identity.producer_id.encode()))
        headers.append((SEQUENCE_HEADER, b"%d" % sequence))
        return Record(sequence, parcel.events, parcel.key, headers, parcel.value)

    def _drop(self, kind: str, sentence: str, records: list[Record], reason: object = None) -> None:
        events = sum(record.events for record in records)
        if events:
            self._dropped += events
            self._alarm.say(kind, f"events are lost: {sentence}", events=events, reason=reason)

    def _part(self) -> None:
        again: list[Record] = []
        if self._session is not None:
            settled = self._session.abandon()
            self._settle(settled)
            again = settled.again
            self._session = None
        if self._spool is None:
            left = [*again, *self._backlog, *self._take(len(self._inbox))]
            self._drop("closed", "closed without a spool while Kafka was away", left)
            return
        self._leave_to_spool(again)
        left = self._take(len(self._inbox))
        self._drop("full", "the spool takes no more", left[self._keep(left) :], self._spool.trouble)
        self._spool.close()

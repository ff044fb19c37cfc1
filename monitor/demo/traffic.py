"""People asking the served model, on an event clock that runs faster than ours."""

from __future__ import annotations

import datetime as dt
import threading
import time
from dataclasses import dataclass

import httpx
import pandas as pd

from monitor.demo.census import FEATURES, GROUPS, batches, break_feed

#: Seconds of event time from one person to the next: 1,500 people in five minutes.
GAP = 0.2

#: People asked about in one request.
_REQUEST = 250


#: Before a person's row: the id of the prediction.
PERSON = "person-"


@dataclass(frozen=True, slots=True)
class Plan:
    """When what happens.

    Attributes
    ----------
    start
        Event time of the first person, seconds since 1970 UTC.
    fault_row
        From this row on the feed is broken.
    per_second
        People per second of our time.
    """

    start: float
    fault_row: int
    per_second: float

    @property
    def fault_time(self) -> float:
        """Event time at which the feed breaks."""
        return self.time_of(self.fault_row)

    def time_of(self, row: int) -> float:
        """Event time of a row."""
        return self.start + row * GAP


class Traffic:
    """Replays people through the server until told to stop.

    Attributes
    ----------
    sent
        How many were answered so far.
    versions
        How many answers each model version gave.
    failure
        What ended the traffic early, if something did.
    """

    def __init__(self, people: pd.DataFrame, url: str, plan: Plan) -> None:
        self._people, self._url, self._plan = people, url, plan
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.sent = 0
        self.versions: dict[str, int] = {}
        self.failure: Exception | None = None

    @property
    def running(self) -> bool:
        """Whether people still come."""
        return self._thread.is_alive()

    @property
    def broken(self) -> bool:
        """Whether the feed is broken by now."""
        return self.sent > self._plan.fault_row

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the request under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        columns = [*FEATURES, *GROUPS]
        try:
            with httpx.Client(timeout=30) as client:
                for rows in batches(self._people, _REQUEST):
                    first = self.sent
                    feed = break_feed(rows) if first >= self._plan.fault_row else rows
                    self._ask(client, feed[columns], first)
                    ahead = self.sent / self._plan.per_second - (time.monotonic() - began)
                    if self._stop.wait(max(ahead, 0.0)):
                        return
        except Exception as error:  # noqa: BLE001 - told by the story, which then fails
            self.failure = error

    def _ask(self, client: httpx.Client, rows: pd.DataFrame, first: int) -> None:
        times = [
            dt.datetime.fromtimestamp(self._plan.time_of(first + i), dt.UTC).isoformat()
            for i in range(len(rows))
        ]
        names = [f"{PERSON}{first + i}" for i in range(len(rows))]
        answer = client.post(
            f"{self._url}/predict",
            json={
                "rows": rows.to_dict("records"),
                "event_times": times,
                "prediction_ids": names,
            },
        )
        answer.raise_for_status()
        version = str(answer.json()["model_version"])
        self.versions[version] = self.versions.get(version, 0) + len(rows)
        self.sent += len(rows)

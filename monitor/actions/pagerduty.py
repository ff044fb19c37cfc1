"""Notices on a pager: PagerDuty, Events v2. Only what should wake somebody.

That is a rollback, one that failed or does not take effect, and a monitor that is dead. All that is said about one
incident has one key: PagerDuty puts a further trigger to the incident that is open, and wakes nobody who has
acknowledged it. The monitor itself never acknowledges.
"""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from pydantic import SecretStr

from monitor.actions.notice import Kind, Notice
from monitor.actions.outbox import Refused
from monitor.actions.slack import seconds

EVENTS_URL = "https://events.pagerduty.com/v2/enqueue"

_ACTIONS = {
    Kind.ROLLED_BACK: "trigger",
    Kind.FAILED: "trigger",
    Kind.WAITING: "trigger",
    Kind.UNCONFIRMED: "trigger",
    Kind.DEAD: "trigger",
    Kind.CONFIRMED: "resolve",
    Kind.RESOLVED: "resolve",
    Kind.ALIVE: "resolve",
}

_FIX = "Check notify.pagerduty_key, and that PagerDuty can be reached."


class PagerDuty:
    """One service's integration.

    Parameters
    ----------
    key
        Its integration key.
    timeout
        Seconds.
    """

    def __init__(self, key: SecretStr, *, url: str = EVENTS_URL, timeout: float = 10.0) -> None:
        self._key = key
        self._url = urlsplit(url)
        self._timeout = timeout

    def send(self, notice: Notice) -> None:
        """Trigger or resolve the notice's incident; a notice that should wake nobody is passed over.

        Raises
        ------
        Refused
            If PagerDuty did not take it.
        """
        action = _ACTIONS.get(notice.kind)
        if action is None:
            return
        event = {
            "routing_key": self._key.get_secret_value(),
            "event_action": action,
            "dedup_key": notice.incident[:255],
            "client": "model-monitor",
            "links": [{"href": to, "text": name} for name, to in notice.links],
            "payload": {
                "summary": notice.title[:1024],
                "source": "monitor",
                "severity": "warning" if notice.kind is Kind.UNCONFIRMED else "critical",
                "custom_details": {**dict(notice.facts), "next": list(notice.steps)},
            },
        }
        status, after = self._post(json.dumps(event).encode())
        if status != http.client.ACCEPTED:
            raise Refused(
                f"PagerDuty answers {status}",
                where="PagerDuty",
                fix=_FIX,
                again=status == http.client.TOO_MANY_REQUESTS or status >= 500,
                after=after,
            )

    def _post(self, body: bytes) -> tuple[int, float]:
        secure = self._url.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = make(self._url.netloc, timeout=self._timeout)
        try:
            connection.request("POST", self._url.path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, seconds(response.headers)
        except (OSError, http.client.HTTPException) as error:
            raise Refused(
                f"PagerDuty cannot be reached ({type(error).__name__})", where="PagerDuty", fix=_FIX
            ) from error
        finally:
            connection.close()

"""Notices for machines: a signed POST, for whoever retrains, opens tickets, or keeps statistics.

It is signed as standardwebhooks.com has it, so that a receiver can take a ready library: headers ``webhook-id``,
``webhook-timestamp`` (seconds) and ``webhook-signature``, which is ``v1,`` and the base64 of an HMAC-SHA256 over
``id.timestamp.body``. A receiver refuses an old timestamp, and an id that it has seen is the same call again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from monitor.actions.notice import Notice
from monitor.actions.outbox import Refused
from monitor.actions.slack import seconds
from monitor.errors import MonitorError

_FIX = "Check notify.webhook_url and notify.webhook_secret, and that the receiver can be reached."

Record = Callable[[float, Mapping[str, Any]], None]


class Webhook:
    """One receiver.

    Parameters
    ----------
    url
        Its address; what it may hold of secrets is in no log, no error and no record.
    secret
        Key of the signature; after ``whsec_`` it is base64, else the text itself.
    record
        Puts each call on the audit record: when, and what was answered.
    now
        Seconds since 1970 UTC.
    timeout
        Seconds.
    """

    def __init__(
        self,
        url: SecretStr,
        secret: SecretStr,
        record: Record,
        *,
        now: Callable[[], float],
        timeout: float = 10.0,
    ) -> None:
        self._url = url
        self._secret = secret
        self._record = record
        self._now = now
        self._timeout = timeout

    def send(self, notice: Notice) -> None:
        """Post a notice.

        Raises
        ------
        Refused
            If the receiver did not answer with 2xx, or the call could not be put on record.
        """
        at = self._now()
        name = hashlib.sha256(notice.key.encode()).hexdigest()[:32]
        body = msgspec.json.encode(
            {"type": f"monitor.{notice.kind}", "timestamp": at, "data": _data(notice)}
        )
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": f"{at:.0f}",
            "webhook-signature": sign(self._secret.get_secret_value(), name, f"{at:.0f}", body),
        }
        status, after = self._post(body, headers)
        self._put_on_record(at, name, notice, body, status)
        if not 200 <= status < 300:
            raise Refused(
                f"the webhook answers {status}" if status else "the webhook cannot be reached",
                where="webhook",
                fix=_FIX,
                again=status in {0, 408, 409, 429} or status >= 500,
                after=after,
            )

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, float]:
        """Return the status, 0 if nobody answers, and the seconds that are asked for."""
        try:
            url = urlsplit(self._url.get_secret_value())
            secure = url.scheme == "https"
            make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            connection = make(url.netloc, timeout=self._timeout)
            try:
                path = (url.path or "/") + (f"?{url.query}" if url.query else "")
                connection.request("POST", path, body, dict(headers))
                response = connection.getresponse()
                response.read()
                return response.status, seconds(response.headers)
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException):
            return 0, 0.0

    def _put_on_record(
        self, at: float, name: str, notice: Notice, body: bytes, status: int
    ) -> None:
        call = {
            "webhook": name,
            "kind": notice.kind.value,
            "incident": notice.incident,
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "status": status,
        }
        try:
            self._record(at, call)
        except MonitorError as error:
            raise Refused(
                f"the call is not on record: {error}", where="webhook", fix=error.fix or _FIX
            ) from error


def sign(secret: str, name: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a call.

    Examples
    --------
    The example of the specification:

    >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
    ...      b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    said = b".".join((name.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()


def _data(notice: Notice) -> dict[str, Any]:
    return {
        "incident": notice.incident,
        **notice.about,
        "title": notice.title,
        "facts": dict(notice.facts),
        "next": list(notice.steps),
        "links": dict(notice.links),
    }

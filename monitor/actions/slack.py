"""Notices in Slack, through an incoming webhook."""

from __future__ import annotations

import html
import logging
import re
from typing import Any

from pydantic import SecretStr
from slack_sdk.webhook import WebhookClient

from monitor.actions.notice import Notice
from monitor.actions.outbox import Refused

#: Slack refuses longer texts: 3,000 characters in a section, 2,000 in a field, ten fields a section.
_TEXT, _FIELD, _FIELDS = 2900, 1900, 10

_FIX = "Check notify.slack_webhook, and that Slack can be reached."

# slack_sdk writes the address to its logger, at DEBUG and with some errors; the address is the password.
_quiet = logging.getLogger("monitor.actions.slack.client")
_quiet.addHandler(logging.NullHandler())
_quiet.setLevel(logging.CRITICAL)
_quiet.propagate = False


class Slack:
    """One incoming webhook.

    Parameters
    ----------
    webhook
        Its address, which is all that one needs to post there: never logged, in no error.
    timeout
        Seconds.
    """

    def __init__(self, webhook: SecretStr, *, timeout: int = 10) -> None:
        self._webhook = webhook
        self._timeout = timeout

    def send(self, notice: Notice) -> None:
        """Post a notice.

        Raises
        ------
        Refused
            If Slack did not take it; with the seconds that it asks to wait.
        """
        client = WebhookClient(
            self._webhook.get_secret_value(),
            timeout=self._timeout,
            logger=_quiet,
            retry_handlers=[],  # the outbox tries again
        )
        try:
            response = client.send(text=escape(notice.text, _TEXT), blocks=blocks(notice))
        except (OSError, ValueError) as error:
            # Nothing of the error itself is shown: for a malformed address it quotes the address.
            raise Refused(
                f"Slack cannot be reached ({type(error).__name__})", where="Slack", fix=_FIX
            ) from None
        if response.status_code == 200:
            return
        raise Refused(
            f"Slack answers {response.status_code}",
            where="Slack",
            fix=_FIX,
            again=response.status_code in {408, 429} or response.status_code >= 500,
            after=seconds(response.headers),
        )


def blocks(notice: Notice) -> list[dict[str, Any]]:
    """Return a notice in Block Kit; nothing in it can address people or format itself.

    Examples
    --------
    >>> from monitor.actions.notice import Kind
    >>> notice = Notice(key="k", kind=Kind.BREACH, incident="i", title="<!channel> & co")
    >>> blocks(notice)[0]["text"]["text"]
    '*&lt;!channel&gt; &amp; co*'
    """
    parts: list[dict[str, Any]] = [_section(f"*{escape(notice.title, _TEXT)}*")]
    fields = [
        _mrkdwn(f"*{escape(name, 200)}*\n{escape(value, _FIELD)}") for name, value in notice.facts
    ]
    parts += [
        {"type": "section", "fields": fields[first : first + _FIELDS]}
        for first in range(0, len(fields), _FIELDS)
    ]
    parts += [_section(f"`{escape(step, _TEXT)}`") for step in notice.steps]
    return parts


def escape(text: str, length: int) -> str:
    """Return text as Slack shows it literally: no mention, no link, no formatting, not too long.

    Examples
    --------
    >>> escape("<!channel> *now* `x`", 100)
    '&lt;!channel&gt; ∗now∗ ˋxˋ'
    """
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    text = text.translate(_LOOKALIKES)
    escaped = html.escape(text if len(text) <= length else f"{text[: length - 1]}…", quote=False)
    # What is long only through its escapes is cut too, and never inside one.
    return escaped if len(escaped) <= length else re.sub(r"&\w*$", "", escaped[: length - 1]) + "…"


# There is no escape for these in mrkdwn; `_` stays, since names are full of it and it only slants.
_LOOKALIKES = str.maketrans({"*": "∗", "`": "ˋ", "~": "∼"})  # noqa: RUF001 - the point of it


def seconds(headers: Any) -> float:
    """Return what Retry-After asks for, in seconds, at most an hour; 0 if nothing readable."""
    value = next((str(v) for k, v in dict(headers).items() if k.lower() == "retry-after"), "")
    return min(float(value), 3600.0) if value.isdecimal() else 0.0


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}

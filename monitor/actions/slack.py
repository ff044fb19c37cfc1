"""Notices in Slack: through an incoming webhook, or as a bot, which can answer in a thread.

A webhook's answer does not say which message it made, so that nothing can be put under it: there each notice is a
message of its own, and the version in its title holds them together.
"""

from __future__ import annotations

import html
import http.client
import logging
import re
from typing import Any

import structlog
from pydantic import SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from monitor.actions.notice import Kind, Notice
from monitor.actions.outbox import Refused
from monitor.actions.threads import Threads

#: Slack refuses longer texts: 3,000 characters in a section, 2,000 in a field, ten fields a section.
_TEXT, _FIELD, _FIELDS = 2900, 1900, 10

log = structlog.get_logger(__name__)

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
        text = escape(notice.text, _TEXT)
        try:
            response = client.send(text=text, blocks=blocks(notice))
            if response.status_code == 400 and "invalid_blocks" in str(response.body):
                # Better plain than not at all.
                _quiet_log("invalid_blocks", notice)
                response = client.send(text=text)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _unreachable(error) from None
        if response.status_code == 200:
            return
        raise Refused(
            f"Slack answers {response.status_code}",
            where="Slack",
            fix=_FIX,
            again=response.status_code in {408, 429} or response.status_code >= 500,
            after=seconds(response.headers),
        )


class SlackBot:
    """A bot in one channel: what is said about a version stands in one thread, until it is resolved.

    Parameters
    ----------
    token
        Of a bot that may ``chat:write``: never logged, in no error.
    channel
        Its id.
    threads
        Remembers the first message of each.
    """

    def __init__(
        self,
        token: SecretStr,
        channel: str,
        threads: Threads,
        *,
        url: str = WebClient.BASE_URL,
        timeout: int = 10,
    ) -> None:
        self._token = token
        self._channel = channel
        self._threads = threads
        self._url = url
        self._timeout = timeout

    def send(self, notice: Notice) -> None:
        """Post a notice, under the first one about its version.

        Raises
        ------
        Refused
            If Slack did not take it; with the seconds that it asks to wait.
        """
        client = WebClient(
            self._token.get_secret_value(),
            base_url=self._url,
            timeout=self._timeout,
            logger=_quiet,
            retry_handlers=[],
        )
        first = self._threads.get(self._channel, notice.thread) if notice.thread else None
        message = {
            "channel": self._channel,
            "text": escape(notice.text, _TEXT),
            "blocks": blocks(notice),
            "thread_ts": first,
            # The end of it is for the whole channel, too.
            "reply_broadcast": first is not None and notice.kind in _FOR_ALL,
        }
        try:
            made = self._post(client, message, notice)
        except SlackApiError as error:
            raise _refusal(error) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _unreachable(error) from None
        if notice.kind is Kind.RESOLVED:
            self._threads.close(self._channel, notice.thread)
        elif first is None and notice.thread and made:
            self._threads.open(self._channel, notice.thread, made)

    def _post(self, client: WebClient, message: dict[str, Any], notice: Notice) -> str:
        try:
            return str(client.chat_postMessage(**message).get("ts", ""))
        except SlackApiError as error:
            if error.response.get("error") != "invalid_blocks":
                raise
        _quiet_log("invalid_blocks", notice)
        return str(client.chat_postMessage(**{**message, "blocks": None}).get("ts", ""))


#: Replies that are shown in the channel, too.
_FOR_ALL = frozenset({Kind.ROLLED_BACK, Kind.FAILED, Kind.RESOLVED})

#: What Slack says where another try may help.
_AGAIN = frozenset({"ratelimited", "internal_error", "fatal_error", "service_unavailable"})


def _unreachable(error: Exception) -> Refused:
    """Nothing of the error itself is shown: for a malformed address it quotes the address."""
    name = type(error).__name__
    return Refused(f"Slack cannot be reached ({name})", where="Slack", fix=_FIX)


def _refusal(error: SlackApiError) -> Refused:
    response = error.response
    said, status = str(response.get("error", "")), response.status_code
    return Refused(
        f"Slack answers {status} {said}".strip(),
        where="Slack",
        fix="Check notify.slack_token, that the bot may chat:write, and that it is in notify.slack_channel.",
        again=said in _AGAIN or status in {408, 429} or status >= 500,
        after=seconds(response.headers),
    )


def _quiet_log(reason: str, notice: Notice) -> None:
    log.warning("slack refuses the layout; the plain text is sent", reason=reason, key=notice.key)


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
    if notice.links:
        links = "  ·  ".join(f"<{_address(to)}|{escape(name, 75)}>" for name, to in notice.links)
        parts.append(_section(links))
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


def _address(url: str) -> str:
    """Return an address that cannot end its own link: names in it are percent-encoded already."""
    for character, code in (("&", "&amp;"), ("<", "%3C"), (">", "%3E"), ("|", "%7C")):
        url = url.replace(character, code)
    return url


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}

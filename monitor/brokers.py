"""Whether Kafka lets this process in, asked once before anything is begun: a sentence, not an hour of retries."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError as Code
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from monitor.errors import KafkaError

_SILENT = logging.getLogger("monitor.brokers.kafka")

# What the client itself would print, every time it tries: it is said once, below.
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class Unreached(KafkaError):
    """Nobody answers: that may pass by itself, and a wrong password does not."""


_UNREACHED = "Check kafka.bootstrap (MONITOR_KAFKA__BOOTSTRAP), kafka.security_protocol, and that the broker runs."

#: What to mend, by what librdkafka found; looked for in this order.
_FIXES = {
    Code._AUTHENTICATION: "Check kafka.sasl_username, kafka.sasl_password and kafka.sasl_mechanism.",  # noqa: SLF001
    Code.SASL_AUTHENTICATION_FAILED: "Check kafka.sasl_username and kafka.sasl_password.",
    Code._SSL: (  # noqa: SLF001 - librdkafka's own errors are named so
        "Check kafka.ssl_ca, the authority that signed the broker's certificate, the broker's name in it, "
        "and kafka.ssl_cert, where the broker asks for one."
    ),
}

#: How a broker's refusal of a client's certificate looks under TLS 1.3: it comes after the handshake, as an alert on a
#: connection that was thought open.
_ALERT = "SSL alert"
_CERTIFICATE = (
    "The broker asks for a certificate that it trusts: check kafka.ssl_cert and kafka.ssl_key."
)


def reach(kafka: Mapping[str, Any], *, seconds: float = 10.0) -> int:
    """Return how many brokers there are.

    Parameters
    ----------
    kafka
        Settings of confluent-kafka: the brokers, and how to be let in.
    seconds
        How long they may take to answer.

    Raises
    ------
    Unreached
        If nobody answers.
    KafkaError
        If nobody is let in: naming the setting to mend, the password or the certificates.

    Examples
    --------
    >>> reach({"bootstrap.servers": "127.0.0.1:1"}, seconds=0.2)
    Traceback (most recent call last):
    monitor.brokers.Unreached: 127.0.0.1:1: the broker does not answer (...). Check kafka.bootstrap ...
    """
    troubles: list[Code] = []
    where = str(kafka["bootstrap.servers"])
    try:
        settings: dict[str, Any] = {**kafka, "error_cb": troubles.append, "log_level": 0}
        admin = AdminClient(settings, logger=_SILENT)
    except KafkaException as error:
        reason = f"the Kafka client refuses its configuration: {error.args[0].str()}"
        raise KafkaError(reason, where=where, fix="Check the settings kafka.*.") from error
    deadline = time.monotonic() + seconds
    while True:
        try:
            return len(admin.list_topics(timeout=min(1.0, seconds)).brokers)
        except KafkaException as error:
            admin.poll(0.0)
            for trouble in sorted(troubles, key=_rank):
                fix = _fix(trouble)
                if fix is not None:
                    reason = f"the broker does not let this process in: {_brief(trouble)}"
                    raise KafkaError(reason, where=where, fix=fix) from error
            if time.monotonic() > deadline:
                reason = f"the broker does not answer ({error.args[0].str()})"
                raise Unreached(reason, where=where, fix=_UNREACHED) from error


def in_plain_words(trouble: Code) -> str:
    """Return what a client was told, with the setting to mend where that is known."""
    fix = _fix(trouble)
    return trouble.str() if fix is None else f"{_brief(trouble)}. {fix}"


def _fix(trouble: Code) -> str | None:
    return _CERTIFICATE if _ALERT in trouble.str() else _FIXES.get(trouble.code())


def _rank(trouble: Code) -> int:
    """Return where a trouble stands among those to look for first."""
    known = list(_FIXES)
    return known.index(trouble.code()) if trouble.code() in known else len(known)


def _brief(trouble: Code) -> str:
    """Return what went wrong, without the address before it and the state of the connection behind it."""
    text = trouble.str()
    begins = max(text.find("SASL"), text.find("SSL"), 0)
    return text[begins:].partition(" (after ")[0].rstrip(".")

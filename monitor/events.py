"""The contract: what serving code says to the monitor, and how it is put on Kafka.

Each event is one Kafka message in CloudEvents 1.0 binary mode: the attributes are headers (``ce_id``,
``ce_source``, ``ce_type``, ``ce_specversion``, ``ce_time``), the value is the event as JSON, and the key is
``model_name/model_version``, so that one partition holds all that a version ever said.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, NamedTuple

import msgspec
import uuid_utils
from msgspec import Meta, Struct

SCHEMA_VERSION = 1

PREDICTION_TYPE = "org.mlmonitor.prediction.v1"
LABEL_TYPE = "org.mlmonitor.label.v1"

JSON_CONTENT = b"application/json"
MSGPACK_CONTENT = b"application/msgpack"
ARROW_CONTENT = b"application/vnd.apache.arrow.stream"

#: Headers by which a worker knows an event that it has already counted.
PRODUCER_HEADER = "producer_id"
SEQUENCE_HEADER = "sequence"

#: W3C trace context of the request that was answered, where there is one.
TRACE_HEADER = "traceparent"

_NAME, _VERSION = r"[^\x00-\x1f\x7f]+", r"[^/\x00-\x1f\x7f]+"

Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=f"^{_NAME}$")]
Version = Annotated[str, Meta(min_length=1, max_length=64, pattern=f"^{_VERSION}$")]
Identifier = Annotated[str, Meta(min_length=1, max_length=256)]
Instant = Annotated[dt.datetime, Meta(tz=True)]
Scalar = int | float | str | bool | None
Vector = list[float]
Feature = Scalar | Vector
Headers = list[tuple[str, bytes]]

_traceparent = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]([13579bdf])").fullmatch
_is_name = re.compile(_NAME).fullmatch
_is_version = re.compile(_VERSION).fullmatch


class ModelVersion(NamedTuple):
    """A registered model's name and its version: the key of everything.

    Examples
    --------
    >>> ModelVersion("credit", "7").key
    b'credit/7'
    >>> ModelVersion.from_key(b"team/credit/7")
    ModelVersion(model='team/credit', version='7')
    """

    model: str
    version: str

    @property
    def key(self) -> bytes:
        """The Kafka message key."""
        return f"{self.model}/{self.version}".encode()

    @classmethod
    def from_key(cls, key: bytes) -> ModelVersion:
        """Read a Kafka message key; a model's name may hold slashes, its version may not.

        Raises
        ------
        ValueError
            If the key is not ``model/version`` in UTF-8, as an event may have them.
        """
        model, _, version = key.decode().rpartition("/")
        named = _is_name(model) and _is_version(version)
        if not named or len(model) > 256 or len(version) > 64:
            msg = f"{key[:100]!r} is not model_name/model_version"
            raise ValueError(msg)
        return cls(model, version)


class HumanOverride(Struct, frozen=True, kw_only=True):
    """A person decided otherwise than the model."""

    decision: Scalar
    reviewer: Identifier
    reason: str
    at: Instant


class PredictionEvent(Struct, frozen=True, kw_only=True):
    """One answer of one model version.

    Attributes
    ----------
    event_id
        UUIDv7; the same id is the same event, however often it is published.
    prediction_id
        What labels join on.
    event_time
        When the model answered, RFC 3339 with an offset.
    features
        What the model was given. Numbers, strings, booleans, null, or a vector of numbers (an embedding).
    prediction
        What it answered: a class, or a number.
    score
        The probability or score behind the answer, if any.
    groups
        Protected attributes, kept apart from the features: the model need not see them.
    subject
        A pseudonym of the person concerned, never a name.
    latency_ms
        Milliseconds the model took.
    sampling_fraction
        Share of the traffic that is published, in (0, 1].

    Examples
    --------
    >>> event = PredictionEvent(
    ...     event_id="018f", prediction_id="p-1", model_name="credit", model_version="7",
    ...     event_time=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), features={"age": 41}, prediction=1)
    >>> decode_prediction(encode(event)) == event
    True
    """

    event_id: Identifier
    prediction_id: Identifier
    event_time: Instant
    model_name: Name
    model_version: Version
    features: dict[str, Feature]
    prediction: int | float | str | bool
    run_id: str | None = None
    score: float | None = None
    groups: dict[str, Scalar] = {}
    subject: str | None = None
    session_id: str | None = None
    transaction_id: str | None = None
    human_override: HumanOverride | None = None
    latency_ms: Annotated[float, Meta(ge=0)] | None = None
    sampling_fraction: Annotated[float, Meta(gt=0, le=1)] = 1.0
    deployment: str | None = None
    schema_version: Annotated[int, Meta(ge=1)] = SCHEMA_VERSION

    @property
    def version(self) -> ModelVersion:
        """The model version that answered."""
        return ModelVersion(self.model_name, self.model_version)


class LabelEvent(Struct, frozen=True, kw_only=True):
    """What turned out to be true, days or months after the prediction.

    Attributes
    ----------
    prediction_id
        The prediction it belongs to.
    model_version
        Empty where whoever knows the outcome does not know it: the prediction says.
    label
        In the words of the predictions: a class, or a number.
    label_time
        When the outcome became known, RFC 3339 with an offset.
    revision
        A higher revision of the same prediction's label replaces a lower one; of one revision, the later
        `label_time` holds.
    """

    prediction_id: Identifier
    model_name: Name
    label: int | float | str | bool
    label_time: Instant
    model_version: str = ""
    source: str | None = None
    revision: Annotated[int, Meta(ge=0)] = 0


_encoder = msgspec.json.Encoder()
_prediction_decoder = msgspec.json.Decoder(PredictionEvent)
_label_decoder = msgspec.json.Decoder(LabelEvent)


def encode(event: PredictionEvent | LabelEvent) -> bytes:
    """Return the event as the JSON value of a Kafka message.

    JSON has no NaN and no infinity: in features they become null.
    """
    return _encoder.encode(event)


def decode_prediction(value: bytes) -> PredictionEvent:
    """Read a prediction from JSON; unknown fields are passed over.

    Raises
    ------
    msgspec.ValidationError
        Naming the field that is missing or mistyped.
    msgspec.DecodeError
        If the value is not JSON.
    """
    return _prediction_decoder.decode(value)


def decode_label(value: bytes) -> LabelEvent:
    """Read a label from JSON; errors as in `decode_prediction`."""
    return _label_decoder.decode(value)


def new_event_id() -> str:
    """Return a fresh UUIDv7: unique, and sortable by time.

    Examples
    --------
    >>> new_event_id()[14]
    '7'
    """
    return str(uuid_utils.uuid7())


def cloud_event_headers(
    event_id: str,
    event_time: dt.datetime,
    source: str,
    *,
    type_: str = PREDICTION_TYPE,
    content_type: bytes = JSON_CONTENT,
) -> Headers:
    """Return the CloudEvents 1.0 binary-mode headers of one message.

    Examples
    --------
    >>> dict(cloud_event_headers("a", dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "/api"))["ce_time"]
    b'2026-01-02T00:00:00+00:00'
    """
    return [
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_time", event_time.isoformat().encode()),
        ("content-type", content_type),
    ]


def sampled_trace(header: bytes) -> str | None:
    """Return the trace id of a W3C ``traceparent``; None if nobody keeps that trace, or it is none.

    Examples
    --------
    >>> sampled_trace(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    '4bf92f3577b34da6a3ce929d0e0e4736'
    >>> sampled_trace(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"), sampled_trace(b"<x>")
    (None, None)
    """
    found = _traceparent(header)
    return None if found is None else found[1].decode()


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas (2020-12) of the contract, by file name; `schemas/` holds them."""
    schemas = {}
    for name, type_ in (("prediction_event", PredictionEvent), ("label_event", LabelEvent)):
        (body,), components = msgspec.json.schema_components([type_], ref_template="#/$defs/{name}")
        schemas[f"{name}.schema.json"] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **components.pop(type_.__name__),
            "$defs": components,
        }
        del body
    return schemas

"""The few words in which everything is reported, and the span of time that it is about."""

from __future__ import annotations

import enum

from msgspec import Struct


class Severity(enum.StrEnum):
    """How far a measure, or a window, is past its policy."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    INSUFFICIENT = "insufficient"
    WARN = "warn"
    BLOCK = "block"
    SEVERE = "severe"


class Family(enum.StrEnum):
    """What kind of thing went wrong; it decides what may be done about it."""

    FAIRNESS = "fairness"
    PREDICTION = "prediction"
    PERFORMANCE = "performance"
    DRIFT = "drift"
    QUALITY = "quality"
    TREND = "trend"


class Status(enum.StrEnum):
    """Whether a window could be judged."""

    OK = "ok"
    INSUFFICIENT = "insufficient"
    NO_BASELINE = "no_baseline"


class Basis(enum.StrEnum):
    """What a report rests on: the predictions as they come, or what turned out to be true of them."""

    PREDICTIONS = "predictions"
    LABELLED = "labelled"


class Action(enum.StrEnum):
    """What a verdict asks for."""

    NONE = "none"
    RECORD = "record"
    NOTIFY = "notify"
    ROLLBACK = "rollback"


class Window(Struct, frozen=True, order=True):
    """A span of event time, in seconds since 1970 UTC: from `start` to just before `end`."""

    start: float
    end: float

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.start

"""A file through the very engine, in event time: what a policy would have done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

from monitor.desk.labelled import LabelledRoad
from monitor.desk.tables import Roles, check_labels
from monitor.engine.partition import PartitionEngine, Place
from monitor.engine.roads import Road
from monitor.errors import InputError
from monitor.events import PRODUCER_HEADER, SEQUENCE_HEADER, ModelVersion
from monitor.metrics.protocol import NO_OTHERS
from monitor.profiles.layout import Kind
from monitor.profiles.series import column_of, kind_of
from monitor.reports import Action, as_dict

if TYPE_CHECKING:
    from monitor.baselines import Baseline
    from monitor.metrics.protocol import DriftMetric
    from monitor.policy.model import Policy
    from monitor.profiles.layout import Layout
    from monitor.reports import DeadLetter, Report, Verdict

#: Rows folded at once; what comes out does not depend on it.
_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file as a record."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class Replay:
    """What came of a replay.

    Attributes
    ----------
    reports, verdicts
        As they came, revisions included.
    counted
        How many rows were counted in windows.
    """

    counted: int = 0
    reports: list[Report] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def rollback(self) -> Verdict | None:
        """The first verdict that asks for a rollback."""
        return next((v for v in self.verdicts if v.action is Action.ROLLBACK), None)

    def as_dict(self) -> dict[str, Any]:
        """Return the object that `monitor replay --json` prints."""
        rollback = self.rollback
        return {
            "counted": self.counted,
            "dead_letters": len(self.dead_letters),
            "first_dead_letter": self.dead_letters[0].reason if self.dead_letters else None,
            "rollback": as_dict(rollback) if rollback else None,
            "windows": [as_dict(report) for report in self.reports],
            "verdicts": [as_dict(verdict) for verdict in self.verdicts],
        }


def replay_frame(
    frame: pd.DataFrame,
    roles: Roles,
    *,
    time_column: str,
    subject: ModelVersion,
    baseline: Baseline | None,
    policy: Policy,
    others: Mapping[str, DriftMetric] = NO_OTHERS,
) -> Replay:
    """Run the engine over the rows, in order of their time.

    Parameters
    ----------
    roles
        Prediction, score, label and groups are taken from the columns named here. With labels, windows have the
        measures that need them.
    time_column
        Holds time stamps, or seconds since 1970 UTC.
    others
        Third parties' measures of drift, by name.

    Raises
    ------
    InputError
        If a time cannot be read, or a column holds what no event can.
    """
    check_labels(frame, roles)
    times = _times(frame, time_column)
    if times.isna().any():
        raise InputError("a row has no time", where=time_column, fix="Leave such rows out.")
    # By place: a file that was put together from others may name two rows alike.
    order = times.argsort(kind="stable")
    frame, times = frame.iloc[order], times.iloc[order]
    road = Road if roles.label is None else _labelled(frame, roles.label)
    place = Place("replay", 0, lambda _: 0)
    engine = PartitionEngine(place, policy, others=others, road=road)
    engine.learn(subject, baseline)
    rows = _rows(frame, roles, times, subject)
    replay = Replay()
    while batch := list(islice(rows, _BATCH)):
        engine.fold(batch)
        _collect(engine, replay)
    rules = policy.of(subject.model).windows
    engine.idle(rules.grace + rules.length + rules.max_length)
    _collect(engine, replay)
    replay.counted = engine.counts["counted"]
    return replay


def _collect(engine: PartitionEngine, replay: Replay) -> None:
    outbox = engine.take()
    replay.reports += outbox.reports
    replay.verdicts += outbox.verdicts
    replay.dead_letters += outbox.dead_letters


def _times(frame: pd.DataFrame, column: str) -> pd.Series[pd.Timestamp]:
    values = frame[column]
    try:
        if pd.api.types.is_numeric_dtype(values):
            return pd.to_datetime(values, unit="s", utc=True)
        return pd.to_datetime(values, utc=True, format="ISO8601")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"a time cannot be read: {_unreadable(values)}",
            where=column,
            fix="Give ISO 8601 time stamps, or seconds since 1970 UTC; not milliseconds.",
        ) from error


def _unreadable(values: pd.Series[Any]) -> str:
    """Return the first value that is no time; pandas' own sentence ends in advice about its arguments."""
    if pd.api.types.is_numeric_dtype(values):
        times = pd.to_datetime(values, unit="s", utc=True, errors="coerce")
    else:
        times = pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce")
    wrong = values[times.isna() & values.notna()]
    return repr(wrong.tolist()[0]) if len(wrong) else "its type holds no times"


def _rows(
    frame: pd.DataFrame, roles: Roles, times: pd.Series[pd.Timestamp], subject: ModelVersion
) -> Iterator[Row]:
    others = {*roles.named, str(times.name)}
    features = [name for name in map(str, frame.columns) if name not in others]
    wanted = [name for name in (*features, *roles.named) if name != times.name]
    columns = {name: _plain(column_of(frame, name), name) for name in wanted}
    stamps = [time.isoformat() for time in times]
    arrivals = [int(time.timestamp() * 1000) + 1 for time in times]
    for i, stamp in enumerate(stamps):
        event = {
            "event_id": str(i),
            "prediction_id": str(i),
            "event_time": stamp,
            "model_name": subject.model,
            "model_version": subject.version,
            "features": {name: columns[name][i] for name in features},
            "prediction": columns[roles.prediction][i] if roles.prediction else None,
            "score": columns[roles.score][i] if roles.score else None,
            "groups": {name: columns[name][i] for name in roles.groups},
        }
        headers = ((PRODUCER_HEADER, b"replay"), (SEQUENCE_HEADER, str(i).encode()))
        yield Row(i, arrivals[i], subject.key, msgspec.json.encode(event), headers)


def _labelled(frame: pd.DataFrame, label: str) -> Callable[[ModelVersion, Layout], Road]:
    truths = _plain(column_of(frame, label), label)
    return partial(LabelledRoad, truths=truths)


def _plain(column: pd.Series[Any], name: str) -> Sequence[Any]:
    """Return Python scalars; what is missing as None."""
    kind = kind_of(column, name)  # refuses what no event can hold
    missing = column.isna()
    values: list[Any] = column.tolist()
    if kind is Kind.EMBEDDING:
        values = [
            value if gone else list(map(float, value))
            for value, gone in zip(values, missing, strict=True)
        ]
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]

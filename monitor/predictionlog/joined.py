"""Predictions joined with their labels on `prediction_id`, by polars: docs/decisions/050-joining-labels.md."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd
import polars as pl

from monitor.errors import StoreError
from monitor.events import ModelVersion
from monitor.predictionlog.apart import Protected
from monitor.predictionlog.labels import ORDER
from monitor.profiles.layout import MISSING
from monitor.profiles.vocabulary import label_of

if TYPE_CHECKING:
    from monitor.predictionlog.keys import DataKey, KeyRing
    from monitor.predictionlog.table import PredictionTable
    from monitor.reports import Window

_PREDICTION = (
    "date",
    "event_id",
    "prediction_id",
    "prediction",
    "number",
    "score",
    "protected",
    "key_id",
)

#: Of an event that came twice the first is it.
_FIRST = ("kafka_partition", "kafka_offset", "kafka_index")


#: A partition, and the topic it is of: a log may hold labels of several.
Source = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LabelNews:
    """Labels that came since a place in the topic.

    Attributes
    ----------
    arrived
        When the label that came first for each prediction was taken by Kafka, seconds since 1970 UTC.
    reached
        The last offset of each partition.
    """

    arrived: Mapping[str, float]
    reached: Mapping[Source, int]


class LabelledLog:
    """The log and the labels beside it.

    Parameters
    ----------
    keys
        To open the protected attributes that groups are made of.
    """

    def __init__(
        self, predictions: PredictionTable, labels: PredictionTable, keys: KeyRing
    ) -> None:
        self._predictions, self._labels, self._keys = predictions, labels, keys

    def models(self) -> tuple[str, ...]:
        """Return the models that labels were said of."""
        return tuple(sorted({model for _, model, _ in self._labels.partitions()}))

    def news(self, model: str, reached: Mapping[Source, int]) -> LabelNews:
        """Return which predictions were labelled after these offsets of each partition."""
        labels = self._of(self._labels, model)
        if labels is None:
            return LabelNews({}, {})
        topic, partition, offset = map(pl.col, ("kafka_topic", "kafka_partition", "kafka_offset"))
        for (name, number), last in reached.items():
            labels = labels.filter((topic != name) | (partition != number) | (offset > last))
        with _plainly(self._labels):
            found = labels.select("prediction_id", "arrived", topic, partition, offset).collect()
        first = found.group_by("prediction_id").agg(pl.col("arrived").min())
        last_of = found.group_by(topic, partition).agg(offset.max())
        return LabelNews(
            {name: time.timestamp() for name, time in first.iter_rows()},
            {**reached, **{(name, number): last for name, number, last in last_of.iter_rows()}},
        )

    def times(self, model: str, prediction_ids: Sequence[str]) -> dict[str, tuple[str, float]]:
        """Return version and event time of those predictions that are in the log."""
        rows = self._of(self._predictions, model)
        if rows is None or not prediction_ids:
            return {}
        wanted = pl.LazyFrame({"prediction_id": list(prediction_ids)})
        with _plainly(self._predictions):
            found = (
                rows.select("prediction_id", "version", "event_time")
                .join(wanted, on="prediction_id", how="semi")
                .collect()
            )
        return {name: (version, time.timestamp()) for name, version, time in found.iter_rows()}

    def window(self, subject: ModelVersion, window: Window, groups: Sequence[str]) -> pd.DataFrame:
        """Return a version's predictions of a window, each once, with the label that holds, if any.

        Returns
        -------
        DataFrame
            Columns `prediction` and `label` (text), `number` and `truth` (the same as numbers), `score`, and one for
            each of `groups`. No label is a missing one, never a negative one.
        """
        rows = self._of(self._predictions, subject.model)
        if rows is None:
            return pd.DataFrame()
        start, end = _moment(window.start), _moment(window.end)
        time, date = pl.col("event_time"), pl.col("date")
        rows = rows.filter(
            (date >= start.date()) & (date <= end.date()) & (time >= start) & (time < end)
        ).filter(pl.col("version") == subject.version)
        chosen = (
            rows.select(*_PREDICTION, *_FIRST)
            .sort(*_FIRST)
            .unique("event_id", keep="first", maintain_order=True)
        )
        with _plainly(self._predictions):
            found = _with_labels(chosen, self._of(self._labels, subject.model)).collect()
        opened = self._opened(found, subject.model, groups)
        kept = ("prediction", "number", "score", "label", "truth")
        return pd.DataFrame({**{name: found[name].to_list() for name in kept}, **opened})

    def _opened(
        self, rows: pl.DataFrame, model: str, groups: Sequence[str]
    ) -> dict[str, list[str]]:
        columns: dict[str, list[str]] = {name: [] for name in groups}
        if not groups:
            return columns
        keys: dict[dt.date, DataKey | None] = {}
        sealed = rows.select("date", "event_id", "protected", "key_id").iter_rows()
        for date, event_id, protected, key_id in sealed:
            held: Mapping[str, Any] = {}
            if protected is not None:
                if date not in keys:
                    keys[date] = self._keys.find(date, model)
                key = keys[date]
                if key is not None and key.name == key_id:
                    opened = msgspec.json.decode(key.open(protected, event_id), type=Protected)
                    held = opened.groups
            for name, column in columns.items():
                value = held.get(name)
                column.append(MISSING if value is None else label_of(value))
        return columns

    def _of(self, table: PredictionTable, model: str) -> pl.LazyFrame | None:
        rows = table.scan()
        return None if rows is None else rows.filter(pl.col("model") == model)


def _with_labels(rows: pl.LazyFrame, labels: pl.LazyFrame | None) -> pl.LazyFrame:
    if labels is None:
        nothing = pl.lit(None, pl.String).alias("label"), pl.lit(None, pl.Float64).alias("truth")
        return rows.with_columns(*nothing)
    said = labels.select("prediction_id", "label", pl.col("number").alias("truth"), *ORDER)
    holding = (
        said.join(rows.select("prediction_id"), on="prediction_id", how="semi")
        .sort(*ORDER)
        .group_by("prediction_id")
        .agg(pl.col("label").last(), pl.col("truth").last())
    )
    return rows.join(holding, on="prediction_id", how="left", maintain_order="left")


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


@contextmanager
def _plainly(table: PredictionTable) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError(
            f"the prediction log cannot be read: {error}",
            where=table.uri,
            fix="Look at its disk or bucket; if files were being deleted, ask again.",
        ) from error

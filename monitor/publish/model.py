"""A model that publishes each of its answers."""

from __future__ import annotations

import datetime as dt
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from monitor.events import ModelVersion, PredictionEvent, Scalar, new_event_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.publish.publisher import PredictionPublisher

Columns = dict[str, "list[Scalar]"]


class Model(Protocol):
    """Anything that predicts for rows: an MLflow pyfunc, a scikit-learn estimator."""

    def predict(self, data: Any) -> Any: ...  # noqa: D102 said above


class MonitoredModel:
    """Wraps a model: the same answers, and one published event for each row.

    Publishing cannot break serving: rows that cannot be made into events are counted as invalid by the
    publisher, and the answer is given all the same.

    Parameters
    ----------
    model
        Its ``predict`` takes a DataFrame or a list of dicts. It returns one answer a row, or a DataFrame or
        dict with columns ``prediction`` and ``score``.
    version
        Which registered version this is.
    groups
        Columns that hold protected attributes. They are published apart from the features, and taken out
        before the model sees the rows.
    score
        Called with what the model sees; returns the score of each row, such as
        ``lambda rows: classifier.predict_proba(rows)[:, 1]``.

    Examples
    --------
    >>> class Adult:
    ...     def predict(self, rows): return [int(row["age"] >= 18) for row in rows]
    >>> class Print:
    ...     def publish(self, event): print(event.features, event.groups, event.prediction)
    >>> model = MonitoredModel(Adult(), Print(), version=ModelVersion("adult", "1"), groups=["sex"])
    >>> model.predict([{"age": 41, "sex": "f"}])
    {'age': 41} {'sex': 'f'} 1
    [1]
    """

    def __init__(
        self,
        model: Model,
        publisher: PredictionPublisher,
        *,
        version: ModelVersion,
        run_id: str | None = None,
        groups: Sequence[str] = (),
        score: Callable[[Any], Any] | None = None,
        deployment: str | None = None,
    ) -> None:
        self.model = model
        self.version = version
        self.run_id = run_id
        self._publisher = publisher
        self._groups = tuple(groups)
        self._score = score
        self._deployment = deployment

    def predict(
        self,
        data: Any,
        *,
        groups: Any = None,
        event_times: Sequence[dt.datetime] | dt.datetime | None = None,
        prediction_ids: Sequence[str] | None = None,
        subjects: Sequence[str | None] | None = None,
        session_ids: Sequence[str | None] | None = None,
        transaction_ids: Sequence[str | None] | None = None,
    ) -> Any:
        """Return the model's own answer, and publish one event a row.

        Parameters
        ----------
        data
            DataFrame, or a list of dicts.
        groups
            Protected attributes as columns of their own (DataFrame or list of dicts, same rows), beside
            those named in `groups` of the constructor.
        event_times
            When each row was asked, with a time zone; now, by default.
        prediction_ids
            What labels will join on; made by default.
        """
        seen, apart = _split(data, self._groups)
        began = time.perf_counter()
        answer = self.model.predict(seen)
        latency_ms = (time.perf_counter() - began) * 1e3
        rows = 1
        try:
            predictions, scores = _answers(answer)
            rows = len(predictions)
            columns: dict[str, Any] = {
                "features": _rows_of(columns_of(seen), rows),
                "groups": _rows_of({**columns_of(apart), **columns_of(groups)}, rows),
                "prediction": predictions,
                "score": scores if self._score is None else _plain_list(self._score(seen)),
                "event_time": _times(event_times, rows),
                "prediction_id": prediction_ids,
                "subject": subjects,
                "session_id": session_ids,
                "transaction_id": transaction_ids,
            }
            given = {name: values for name, values in columns.items() if values is not None}
            events = zip(*given.values(), strict=True)
            for values in list(events):
                self._publish(dict(zip(given, values, strict=True)), latency_ms / rows)
        except Exception as error:  # noqa: BLE001 `score` is anybody's code; it is counted, and told
            self._publisher.refuse(error, events=rows)
        return answer

    def _publish(self, fields: dict[str, Any], latency_ms: float) -> None:
        if fields["prediction"] is None:
            self._publisher.refuse("the model gave no answer for a row (None or NaN)")
            return
        event_id = new_event_id()
        event = PredictionEvent(
            event_id=event_id,
            model_name=self.version.model,
            model_version=self.version.version,
            run_id=self.run_id,
            latency_ms=latency_ms,
            deployment=self._deployment,
            **{"prediction_id": event_id, **fields},
        )
        self._publisher.publish(event)


def columns_of(data: Any) -> Columns:
    """Return a DataFrame's, or a list of dicts', columns as lists of plain Python values.

    Examples
    --------
    >>> columns_of([{"age": 41, "job": "nurse"}, {"age": float("nan")}])
    {'age': [41, None], 'job': ['nurse', None]}
    """
    if data is None:
        return {}
    if hasattr(data, "columns"):
        return {str(name): list(map(plain, _listed(data[name]))) for name in data.columns}
    if isinstance(data, dict):
        return {str(name): list(map(plain, _listed(values))) for name, values in data.items()}
    names = dict.fromkeys(name for row in data for name in row)
    return {str(name): [plain(row.get(name)) for row in data] for name in names}


def plain(value: Any) -> Any:
    """Return a number, string, boolean or None for any scalar: NaN, NaT and NA are None. Of a vector, a list of those.

    Examples
    --------
    >>> plain(float("nan")), plain(dt.date(2026, 1, 2)), plain(True), plain((1.0, 2.5))
    (None, '2026-01-02', True, [1.0, 2.5])
    """
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is int or kind is str or kind is bool or value is None:
        return value
    if kind.__name__ in {"NAType", "NaTType"}:
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1:
        return [plain(part) for part in value]
    return plain(value.item()) if hasattr(value, "item") else str(value)


def _listed(values: Any) -> list[Any]:
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _plain_list(values: Any) -> list[Scalar]:
    found = _listed(values)
    if found and isinstance(found[0], list):
        if len(found[0]) > 2:
            msg = f"{len(found[0])} values for a row where one is wanted"
            raise ValueError(msg)
        found = [row[-1] for row in found]  # one column, or the two of predict_proba
    return [plain(value) for value in found]


def _split(data: Any, names: tuple[str, ...]) -> tuple[Any, Any]:
    """Part the protected attributes from what the model sees; a column that is not there is missing."""
    if not names:
        return data, None
    if hasattr(data, "columns"):
        present = [name for name in names if name in data.columns]
        return data.drop(columns=present), data[present]
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        seen = [{k: v for k, v in row.items() if k not in names} for row in data]
        return seen, [{name: row.get(name) for name in names} for row in data]
    return data, None


def _answers(answer: Any) -> tuple[list[Scalar], list[Scalar] | None]:
    names = answer.columns if hasattr(answer, "columns") else answer
    if hasattr(answer, "columns") or isinstance(answer, dict):
        if "prediction" in names:
            scores = _plain_list(answer["score"]) if "score" in names else None
            return _plain_list(answer["prediction"]), scores
        if len(names) != 1:
            msg = f"the model answers in columns {list(names)}, none of them called prediction"
            raise ValueError(msg)
        return _plain_list(answer[next(iter(names))]), None
    return _plain_list(answer), None


def _rows_of(columns: Columns, rows: int) -> list[dict[str, Scalar]]:
    if not columns:
        return [{} for _ in range(rows)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _times(given: Sequence[dt.datetime] | dt.datetime | None, rows: int) -> Sequence[dt.datetime]:
    if given is None or isinstance(given, dt.datetime):
        return [given or dt.datetime.now(dt.UTC)] * rows
    return given

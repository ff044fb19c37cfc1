"""The store that Grafana reads: InfluxDB 2."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import urllib3
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

from monitor.errors import StoreError
from monitor.reports import Basis, Decision, Report
from monitor.stores import flux
from monitor.stores.points import (
    MEASUREMENTS,
    Point,
    decision_point,
    nanoseconds,
    report_points,
    tag,
)
from monitor.stores.protocol import SetAside, in_order

#: Answers that blame what was sent; any other blames the server, the network or the credentials.
_REFUSALS = frozenset({400, 413, 422})

_FIXES = {
    401: "Check the token.",
    403: "Give the token the right to read and write the bucket.",
    404: "Check the organisation and the bucket; `monitor doctor` names those it finds.",
}

_EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LATEST = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)

_REVISIONS = {Basis.PREDICTIONS: flux.REVISIONS, Basis.LABELLED: flux.LABELLED_REVISIONS}

_Place = tuple[Basis, str, str, int]

S = TypeVar("S", bound=msgspec.Struct)


class InfluxStore:
    """Reports and decisions as points of one bucket.

    Parameters
    ----------
    url, org, bucket, token
        As InfluxDB knows them.
    timeout
        Seconds that one request may take.
    """

    def __init__(
        self, url: str, *, org: str, bucket: str, token: str, timeout: float = 10.0
    ) -> None:
        self._url, self._bucket = url, bucket
        self._client: Any = InfluxDBClient(
            url=url, token=token, org=org, timeout=int(timeout * 1000)
        )
        # Nothing is written behind the caller's back: what `write` returns from is kept.
        self._writer: Any = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, reports: Sequence[Report], decisions: Sequence[Decision]) -> list[SetAside]:
        """Write each window's points as one batch, then the decisions as one. See `ReportStore`.

        A point that InfluxDB refuses is set aside; the batch is halved until it is found, and the rest is written.
        A window's lower revision is deleted first: points that the higher one does not have would stay.
        """
        refused: list[SetAside] = []
        newest = _highest_revisions(reports)
        known = self._revisions(newest)
        for report in newest:
            kept = known.get(_place(report))
            if kept is not None and kept > report.revision:
                continue
            if kept is not None and kept < report.revision:
                self._erase(report)
            refused += self._write(report_points(report))
        refused += self._write([decision_point(decision) for decision in decisions])
        return refused

    def reports(
        self,
        model: str | None = None,
        version: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        basis: Basis = Basis.PREDICTIONS,
    ) -> list[Report]:
        """Return the newest reports, oldest first. See `ReportStore`."""
        asked = {"_model": _asked(model), "_version": _asked(version), "_limit": limit}
        text = flux.REPORTS if basis is Basis.PREDICTIONS else flux.LABELLED_REPORTS
        rows = self._query(text, asked, since, until)
        return _joined(rows, "report_", Report)

    def newest(self) -> list[Report]:
        """Return the newest report of every version, oldest first. See `ReportStore`."""
        return in_order(_joined(self._query(flux.NEWEST, {}, None, None), "report_", Report))

    def decisions(
        self,
        model: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
    ) -> list[Decision]:
        """Return the newest steps of decisions, oldest first. See `ReportStore`."""
        asked = {"_model": _asked(model), "_limit": limit}
        rows = self._query(flux.DECISIONS, asked, since, until)
        return _joined(rows, "decision_", Decision)

    def write_points(self, points: Sequence[Point]) -> None:
        """Write points that are none of a report's.

        Raises
        ------
        StoreError
            If InfluxDB does not answer, or refuses them.
        """
        with self._speaking():
            self._writer.write(bucket=self._bucket, record=list(points))

    def health(self) -> None:
        """Return if the bucket can be read and written. See `ReportStore`."""
        self.decisions(limit=1, since=0.0, until=1.0)
        with self._speaking():
            # An empty write asks for the right to write, and writes nothing.
            self._writer.write(bucket=self._bucket, record="# health")

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        self._client.close()

    def _write(self, points: Sequence[Point]) -> list[SetAside]:
        if not points:
            return []
        try:
            with self._speaking():
                self._writer.write(bucket=self._bucket, record=list(points))
        except _Refused as refusal:
            if len(points) == 1:
                return [SetAside(_name(points[0]), str(refusal))]
            half = len(points) // 2
            return self._write(points[:half]) + self._write(points[half:])
        return []

    def _revisions(self, reports: Sequence[Report]) -> Mapping[_Place, int]:
        """Return the revision kept of each window near these, by basis, model, version and end."""
        known: dict[_Place, int] = {}
        for basis, text in _REVISIONS.items():
            ends = [report.window.end for report in reports if report.basis is basis]
            if not ends:
                continue
            for row in self._query(text, {}, min(ends), max(ends) + 1e-6):
                end = _microseconds(row["_time"].timestamp())
                known[basis, row["model"], row["version"], end] = row["_value"]
        return known

    def _erase(self, report: Report) -> None:
        """Delete a window's points of this basis; those of the other basis have the same time, and stay."""
        end = _moment(report.window.end)
        for measurement in MEASUREMENTS[report.basis]:
            predicate = flux.of_version(measurement, tag(report.model), tag(report.version))
            with self._speaking():
                self._client.delete_api().delete(end, end, predicate, bucket=self._bucket)

    def _query(
        self, text: str, asked: Mapping[str, Any], since: float | None, until: float | None
    ) -> list[Mapping[str, Any]]:
        span = {
            "_bucket": self._bucket,
            "_since": _EARLIEST if since is None else _moment(since),
            "_until": _LATEST if until is None else _moment(until),
        }
        with self._speaking():
            tables = self._client.query_api().query(text, params=span | dict(asked))
        return [record.values for table in tables for record in table.records]

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except InfluxDBError as error:
            status, message = _answer(error)
            if status in _REFUSALS:
                raise _Refused(message, where=self._url) from error
            raise StoreError(
                f"InfluxDB answers {status}: {message}",
                where=self._url,
                fix=_FIXES.get(status or 0, "See InfluxDB's own log."),
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreError(
                f"InfluxDB does not answer: {error}",
                where=self._url,
                fix="Start it, or check the address.",
            ) from error


class _Refused(StoreError):
    """InfluxDB blames what it was sent."""


def _highest_revisions(reports: Sequence[Report]) -> list[Report]:
    highest: dict[str, Report] = {}
    for report in reports:
        known = highest.get(report.id)
        if known is None or report.revision >= known.revision:
            highest[report.id] = report
    return list(highest.values())


def _joined(rows: Sequence[Mapping[str, Any]], prefix: str, type_: type[S]) -> list[S]:
    """Put each row's parts together; the newest row comes first, and goes last."""
    texts = [
        "".join(row[name] for name in sorted(row) if name.startswith(prefix) and row[name])
        for row in reversed(rows)
    ]
    return [msgspec.json.decode(text, type=type_) for text in texts]


def _place(report: Report) -> _Place:
    end = _microseconds(report.window.end)
    return report.basis, tag(report.model), tag(report.version), end


def _asked(name: str | None) -> str:
    return "" if name is None else tag(name)


def _moment(seconds: float) -> dt.datetime:
    return _EARLIEST + dt.timedelta(microseconds=_microseconds(seconds))


def _microseconds(seconds: float) -> int:
    return nanoseconds(seconds) // 1000


def _answer(error: InfluxDBError) -> tuple[int, str]:
    """Return the HTTP status and what InfluxDB says of it."""
    body = getattr(error, "body", None) or ""
    try:
        message = str(msgspec.json.decode(body)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        message = str(getattr(error, "reason", None) or error)
    return int(getattr(error, "status", None) or 0), message


def _name(point: Point) -> str:
    tags = ", ".join(f"{name} {value}" for name, value in point["tags"].items())
    return f"{point['measurement']} of {tags}"

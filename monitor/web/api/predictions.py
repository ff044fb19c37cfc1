"""`GET /v1/predictions`: the questions of `monitor log query` and `monitor explain`, over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from monitor.desk.explain import NoSuchPrediction, explain
from monitor.errors import InputError
from monitor.predictionlog.export import plain, to_csv, to_parquet
from monitor.predictionlog.query import Query as LogQuery
from monitor.predictionlog.where import instant, parse_condition
from monitor.web.access import Reader, Refused
from monitor.web.api.cursor import cursor_of, read_cursor
from monitor.web.auth import Caller, Role
from monitor.web.rooms import Opened, Rooms

router = APIRouter(prefix="/v1/predictions", tags=["predictions"])

#: How requests are refused here.
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Something asked for cannot be understood."},
    401: {"description": "No token, or none that is accepted."},
    403: {"description": "The role is not theirs."},
    429: {"description": "Too many requests; Retry-After says when."},
    503: {"description": "The log, a key or a server cannot be reached."},
    504: {"description": "The question took longer than it may."},
}

_FORMATS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page, the oldest first. What comes before it is behind `next`, or the header Link.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

#: A text that may be asked for.
Text = Annotated[str, Field(min_length=1, max_length=512)]


class Question(BaseModel):
    """What is asked for; all of it must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Text
    version: Text | None = None
    since: Text | None = Field(None, description="From this event time on, RFC 3339; UTC.")
    until: Text | None = Field(None, description="Before this event time.")
    subject: Text | None = Field(
        None, description="As the serving code names the person; for auditors."
    )
    prediction_id: Text | None = None
    where: list[Text] = Field([], max_length=20, description="Such as `score >= 0.5`.")
    limit: int = Field(100, ge=1, le=10_000)
    cursor: Text | None = Field(None, description="`next` of the page before.")
    protected: bool = Field(False, description="With protected attributes; for auditors.")
    format: Literal["json", "csv", "parquet"] = "json"

    def query(self, most: int) -> LogQuery:
        """Return the question for the log, of at most so many rows.

        Raises
        ------
        InputError
            Naming what cannot be understood.
        """
        return LogQuery(
            model=self.model,
            version=self.version,
            since=_instant("since", self.since),
            until=_instant("until", self.until),
            subject=self.subject,
            prediction_id=self.prediction_id,
            where=tuple(map(parse_condition, self.where)),
            limit=min(self.limit, most),
            before=None if self.cursor is None else read_cursor(self.cursor),
        )


class Page(BaseModel):
    """Rows of the log, the oldest first."""

    rows: list[dict[str, Any]]
    next: str | None = Field(description="Cursor of the page before these rows; none at the end.")


@router.get("", response_model=Page, responses={**_FORMATS, **REFUSALS})
def predictions(
    question: Annotated[Question, Query()], caller: Reader, rooms: Opened, request: Request
) -> Response:
    """Return the newest predictions that are asked for. The question goes on the record."""
    return _answer(question, caller, rooms, request)


@router.post("/query", response_model=Page, responses={**_FORMATS, **REFUSALS})
def query(question: Question, caller: Reader, rooms: Opened, request: Request) -> Response:
    """Return the same, asked in a body: no proxy on the way writes a person's name into its log."""
    return _answer(question, caller, rooms, request)


@router.get(
    "/{prediction_id:path}", responses={**REFUSALS, 404: {"description": "Not in the log."}}
)
def explanation(
    prediction_id: Text,
    caller: Reader,
    rooms: Opened,
    model: Annotated[Text | None, Query()] = None,
    *,
    protected: bool = False,
) -> Response:
    """Tell the whole story of one decision, as `monitor explain` does."""
    _check_role(caller, protected=protected)
    try:
        found = explain(
            prediction_id,
            rooms.log(caller.name),
            rooms.store(),
            rooms.registry(),
            rooms.policy(),
            model=model,
            protected=protected,
            seconds=rooms.settings.web.statement_seconds,
        )
    except NoSuchPrediction as error:
        raise Refused(404, error.what) from error
    return Response(msgspec.json.encode(found), media_type="application/json")


def _answer(question: Question, caller: Caller, rooms: Rooms, request: Request) -> Response:
    _check_role(caller, protected=question.protected or question.subject is not None)
    web = rooms.settings.web
    asked = question.query(web.page_rows)
    rows = rooms.log(caller.name).ask(
        asked, protected=question.protected, seconds=web.statement_seconds
    )
    following = cursor_of(rows) if rows.num_rows == asked.limit else None
    headers: dict[str, str] = {}
    if following is not None:
        headers["X-Next-Cursor"] = following
    if following is not None and request.method == "GET":
        headers["Link"] = f'<{request.url.include_query_params(cursor=following)}>; rel="next"'
    if question.format == "csv":
        return Response(to_csv(rows), media_type="text/csv", headers=headers)
    if question.format == "parquet":
        return Response(
            to_parquet(rows), media_type="application/vnd.apache.parquet", headers=headers
        )
    page = msgspec.json.encode({"rows": list(plain(rows)), "next": following})
    return Response(page, media_type="application/json", headers=headers)


def _check_role(caller: Caller, *, protected: bool) -> None:
    if protected and not caller.may(Role.AUDITOR):
        raise Refused(403, "protected attributes, and who a pseudonym is, are for auditors")


def _instant(name: str, text: str | None) -> dt.datetime | None:
    try:
        return None if text is None else instant(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is neither a date nor a time", where=name, fix="Write RFC 3339."
        ) from error

"""The pages' addresses: what is read for each, and who may see it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from monitor.desk.fleet import heard, stand
from monitor.reports import Basis
from monitor.web.access import Reader
from monitor.web.pages import show
from monitor.web.pages.audit import audit_of
from monitor.web.pages.decision import decision_page
from monitor.web.pages.fleet import fleet_of
from monitor.web.pages.live import changes
from monitor.web.pages.model import WINDOWS, model_page
from monitor.web.pages.recent import Recent
from monitor.web.pages.serving import Serving
from monitor.web.pages.sign_in import Looking, Viewer
from monitor.web.pages.window import window_page
from monitor.web.rooms import Opened, Rooms

if TYPE_CHECKING:
    from monitor.reports import Decision

router = APIRouter(include_in_schema=False)

#: A browser keeps what stands under its own hash.
_FOREVER = {"cache-control": "public, max-age=31536000, immutable"}

#: Decisions looked through for one model.
_DECISIONS = 1_000


class Desk:
    """What the pages read, shared by all who look."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.recent = Recent(rooms.store)
        self.serving = Serving(self._alias)

    def _alias(self, model: str) -> str | None:
        return self.rooms.registry().alias(model, self.rooms.policy().of(model).alias)


def _desk(request: Request, rooms: Opened) -> Desk:
    state = request.app.state
    if not hasattr(state, "desk"):
        state.desk = Desk(rooms)
    desk: Desk = state.desk
    return desk


Shared = Annotated[Desk, Depends(_desk)]


@router.get("/")
def fleet(desk: Shared, viewer: Looking) -> HTMLResponse:
    """Show every model."""
    now, seen = time.time(), desk.recent.look()
    shown = fleet_of(
        seen.reports, seen.decisions, desk.serving.version, desk.rooms.policy(), now=now
    )
    return show.page("fleet", now=now, viewer=viewer, page=shown)


@router.get("/models/{model:path}/versions/{version}/windows/{span}")
def window(model: str, version: str, span: str, desk: Shared, viewer: Looking) -> HTMLResponse:
    """Show one window of one version."""
    now, (start, end) = time.time(), _span(span)
    store, policy = desk.rooms.store(), desk.rooms.policy()
    around = policy.of(model).windows.max_length * 2
    near = store.reports(model, version, since=end - around, until=end + around, limit=100)
    found = [r for r in near if f"{r.window.start:.0f}-{r.window.end:.0f}" == f"{start}-{end}"]
    if not found:
        return _missing(
            f"No window of {model}, version {version}, is kept that ended then.", viewer
        )
    truths = store.reports(model, version, since=end - 1, until=end + 1, basis=Basis.LABELLED)
    shown = window_page(
        found[-1],
        near,
        store.decisions(model, limit=_DECISIONS),
        policy.of(model),
        labelled=next((one for one in truths if one.window == found[-1].window), None),
    )
    return show.page("window", now=now, viewer=viewer, page=shown)


@router.get("/models/{model:path}/decisions/{name}")
def decision(model: str, name: str, desk: Shared, viewer: Looking) -> HTMLResponse:
    """Show one decision with all its steps."""
    now, store = time.time(), desk.rooms.store()
    steps = [d for d in store.decisions(model, limit=_DECISIONS) if d.rollback_id == name]
    if not steps:
        return _missing(f"No decision of this name about {model} is kept.", viewer)
    shown = decision_page(
        steps,
        store.reports(model, steps[0].from_version, until=_judged(steps) + 1e-3, limit=200),
        audit_of(desk.rooms.settings.audit.path, {step.decision_id for step in steps}),
        desk.rooms.policy().of(model),
    )
    return show.page("decision", now=now, viewer=viewer, page=shown)


@router.get("/models/{model:path}")
def model(model: str, desk: Shared, viewer: Looking) -> HTMLResponse:
    """Show one model over its newest windows."""
    now, store = time.time(), desk.rooms.store()
    reports = store.reports(model, limit=WINDOWS)
    if not reports:
        return _missing(f"No window of {model} is kept.", viewer)
    decisions = store.decisions(model, limit=_DECISIONS)
    policy = desk.rooms.policy()
    (standing,) = heard(stand(reports, decisions, desk.serving.version, now=now), policy)
    shown = model_page(reports, decisions, standing, policy, now=now)
    return show.page("model", now=now, viewer=viewer, page=shown)


@router.get("/live")
def live(request: Request, desk: Shared, _: Reader) -> StreamingResponse:
    """Say which models changed, as server-sent events."""
    return StreamingResponse(
        changes(desk.recent, request.is_disconnected), media_type="text/event-stream"
    )


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Give one of the pages' own files: they say nothing of anybody, and the sign-in page needs them too."""
    if name == "plotly.js":
        return Response(show.plotly(), media_type="text/javascript", headers=_FOREVER)
    if name not in show.PARTS:
        return Response(status_code=404)
    return Response(show.part(name), media_type=show.PARTS[name], headers=_FOREVER)


def _span(said: str) -> tuple[int, int]:
    start, _, end = said.rpartition("-")
    try:
        return int(start), int(end)
    except ValueError:
        return 0, 0


def _judged(steps: list[Decision]) -> float:
    return max(s.verdict.window.end if s.verdict is not None else s.at for s in steps)


def _missing(why: str, viewer: Viewer) -> HTMLResponse:
    return show.page("missing", now=time.time(), status=404, viewer=viewer, why=why)

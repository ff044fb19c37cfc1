"""Signing in from a browser: a token is exchanged for a cookie that no script can read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from monitor.web.access import Door, Reader, Refused
from monitor.web.auth import COOKIE
from monitor.web.pages import show

if TYPE_CHECKING:
    from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_TITLES = {401: "Sign in", 403: "Not for you", 429: "Too many requests"}

#: Names of this machine: here a cookie may travel without TLS.
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page, and whether by a cookie that they may want to be rid of."""

    name: str
    by_cookie: bool


def _viewer(request: Request, caller: Reader) -> Viewer:
    return Viewer(caller.name, COOKIE in request.cookies)


#: Who looks, as a route's parameter: readers only.
Looking = Annotated[Viewer, Depends(_viewer)]


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Take a token, and go on where the person wanted to be."""
    said = parse_qs((await request.body()).decode(errors="replace"))
    token, place = said.get("token", [""])[0].strip(), _local(said.get("next", ["/"])[0])
    door: Door = request.app.state.door
    try:
        lasts = door.sign_in(request, token) - time.time()
    except Refused as error:
        return refusal(request, error, place=place)
    answer = RedirectResponse(place, 303)
    secure = request.url.hostname not in _THIS_MACHINE
    answer.set_cookie(
        COOKIE, token, max_age=int(lasts), httponly=True, secure=secure, samesite="strict"
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """Forget the cookie."""
    answer = RedirectResponse("/", 303)
    if request.headers.get("sec-fetch-site") == "same-origin":
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks, rather than a program."""
    return "text/html" in request.headers.get("accept", "")


def refusal(request: Request, error: Refused, *, place: str | None = None) -> HTMLResponse:
    """Return the page that says why a request is not answered, with the form where signing in may help."""
    may_sign_in = request.app.state.settings.web.auth == "jwt" and error.status in {401, 403}
    return show.page(
        "refused",
        now=time.time(),
        status=error.status,
        viewer=None,
        title=_TITLES.get(error.status, "Not now"),
        why=f"{str(error)[:1].upper()}{str(error)[1:]}.",
        may_sign_in=may_sign_in,
        next=_local(str(request.url.path)) if place is None else place,
    )


def _local(place: str) -> str:
    """Return a path of this site; anything else would send people elsewhere.

    Examples
    --------
    >>> _local("/models/credit"), _local("//evil.example"), _local("https://evil.example")
    ('/models/credit', '/', '/')
    """
    is_ours = place.startswith("/") and not place.startswith("//") and "\\" not in place
    return place if is_ours and place.isprintable() else "/"

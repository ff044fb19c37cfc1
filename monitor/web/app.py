"""The web application, put together: routes behind their door, and errors in plain words."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from monitor import __version__
from monitor.errors import EventError, InputError, MonitorError, SettingsError
from monitor.predictionlog.query import QuestionTooLong
from monitor.web.access import Door, Refused
from monitor.web.auth import auth_of
from monitor.web.pages.show import down
from monitor.web.pages.sign_in import refusal, wants_page
from monitor.web.rooms import Rooms
from monitor.web.shield import Shield

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.responses import Response

    from monitor.settings import Settings

#: Where each router is; a file each, plugged in here.
ROUTERS = (
    "monitor.web.api.health:router",
    "monitor.web.api.predictions:router",
    "monitor.web.api.expiry:router",
    "monitor.web.pages.sign_in:router",
    "monitor.web.pages.routes:router",
)

_THIS_MACHINE = ["localhost", "127.0.0.1", "[::1]"]


def create_app(settings: Settings, rooms: Rooms | None = None) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    rooms
        What the routes read; by default what the settings name.

    Raises
    ------
    SettingsError
        If the keys that tokens are checked with cannot be read.
    """
    web = settings.web
    opened = Rooms(settings) if rooms is None else rooms

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        opened.close()

    hosts = [name.strip() for name in web.allowed_hosts.split(",") if name.strip()]
    if not hosts:
        # A page elsewhere whose name is made to lead here must not be able to ask in this machine's name.
        hosts = _THIS_MACHINE if web.auth == "none" else ["*"]
    app = FastAPI(
        title="model-monitor",
        version=__version__,
        summary="The prediction log, asked over HTTP; every question goes on the record.",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # they load their script from another site
        redoc_url=None,
        lifespan=lifespan,
        middleware=[Middleware(Shield), Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
    )
    app.state.settings, app.state.rooms = settings, opened
    app.state.door = Door(auth_of(web), web.requests_per_minute)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(MonitorError, _failed)
    for place in ROUTERS:
        app.include_router(_router(place))
    return app


def _router(place: str) -> APIRouter:
    module, name = place.split(":")
    router: APIRouter = getattr(importlib.import_module(module), name)
    return router


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if wants_page(request):
        page = refusal(request, error)
        page.headers.update(headers)
        return page
    return JSONResponse({"error": str(error)}, error.status, headers)


def _failed(request: Request, error: Exception) -> Response:
    """Say what went wrong; of this server's own files and settings only that they did."""
    assert isinstance(error, MonitorError)
    if wants_page(request):
        return down(error)
    if isinstance(error, InputError | EventError):
        return JSONResponse({"error": str(error)}, 400)
    if isinstance(error, QuestionTooLong):
        return JSONResponse({"error": str(error)}, 504)
    if isinstance(error, SettingsError):
        return JSONResponse({"error": error.what, "setting": error.where}, 503)
    return JSONResponse({"error": error.what}, 503)

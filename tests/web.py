"""The web application, asked within the test's own process."""

from __future__ import annotations

import asyncio
import datetime as dt

import httpx
import jwt
from pydantic import SecretStr

from monitor.settings import Settings, Web
from monitor.web.app import create_app

SECRET = "an HS256 secret of thirty-two bytes, at least"


def token(name: str, *roles: str) -> str:
    exp = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    return jwt.encode({"sub": name, "roles": roles, "exp": exp}, SECRET, "HS256")


class InProcess(httpx.BaseTransport):
    """Hands requests to an ASGI application; what it raises is answered as a server would."""

    def __init__(self, app) -> None:
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            answer = await self._inner.handle_async_request(request)
            content = await answer.aread()
            return httpx.Response(answer.status_code, headers=answer.headers, content=content)

        return asyncio.run(ask())


def client_of(make_rooms, caller: str | None = None, *roles: str, **said) -> httpx.Client:
    """A client of the application, with a token for `caller` and some settings of `web`."""
    defaults = {"auth": "jwt", "jwt_secret": SecretStr(SECRET), "requests_per_minute": 10_000}
    settings = Settings(web=Web(**{**defaults, **said}))
    app = create_app(settings, make_rooms(settings))
    headers = {} if caller is None else {"Authorization": f"Bearer {token(caller, *roles)}"}
    return httpx.Client(transport=InProcess(app), base_url="http://localhost", headers=headers)

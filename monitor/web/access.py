"""What a route asks of its caller: a name that is believed, a role, and patience."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from monitor.web.auth import Auth, BearerTokens, Caller, NotKnown, Role
from monitor.web.limits import RateLimit

#: Tells OpenAPI that there are bearer tokens; `Auth` reads them.
_BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="With the claim `roles`.")

#: What a browser says of a request that a page of this very server makes.
_SAME = "same-origin"


class Refused(Exception):
    """A request that is not answered.

    Attributes
    ----------
    status
        Of HTTP: 401 if nobody is known, 403 if the role is not theirs, 429 if they ask too often.
    retry_after
        Seconds; 0 if another try is of no use.
    """

    def __init__(self, status: int, why: str, *, retry_after: int = 0) -> None:
        super().__init__(why)
        self.status, self.retry_after = status, retry_after


class Door:
    """Who may come in, and how often.

    Parameters
    ----------
    a_minute
        Requests of one person; of one address that is not believed, a tenth.
    """

    def __init__(self, auth: Auth, a_minute: float) -> None:
        self._auth = auth
        self._known, self._unknown = RateLimit(a_minute), RateLimit(a_minute / 10)

    def enter(self, request: Request) -> Caller:
        """Return who asks.

        Raises
        ------
        Refused
            If they are not known, or ask too often.
        """
        try:
            caller = self._auth.caller(request)
        except NotKnown as error:
            address = request.client.host if request.client else "?"
            if wait := self._unknown.take(address):
                raise Refused(429, "too many tries", retry_after=wait) from error
            raise Refused(401, str(error)) from error
        if wait := self._known.take(caller.name):
            raise Refused(429, "too many requests", retry_after=wait)
        return caller

    def sign_in(self, request: Request, token: str) -> float:
        """Return when a token that a person typed runs out, seconds since 1970 UTC.

        Raises
        ------
        Refused
            If it is not accepted, or tried too often, or if no tokens are used here.
        """
        address = request.client.host if request.client else "?"
        if wait := self._unknown.take(address):
            raise Refused(429, "too many tries", retry_after=wait)
        if not isinstance(self._auth, BearerTokens):
            raise Refused(401, "no token is of use here")
        if request.headers.get("sec-fetch-site") != _SAME:
            raise Refused(401, "a form of another site is not accepted")
        try:
            return self._auth.ends(token)
        except NotKnown as error:
            raise Refused(401, str(error)) from error


def requires(role: Role) -> Callable[..., Caller]:
    """Return a FastAPI dependency: the caller, who has this role.

    Examples
    --------
    >>> from fastapi import APIRouter
    >>> router = APIRouter()
    >>> @router.get("/whoami")
    ... def whoami(caller: Annotated[Caller, Depends(requires(Role.READER))]) -> str:
    ...     return caller.name
    """

    def caller(
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
    ) -> Caller:
        door: Door = request.app.state.door
        found = door.enter(request)
        if not found.may(role):
            raise Refused(403, f"the role {role.value} is needed")
        # A browser sends a proxy's cookie along whoever asks: another site's page must not change anything.
        if role is Role.OPERATOR and request.headers.get("sec-fetch-site", _SAME) != _SAME:
            raise Refused(403, "a page of another site changes nothing here")
        return found

    return caller


#: Callers of routes that show, and of routes that change something.
Reader = Annotated[Caller, Depends(requires(Role.READER))]
Operator = Annotated[Caller, Depends(requires(Role.OPERATOR))]

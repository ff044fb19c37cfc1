"""Who asks: a bearer token, a header of the reverse proxy, or, on this machine alone, anybody."""

from __future__ import annotations

import enum
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jwt
from jwt.types import Options
from starlette.requests import HTTPConnection

from monitor.errors import SettingsError
from monitor.settings import Web, reveal

#: Cookie that may hold the token, for pages; only questions are answered by it, or what the page itself sends.
COOKIE = "monitor_token"

#: Header in which the proxy proves itself.
PROXY_SECRET = "X-Monitor-Proxy-Secret"  # noqa: S105 - a header's name

#: Seconds that two clocks may differ.
_LEEWAY = 30

#: Methods that change nothing.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(enum.StrEnum):
    """What somebody may do.

    Attributes
    ----------
    READER
        See everything but protected attributes and who a pseudonym is.
    AUDITOR
        See those too; includes READER.
    OPERATOR
        Have the log forget what is due; includes READER.
    """

    READER = "reader"
    AUDITOR = "auditor"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks, by the name that goes on the record."""

    name: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Whether they have a role, or one that includes it."""
        return role in self.roles or (role is Role.READER and bool(self.roles))


class NotKnown(Exception):
    """Nobody, or nobody that is believed; the text says why, and nothing secret."""


class Auth(Protocol):
    """A way to tell who asks."""

    def caller(self, request: HTTPConnection) -> Caller:
        """Return who asks.

        Raises
        ------
        NotKnown
            If they do not say, or are not believed.
        """


def auth_of(web: Web) -> Auth:
    """Return the way that the settings choose.

    Raises
    ------
    SettingsError
        If the file of public keys cannot be used.
    """
    if web.auth == "jwt":
        return BearerTokens(web)
    if web.auth == "proxy":
        return ReverseProxy(web)
    return ThisMachine()


class ThisMachine:
    """Everybody is a reader: the settings see to it that only this machine can ask."""

    def caller(self, _: HTTPConnection) -> Caller:
        """Return the one who sits here."""
        return Caller("local", frozenset({Role.READER}))


class ReverseProxy:
    """A proxy that has asked for the password says who it is, and proves with a secret that it is the proxy."""

    def __init__(self, web: Web) -> None:
        self._secret = (reveal(web.proxy_secret) or "").encode()
        self._user, self._roles = web.proxy_user, web.proxy_roles

    def caller(self, request: HTTPConnection) -> Caller:
        """Return whom the proxy names."""
        said = request.headers.get(PROXY_SECRET, "").encode("latin-1")
        if not hmac.compare_digest(said, self._secret):
            raise NotKnown("this did not come through the proxy")
        name = request.headers.get(self._user, "").strip()
        if not name:
            raise NotKnown(f"the proxy names nobody in {self._user}")
        return Caller(name, _roles(request.headers.get(self._roles, "").split(",")))


class BearerTokens:
    """JSON web tokens, in the header ``Authorization`` or, from a page of ours, in the cookie.

    A token's own word for its algorithm chooses between the two keys, never how a key is used: HS256 is only ever
    checked with the secret, RS256 only with a public key.
    """

    def __init__(self, web: Web) -> None:
        self._secret = reveal(web.jwt_secret)
        self._keys = None if web.jwt_keys is None else KeyFile(web.jwt_keys)
        self._claim = web.roles_claim
        self._issuer, self._audience = web.jwt_issuer, web.jwt_audience
        self._options: Options = {
            "require": ["exp", "sub"],
            "verify_aud": web.jwt_audience is not None,
            "verify_iss": web.jwt_issuer is not None,
        }

    def caller(self, request: HTTPConnection) -> Caller:
        """Return whom the token names."""
        return self.holder(_token(request))

    def holder(self, token: str) -> Caller:
        """Return whom a token names.

        Raises
        ------
        NotKnown
            If it is not one of ours, says of its roles what cannot be read, or its time is over.
        """
        claims = self._claims(token)
        roles = claims.get(self._claim, ())
        words = [roles] if isinstance(roles, str) else roles
        if not isinstance(words, list | tuple):
            raise NotKnown(f"the token is not accepted: its claim {self._claim} lists no roles")
        return Caller(str(claims["sub"]), _roles(words))

    def ends(self, token: str) -> float:
        """Return when a token runs out, seconds since 1970 UTC; errors as in `holder`."""
        try:
            return float(self._claims(token)["exp"])
        except OverflowError as error:
            raise NotKnown(
                "the token is not accepted: it ends at a time that no clock reaches"
            ) from error

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            return self._checked(token)
        except jwt.PyJWTError as error:
            raise NotKnown(f"the token is not accepted: {error}") from error

    def _checked(self, token: str) -> Mapping[str, Any]:
        header = jwt.get_unverified_header(token)
        said = header.get("alg")
        key: Any
        if said == "HS256" and self._secret is not None:
            key = self._secret
        elif said == "RS256" and self._keys is not None:
            key = self._keys.find(header.get("kid"))
        else:
            raise jwt.InvalidAlgorithmError("no key for its algorithm is set here")
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[said],
            issuer=self._issuer,
            audience=self._audience,
            leeway=_LEEWAY,
            options=self._options,
        )
        return claims


class KeyFile:
    """A JWKS file, read anew when it changes.

    Raises
    ------
    SettingsError
        If it cannot be read, or holds no public RSA key; also later, and nobody is let in by a key of before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = 0
        self._keys: dict[str | None, Any] = {}
        self._read()

    def find(self, name: str | None) -> Any:
        """Return the public key of a name (``kid``); the only one needs none.

        Raises
        ------
        jwt.InvalidKeyError
            If there is no such key.
        SettingsError
            If the file is no longer there, or cannot be read.
        """
        self._read()
        if name is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if name not in self._keys:
            raise jwt.InvalidKeyError("its key is not known here")
        return self._keys[name]

    def _read(self) -> None:
        try:
            changed = self._path.stat().st_mtime_ns
            if changed == self._changed:
                return
            keys = jwt.PyJWKSet.from_dict(json.loads(self._path.read_text())).keys
        except (OSError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
            raise SettingsError(
                f"the public keys cannot be read: {error}",
                where=f"web.jwt_keys ({self._path})",
                fix="Name a JWKS file that this process may read.",
            ) from error
        public = {key.key_id: key.key for key in keys if key.key_type == "RSA"}
        if any(hasattr(key, "private_numbers") for key in public.values()) or not public:
            raise SettingsError(
                "there must be public RSA keys in it, and no private ones",
                where=f"web.jwt_keys ({self._path})",
                fix="Export the public half.",
            )
        self._changed, self._keys = changed, public


def _token(request: HTTPConnection) -> str:
    """Return the token that a request bears.

    A browser sends a cookie of its own accord. So one counts only for a question, or with the browser's word that
    a page of ours has sent the form.
    """
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    token = request.cookies.get(COOKIE, "")
    if not token:
        raise NotKnown("a bearer token is needed")
    own = request.headers.get("sec-fetch-site") == "same-origin"
    if request.scope.get("method") not in _SAFE and not own:
        raise NotKnown("a form of another site is not accepted")
    return token


def _roles(said: Iterable[object]) -> frozenset[Role]:
    """Return the roles among some words; others may mean something elsewhere."""
    known = {role.value: role for role in Role}
    words = (str(word).strip() for word in said)
    return frozenset(known[word] for word in words if word in known)

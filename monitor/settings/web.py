"""How the web page and the HTTP interface are reached, and who is let in."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, model_validator

from monitor.settings.section import Section, reveal

#: HS256 is as strong as its key: RFC 7518 asks for as many bits as the hash has.
_SHORTEST_SECRET = 32


class Web(Section):
    """How `monitor web` is reached, and who is let in."""

    host: str = "127.0.0.1"
    """Address to listen on. Any but this machine's own asks for ``auth``."""
    port: int = Field(default=8300, ge=0, le=65535)
    """Port to listen on; 0 for any that is free."""
    auth: Literal["none", "jwt", "proxy"] = "none"
    """``jwt``: bearer tokens; ``proxy``: a reverse proxy says who; ``none``: everybody on this machine is a reader."""
    jwt_secret: SecretStr | None = None
    """Signs tokens with HS256: 32 bytes or more."""
    jwt_keys: Path | None = None
    """JWKS file with the public keys of tokens signed with RS256; read anew when it changes."""
    jwt_issuer: str | None = None
    """What ``iss`` of every token must be."""
    jwt_audience: str | None = None
    """What ``aud`` of every token must name."""
    roles_claim: str = Field(default="roles", min_length=1)
    """Claim that lists a token's roles: reader, auditor, operator."""
    proxy_secret: SecretStr | None = None
    """What the proxy sends as ``X-Monitor-Proxy-Secret`` to prove that it is the proxy: 32 bytes or more."""
    proxy_user: str = Field(default="X-Forwarded-User", min_length=1)
    """Header in which the proxy names the person."""
    proxy_roles: str = Field(default="X-Forwarded-Groups", min_length=1)
    """Header in which it lists the person's roles, with commas between."""
    allowed_hosts: str = ""
    """Names under which the server may be asked for, with commas between; else this machine's, or any with ``auth``."""
    requests_per_minute: PositiveInt = 240
    """Of one person; and of one address that fails to say who it is, a tenth."""
    statement_seconds: PositiveFloat = 10.0
    """A question to the prediction log takes at most so long."""
    page_rows: PositiveInt = Field(default=1_000, le=10_000)
    """Most rows in one answer."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.auth == "none" and not self.is_loopback:
            raise ValueError(f"host {self.host} can be reached by others: set auth to jwt or proxy")
        if self.auth == "jwt" and self.jwt_secret is None and self.jwt_keys is None:
            raise ValueError("auth jwt also needs jwt_secret or jwt_keys")
        if self.auth == "proxy" and self.proxy_secret is None:
            raise ValueError("auth proxy also needs proxy_secret")
        for name in ("jwt_secret", "proxy_secret"):
            secret = reveal(getattr(self, name))
            if secret is not None and len(secret.encode()) < _SHORTEST_SECRET:
                raise ValueError(f"{name} has fewer than {_SHORTEST_SECRET} bytes")
        return self

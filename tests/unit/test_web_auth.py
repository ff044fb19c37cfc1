from __future__ import annotations

import base64
import datetime as dt
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from pydantic import SecretStr, ValidationError
from starlette.requests import Request

from monitor.errors import SettingsError
from monitor.settings import Web, load_settings
from monitor.web.auth import COOKIE, PROXY_SECRET, NotKnown, Role, auth_of

SECRET = "an HS256 secret of thirty-two bytes, at least"
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)


def claims(**said):
    hour = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    return {"sub": "ada", "exp": hour, "roles": ["auditor"]} | said


def request(method="GET", **headers):
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": method, "headers": raw})


def bearing(token, **said):
    return request(authorization=f"Bearer {token}", **said)


def jwks(path, *keys, private=False):
    jwk = [
        json.loads(RSAAlgorithm.to_jwk(key if private else key.public_key()))
        | {"kid": f"key-{number}", "use": "sig", "alg": "RS256"}
        for number, key in enumerate(keys)
    ]
    path.write_text(json.dumps({"keys": jwk}))
    return path


@pytest.fixture
def web(tmp_path):
    return Web(
        auth="jwt",
        jwt_secret=SecretStr(SECRET),
        jwt_keys=jwks(tmp_path / "jwks.json", KEY),
        jwt_issuer="https://id.example",
        jwt_audience="monitor",
    )


GOOD = {"iss": "https://id.example", "aud": "monitor"}


@pytest.mark.parametrize("roles", [None, 5, True, {"roles": ["auditor"]}])
def test_a_token_whose_roles_are_no_words_is_not_accepted(web, roles):
    token = jwt.encode(claims(**GOOD, roles=roles), SECRET, "HS256")
    with pytest.raises(NotKnown, match="roles"):
        auth_of(web).caller(bearing(token))


@pytest.mark.parametrize("when", [10**400, "soon", None])
def test_a_token_that_ends_at_no_time_is_not_accepted(web, when):
    token = jwt.encode(claims(**GOOD) | {"exp": when}, SECRET, "HS256")
    with pytest.raises(NotKnown):
        auth_of(web).ends(token)


def test_public_keys_that_vanish_while_they_are_used_let_nobody_in_and_say_which_setting(web):
    auth = auth_of(web)
    token = jwt.encode(claims(**GOOD), KEY, "RS256", headers={"kid": "key-0"})
    kept = web.jwt_keys.read_text()
    for spoil in (web.jwt_keys.unlink, lambda: web.jwt_keys.write_text("no JSON")):
        spoil()
        for _ in range(2):
            with pytest.raises(SettingsError, match=r"web\.jwt_keys"):
                auth.caller(bearing(token))
    web.jwt_keys.write_text(kept)
    assert auth.caller(bearing(token)).name == "ada"


def test_a_token_of_either_kind_names_its_holder_and_roles(web):
    auth = auth_of(web)
    shared = jwt.encode(claims(**GOOD), SECRET, "HS256")
    signed = jwt.encode(claims(**GOOD, roles="operator"), KEY, "RS256", headers={"kid": "key-0"})
    ada = auth.caller(bearing(shared))
    assert (ada.name, ada.roles) == ("ada", {Role.AUDITOR})
    assert ada.may(Role.READER)
    assert not ada.may(Role.OPERATOR)
    operator = auth.caller(bearing(signed))
    assert operator.may(Role.OPERATOR)
    assert not operator.may(Role.AUDITOR)


def test_a_token_without_a_role_that_is_known_here_opens_nothing(web):
    token = jwt.encode(claims(**GOOD, roles=["admin", "Reader", 7, None]), SECRET, "HS256")
    assert not auth_of(web).caller(bearing(token)).may(Role.READER)


@pytest.mark.parametrize(
    "said",
    [
        {"exp": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)},
        {"exp": None},
        {"sub": None},
        {"iss": "https://other.example"},
        {"aud": "another service"},
        {"nbf": dt.datetime(2100, 1, 1, tzinfo=dt.UTC)},
    ],
)
def test_a_claim_that_is_not_as_it_must_be_is_refused(web, said):
    body = {name: value for name, value in (claims(**GOOD) | said).items() if value is not None}
    with pytest.raises(NotKnown, match="the token is not accepted"):
        auth_of(web).caller(bearing(jwt.encode(body, SECRET, "HS256")))


def confused(said, public):
    """A token signed with the public key, misused as a secret."""
    head, body, _ = jwt.encode(said, SECRET, "HS256").split(".")
    digest = hmac.digest(public.encode(), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def test_a_token_signed_by_another_key_or_by_nobody_is_refused(web, tmp_path):
    public = (tmp_path / "jwks.json").read_text()
    forged = [
        jwt.encode(claims(**GOOD), "x" * 40, "HS256"),
        jwt.encode(claims(**GOOD), OTHER_KEY, "RS256", headers={"kid": "key-0"}),
        jwt.encode(claims(**GOOD), KEY, "RS256", headers={"kid": "key-9"}),
        jwt.encode(claims(**GOOD), None, "none"),
        confused(claims(**GOOD), public),
        "no token",
        "a.b.c",
    ]
    for token in forged:
        with pytest.raises(NotKnown):
            auth_of(web).caller(bearing(token))


def test_a_new_public_key_is_known_without_a_restart(web):
    auth = auth_of(web)
    token = jwt.encode(claims(**GOOD), OTHER_KEY, "RS256", headers={"kid": "key-1"})
    with pytest.raises(NotKnown):
        auth.caller(bearing(token))
    jwks(web.jwt_keys, KEY, OTHER_KEY)
    assert auth.caller(bearing(token)).name == "ada"


def test_a_key_file_that_is_missing_spoiled_or_private_is_refused(tmp_path):
    spoiled = tmp_path / "spoiled.json"
    spoiled.write_text("[]")
    for path in (tmp_path / "none", spoiled, jwks(tmp_path / "p.json", KEY, private=True)):
        with pytest.raises(SettingsError, match=r"web\.jwt_keys"):
            auth_of(Web(auth="jwt", jwt_keys=path))


def test_a_cookie_asks_questions_and_changes_something_only_from_a_page_of_ours(web):
    auth = auth_of(web)
    cookie = f"{COOKIE}={jwt.encode(claims(**GOOD), SECRET, 'HS256')}"
    assert auth.caller(request(cookie=cookie)).name == "ada"
    assert auth.caller(request("POST", cookie=cookie, sec_fetch_site="same-origin")).name == "ada"
    for site in ("cross-site", "same-site", "none"):
        with pytest.raises(NotKnown, match="another site"):
            auth.caller(request("POST", cookie=cookie, sec_fetch_site=site))


def test_the_proxy_names_the_person_and_must_prove_itself():
    auth = auth_of(Web(auth="proxy", proxy_secret=SecretStr(SECRET)))
    named = {"x_forwarded_user": "ada", "x_forwarded_groups": "auditor, staff"}
    ada = auth.caller(request(**named, **{PROXY_SECRET.lower(): SECRET}))
    assert (ada.name, ada.roles) == ("ada", {Role.AUDITOR})
    for secret in ("", "x" * 45, "\u00e9"):
        with pytest.raises(NotKnown, match="did not come through the proxy"):
            auth.caller(request(**named, **{PROXY_SECRET.lower(): secret}))
    with pytest.raises(NotKnown, match="names nobody"):
        auth.caller(request(**{PROXY_SECRET.lower(): SECRET}))


def test_without_auth_everybody_on_this_machine_is_a_reader():
    caller = auth_of(Web()).caller(request())
    assert (caller.name, caller.roles) == ("local", {Role.READER})


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"host": "0.0.0.0"}, "can be reached by others"),
        ({"host": "monitor.example"}, "can be reached by others"),
        ({"auth": "jwt"}, "also needs jwt_secret or jwt_keys"),
        ({"auth": "proxy"}, "also needs proxy_secret"),
        ({"auth": "jwt", "jwt_secret": "short"}, "fewer than 32 bytes"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(said, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Web(**said)


def test_secrets_come_from_files_and_never_show(tmp_path):
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    settings = load_settings(
        {"MONITOR_WEB__AUTH": "jwt", "MONITOR_WEB__JWT_SECRET_FILE": str(tmp_path / "secret")}
    )
    assert settings.web.jwt_secret.get_secret_value() == SECRET
    assert SECRET not in repr(settings)

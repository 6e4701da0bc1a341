"""The docker token service: /token by GET and by OAuth2 POST, for clients that are configured for Bearer.

(CNCF distribution, "Token Authentication Specification" and "OAuth2 Token Authentication".) What is asked for is
granted as it is asked: a token only ever limits its principal, whose leave is looked up again at each request.
"""

import json
from collections.abc import Iterable
from urllib.parse import parse_qsl

from auth.access import ANONYMOUS
from auth.authenticate import BEARER_AUDIENCE, REFRESH_AUDIENCE, Authenticator, Login, decode_basic
from auth.errors import AuthError, CredentialsInvalid
from auth.tokens import BEARER_LIFETIME, LONGEST, REFRESH_LIFETIME, Tokens
from base.clock import Clock, moment
from base.web import Reply
from registry.uploads import Body

_JSON = ("Content-Type", "application/json")
_MAX_FORM = 64 * 1024
_MAX_SCOPES = 5 * 1024
"""Characters of scopes in a token: with them it still fits into a header field."""
_ACTIONS = frozenset({"pull", "push", "delete", "*"})
_PULL = frozenset({"pull"})
"""What callers without credentials may ask for."""


class TokenService:
    """Answers /token."""

    def __init__(self, authenticator: Authenticator, tokens: Tokens, clock: Clock, *, anonymous: bool) -> None:
        self._authenticator = authenticator
        self._tokens = tokens
        self._clock = clock
        self._anonymous = anonymous

    async def answer(self, method: str, query: str, authorization: str | None, body: Body, *, region: str) -> Reply:
        """Raises ClientGone."""
        if method == "GET":
            return await self._by_get(query, authorization, region)
        if method == "POST":
            return await self._by_post(body, region)
        return Reply(
            405, [("Allow", "GET, POST"), _JSON], b'{"errors":[{"code":"UNSUPPORTED","message":"use GET or POST"}]}'
        )

    async def _by_get(self, query: str, authorization: str | None, region: str) -> Reply:
        fields = parse_qsl(query, keep_blank_values=True)
        try:
            if authorization:
                scheme, _, value = authorization.partition(" ")
                if scheme.lower() != "basic":
                    raise CredentialsInvalid("the Authorization header has to be Basic")
                login = await self._authenticator.check_login(*decode_basic(value), region=region)
            elif self._anonymous:
                login = Login(ANONYMOUS)
            else:
                raise CredentialsInvalid("credentials are missing: log in first")
        except AuthError as error:
            return _refused(error)
        offline = any(key == "offline_token" and value.lower() in {"true", "1"} for key, value in fields)
        scopes = [value for key, value in fields if key == "scope"]
        return self._issue(login, scopes, region, refresh=offline and login.principal is not ANONYMOUS)

    async def _by_post(self, body: Body, region: str) -> Reply:
        pieces = await body.read(_MAX_FORM + 1)
        raw = b"".join(pieces)
        if len(raw) > _MAX_FORM:
            return _oauth_error(413, "invalid_request", "the form is too large")
        fields = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
        kind = fields.get("grant_type")
        try:
            if kind == "password":
                login = await self._authenticator.check_login(
                    fields.get("username", ""), fields.get("password", ""), region=region
                )
            elif kind == "refresh_token":
                login = await self._refresh(fields.get("refresh_token", ""), region)
            else:
                return _oauth_error(400, "unsupported_grant_type", "grant_type has to be password or refresh_token")
        except AuthError as error:
            reply = _oauth_error(401, "invalid_grant", str(error))
            reply.refused = str(error)
            return reply
        offline = fields.get("access_type") == "offline" or kind == "refresh_token"
        return self._issue(login, [fields.get("scope", "")], region, refresh=offline)

    async def _refresh(self, token: str, region: str) -> Login:
        """A refresh token of ours, or the password itself: some clients keep that as their identity token."""
        try:
            return await self._authenticator.check_refresh_token(token, region=region)
        except AuthError:
            return await self._authenticator.check_login("AWS", token, region=region)

    def _issue(self, login: Login, scopes: Iterable[str], region: str, *, refresh: bool) -> Reply:
        principal, until = login.principal, login.until
        granted = parse_scopes(scopes, _PULL if principal is ANONYMOUS else _ACTIONS)
        if sum(len(name) + 24 for name in granted) > _MAX_SCOPES:
            return _too_many()
        token, expires = self._tokens.issue(
            BEARER_AUDIENCE, principal, region=region, lifetime=BEARER_LIFETIME, scopes=granted, until=until
        )
        if len(token) > LONGEST:
            return _too_many()
        now = int(self._clock())
        answer = {
            "token": token,
            "access_token": token,
            "expires_in": int(expires) - now,
            "issued_at": moment(now).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "scope": " ".join(f"{name}:{','.join(sorted(actions))}" for name, actions in granted.items()),
        }
        if refresh:
            answer["refresh_token"], _ = self._tokens.issue(
                REFRESH_AUDIENCE, principal, region=region, lifetime=REFRESH_LIFETIME, until=until
            )
        return Reply(200, [_JSON, ("Cache-Control", "no-store")], json.dumps(answer).encode())


def parse_scopes(texts: Iterable[str], known: frozenset[str] = _ACTIONS) -> dict[str, frozenset[str]]:
    """`repository:a/b:pull,push registry:catalog:*` -> what each scope grants; the same scope twice is a union.

    Types and actions that mean nothing here are left out.
    """
    granted: dict[str, frozenset[str]] = {}
    for text in texts:
        for scope in text.split():
            name, colon, actions = scope.rpartition(":")
            kind = name.partition(":")[0].partition("(")[0]
            if not colon or kind not in {"repository", "registry"}:
                continue
            wanted = frozenset(action for action in actions.split(",") if action in known)
            if wanted:
                granted[name] = granted.get(name, frozenset()) | wanted
    return granted


def _too_many() -> Reply:
    return _oauth_error(400, "invalid_scope", "too many scopes for one token: ask for fewer at a time")


def _refused(error: AuthError) -> Reply:
    body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": str(error)}]}).encode()
    return Reply(401, [_JSON, ("WWW-Authenticate", 'Basic realm="token"')], body, refused=str(error))


def _oauth_error(status: int, code: str, text: str) -> Reply:
    return Reply(status, [_JSON], json.dumps({"error": code, "error_description": text}).encode())

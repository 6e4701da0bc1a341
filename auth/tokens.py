"""Registry tokens: signed JSON Web Tokens (RFC 7519) that name a principal.

Three kinds, told apart by their audience: `ecr`, the password of user AWS that GetAuthorizationToken hands out (12
hours), `registry`, the Bearer tokens of /token (minutes, limited to the scopes that were asked for), and `refresh`. None
outlives the session of whoever obtained it. Only HS256 with a key of our own store is accepted; no header of a token
chooses anything but which of those keys.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from auth.access import Principal
from auth.errors import CredentialsInvalid, TokenExpired, TokenMalformed
from auth.keys import SigningKeys
from auth.sessions import Subject, pack, subject_of, unpack
from base.clock import Clock
from base.ids import Ids

PASSWORD_LIFETIME = 12 * 3600
"""Seconds; ECR GetAuthorizationToken."""
BEARER_LIFETIME = 300
REFRESH_LIFETIME = 12 * 3600
_ISSUER = "longshore"
LONGEST = 16 * 1024 - 64
"""Characters: with its name and scheme a header field holds no more."""
_CACHE = 1024


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `name` is its `sub`. `subject` is None in a token that stands for nobody (a link).
    `scopes` is None in a password: it is not limited."""

    name: str
    region: str
    issued_at: float
    expires_at: float
    scopes: Mapping[str, frozenset[str]] | None = None
    subject: Subject | None = None


class Tokens:
    """Issues and verifies. Verified tokens are remembered (their signature cannot change); expiry is checked each time."""

    def __init__(self, keys: SigningKeys, clock: Clock, ids: Ids) -> None:
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._verified: OrderedDict[tuple[str, str], Claims] = OrderedDict()

    def issue(
        self,
        audience: str,
        principal: Principal,
        *,
        region: str,
        lifetime: int,
        scopes: Mapping[str, frozenset[str]] | None = None,
        until: float = math.inf,
    ) -> tuple[str, float]:
        """(token, time of expiry): after `lifetime` seconds, at `until`, or with the principal's session."""
        more: dict[str, Any] = {"region": region, "for": pack(subject_of(principal))}
        if scopes is not None:
            more["scopes"] = {name: sorted(actions) for name, actions in scopes.items()}
        expires = min(self._clock() + lifetime, until)
        if principal.session is not None:
            expires = min(expires, principal.session.expires_at)
        return self._sign(audience, principal.arn, int(expires), more)

    def sign(self, audience: str, name: str, *, lifetime: int) -> tuple[str, float]:
        """(token, time of expiry) of a token that says `name` and stands for nobody."""
        return self._sign(audience, name, int(self._clock()) + lifetime, {})

    def _sign(self, audience: str, name: str, expires: int, more: Mapping[str, Any]) -> tuple[str, float]:
        claims = {
            "iss": _ISSUER,
            "aud": audience,
            "sub": name,
            "iat": int(self._clock()),
            "exp": expires,
            "jti": self._ids(),
            **more,
        }
        identifier, secret = self._keys.current()
        return jwt.encode(claims, secret, algorithm="HS256", headers={"kid": identifier}), float(expires)

    async def verify(self, token: str, audience: str) -> Claims:
        """Raises TokenMalformed, CredentialsInvalid, TokenExpired."""
        claims = self._verified.get((audience, token))
        if claims is None:
            claims = await self._verify(token, audience)
            self._verified[audience, token] = claims
            if len(self._verified) > _CACHE:
                self._verified.popitem(last=False)
        if claims.expires_at <= self._clock():
            raise TokenExpired("Your authorization token has expired. Reauthenticate and try again.")
        return claims

    async def _verify(self, token: str, audience: str) -> Claims:
        if len(token) > LONGEST:
            raise TokenMalformed("the token is too long")
        try:
            identifier = jwt.get_unverified_header(token).get("kid")
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:  # bytes that are no text, a nested header
            raise TokenMalformed("the password is not an authorization token") from error
        secret = await self._keys.find(identifier) if isinstance(identifier, str) else None
        if secret is None:
            raise CredentialsInvalid("the authorization token was not issued by this registry")
        try:
            # expiry is compared with our own clock, each time
            found = jwt.decode(
                token,
                secret,
                algorithms=["HS256"],
                audience=audience,
                issuer=_ISSUER,
                options={"require": ["exp", "iat", "sub", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            raise CredentialsInvalid("the authorization token is not valid here") from error
        scopes, subject = found.get("scopes"), found.get("for")
        try:
            return Claims(
                found["sub"],
                found.get("region", ""),
                float(found["iat"]),
                float(found["exp"]),
                None if scopes is None else {name: frozenset(actions) for name, actions in scopes.items()},
                None if subject is None else unpack(subject),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # of another release
            raise CredentialsInvalid("the authorization token is not valid here") from error

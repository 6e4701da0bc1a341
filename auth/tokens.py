"""Registry tokens: signed JSON Web Tokens (RFC 7519) that name a principal.

Two kinds, told apart by their audience: `ecr`, the password of user AWS that GetAuthorizationToken hands out (12 hours),
and `registry`, the Bearer tokens of /token (minutes, limited to the scopes that were asked for). Only HS256 with a key
of our own store is accepted; no header of a token chooses anything but which of those keys.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from auth.errors import CredentialsInvalid, TokenExpired, TokenMalformed
from auth.keys import SigningKeys
from base.clock import Clock
from base.ids import Ids

PASSWORD_LIFETIME = 12 * 3600
"""Seconds; ECR GetAuthorizationToken."""
BEARER_LIFETIME = 300
REFRESH_LIFETIME = 12 * 3600
_ISSUER = "longshore"
_LONGEST = 8192
_CACHE = 1024


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `scopes` is None in a password: it is not limited."""

    principal_arn: str
    region: str
    issued_at: float
    expires_at: float
    scopes: Mapping[str, frozenset[str]] | None


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
        principal_arn: str,
        *,
        region: str,
        lifetime: int,
        scopes: Mapping[str, frozenset[str]] | None = None,
    ) -> tuple[str, float]:
        """(token, time of expiry)."""
        now = self._clock()
        expires = int(now) + lifetime
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "aud": audience,
            "sub": principal_arn,
            "region": region,
            "iat": int(now),
            "exp": expires,
            "jti": self._ids(),
        }
        if scopes is not None:
            claims["scopes"] = {name: sorted(actions) for name, actions in scopes.items()}
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
        if len(token) > _LONGEST:
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
        scopes = found.get("scopes")
        return Claims(
            found["sub"],
            found.get("region", ""),
            float(found["iat"]),
            float(found["exp"]),
            None if scopes is None else {name: frozenset(actions) for name, actions in scopes.items()},
        )

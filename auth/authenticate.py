"""From an Authorization header on /v2/ to a principal.

Basic with user AWS and a token of GetAuthorizationToken, Basic with an access key id and its secret, or Bearer with a
token of /token. SigV4 on the AWS APIs is the business of `aws`; both ask the same keyring.
"""

import base64
import binascii
import math
from dataclasses import dataclass

from auth.access import ANONYMOUS, Principal, PrincipalKind
from auth.credentials import Keyring
from auth.errors import CredentialsInvalid, CredentialsMissing, TokenMalformed
from auth.tokens import Claims, Tokens

PASSWORD_AUDIENCE = "ecr"  # noqa: S105 - an audience, not a password
BEARER_AUDIENCE = "registry"
REFRESH_AUDIENCE = "refresh"
_LONGEST_HEADER = 16 * 1024
_REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal and, for a Bearer token, the limits of that token."""

    principal: Principal
    claims: Claims | None = None

    def may_use(self, scope: str, action: str) -> bool:
        """Whether the caller's token covers `action` of `scope` (`repository:a/b`); a password covers everything, and
        callers without credentials pull at the most."""
        if self.principal.kind is PrincipalKind.ANONYMOUS and action != "pull":
            return False
        if self.claims is None or self.claims.scopes is None:
            return True
        granted = self.claims.scopes.get(scope, frozenset())
        return action in granted or "*" in granted


@dataclass(frozen=True, slots=True)
class Login:
    """A principal, and when what they showed ends: no token that they get for it is good for longer."""

    principal: Principal
    until: float = math.inf


class Authenticator:
    """Answers who calls."""

    def __init__(self, keyring: Keyring, tokens: Tokens) -> None:
        self._keyring = keyring
        self._tokens = tokens
        self._decoded: dict[str, tuple[str, str]] = {}

    async def authenticate(self, header: str | None, *, region: str) -> Caller:
        """`region` is the registry's: a token of GetAuthorizationToken is good for its own region.

        Raises CredentialsMissing, CredentialsInvalid, TokenMalformed, TokenExpired, DatabaseUnavailable.
        """
        if not header:
            raise CredentialsMissing("Not Authorized")
        if len(header) > _LONGEST_HEADER:
            raise CredentialsInvalid("the Authorization header is too long")
        scheme, _, value = header.partition(" ")
        scheme = scheme.lower()
        if scheme == "basic":
            user, password = self._decode(value)
            return Caller(await self.check_password(user, password, region=region))
        if scheme == "bearer":
            claims = await self._tokens.verify(value.strip(), BEARER_AUDIENCE)
            _check_region(claims, region)
            if claims.subject is not None and claims.subject.kind is PrincipalKind.ANONYMOUS:
                return Caller(ANONYMOUS, claims)
            return Caller(await self._current(claims), claims)
        raise CredentialsInvalid("the Authorization header has to be Basic or Bearer")

    def _decode(self, value: str) -> tuple[str, str]:
        """`decode_basic`, remembered: a client sends the same credentials again and again."""
        known = self._decoded.get(value)
        if known is None:
            known = decode_basic(value)
            if len(self._decoded) >= _REMEMBERED:
                self._decoded.clear()
            self._decoded[value] = known
        return known

    async def check_password(self, user: str, password: str, *, region: str) -> Principal:
        """Raises CredentialsInvalid, TokenMalformed, TokenExpired."""
        if user == "AWS":
            return (await self._login(password, PASSWORD_AUDIENCE, region)).principal
        principal = await self._keyring.check(user, password)
        if principal is None:
            raise CredentialsInvalid("the access key id and secret do not go together")
        return principal

    async def check_login(self, user: str, password: str, *, region: str) -> Login:
        """Raises CredentialsInvalid, TokenMalformed, TokenExpired."""
        if user == "AWS":
            return await self._login(password, PASSWORD_AUDIENCE, region)
        return Login(await self.check_password(user, password, region=region))

    async def check_refresh_token(self, token: str, *, region: str) -> Login:
        """Raises CredentialsInvalid, TokenMalformed, TokenExpired."""
        return await self._login(token, REFRESH_AUDIENCE, region)

    async def _login(self, token: str, audience: str, region: str) -> Login:
        claims = await self._tokens.verify(token, audience)
        _check_region(claims, region)
        return Login(await self._current(claims), claims.expires_at)

    async def _current(self, claims: Claims) -> Principal:
        principal = None if claims.subject is None else await self._keyring.current(claims.subject)
        if principal is None:
            raise CredentialsInvalid("the principal of the authorization token no longer exists")
        return principal


def _check_region(claims: Claims, region: str) -> None:
    if claims.region and region and claims.region != region:
        raise CredentialsInvalid(f"the authorization token is for region {claims.region}, not {region}")


def decode_basic(value: str) -> tuple[str, str]:
    """(user, password) of RFC 7617. Raises TokenMalformed."""
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise TokenMalformed("the Basic credentials are not base64 of user:password") from error
    user, colon, password = text.partition(":")
    if not colon:
        raise TokenMalformed("the Basic credentials are not base64 of user:password")
    return user, password

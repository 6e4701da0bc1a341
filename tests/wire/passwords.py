"""Registry tokens made beside a running server, out of its own keys: good ones, and ones that no server would make."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from auth.access import Principal
from auth.credentials import root_of
from auth.keys import SigningKeys
from auth.secrets import Vault
from auth.sessions import pack, subject_of
from auth.tokens import Tokens
from base.ids import new_uuid
from tests.live import LiveServer


@dataclass(frozen=True)
class Mint:
    """The key that a server signs with now."""

    identifier: str
    secret: bytes
    root: Principal

    def issue(
        self,
        audience: str,
        *,
        principal: Principal | None = None,
        region: str = "us-east-1",
        lifetime: int = 300,
        scopes: Mapping[str, frozenset[str]] | None = None,
        now: float | None = None,
    ) -> str:
        """What the server itself would issue to that principal."""
        token, _ = self._tokens(now).issue(
            audience, principal or self.root, region=region, lifetime=lifetime, scopes=scopes
        )
        return token

    def link(self, blob: str, *, now: float | None = None) -> str:
        """A link's token; `blob` is `<repository's id>@<digest>`."""
        return self._tokens(now).sign("blob", blob, lifetime=300)[0]

    def _tokens(self, now: float | None) -> Tokens:
        return Tokens(_Fixed(self), lambda: time.time() if now is None else now, new_uuid)  # type: ignore[arg-type]

    def claims(self, audience: str = "ecr", **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": "longshore", "aud": audience, "sub": self.root.arn, "region": "us-east-1", "iat": now, "exp": now + 300,
            "jti": new_uuid(), "for": pack(subject_of(self.root)),
        }  # fmt: skip
        return {key: value for key, value in {**claims, **changed}.items() if value is not None}

    def sign(self, claims: Mapping[str, Any], **options: Any) -> str:
        """A token of any claims, key, algorithm and header."""
        key, algorithm = options.pop("key", self.secret), options.pop("algorithm", "HS256")
        return jwt.encode(dict(claims), key, algorithm=algorithm, headers={"kid": self.identifier, **options})


class _Fixed:
    def __init__(self, mint: Mint) -> None:
        self._mint = mint

    def current(self) -> tuple[str, bytes]:
        return self._mint.identifier, self._mint.secret


def mint_of(server: LiveServer) -> Mint:
    """Reads the signing key in a server's database."""
    return asyncio.run(_mint(server))


async def _mint(server: LiveServer) -> Mint:
    database = server.database()
    try:
        keys = SigningKeys(database, Vault(server.key_file.read_text().splitlines()), time.time)
        await keys.load()
        return Mint(*keys.current(), root_of("123456789012", server.access_key_id))
    finally:
        await database.close()

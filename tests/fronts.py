"""A process of a registry behind its /v2/, called without a socket."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

from auth.access import ANONYMOUS, Circumstances
from auth.authenticate import Authenticator, Caller
from auth.authorize import Gate
from auth.credentials import AccessKey, Keyring, root_of
from auth.keys import SigningKeys
from auth.secrets import Vault
from auth.tokens import Tokens
from base.ids import new_uuid
from base.web import Part, Reply
from registry.names import RegistryId
from registry.oci.boundary import OciBoundary
from registry.oci.call import Call, Registry
from store.seals import Watch
from tests.rooms import HOME, Bytes, House, Time, announced, open_house

KEY = AccessKey("AKIAEXAMPLE", "secret", root_of(HOME.account, "AKIAEXAMPLE"))
STRANGER = AccessKey("AKIASTRANGER", "secret", root_of("210987654321", "AKIASTRANGER"))


def basic(key: AccessKey) -> str:
    return "Basic " + base64.b64encode(f"{key.id}:{key.secret}".encode()).decode()


@dataclass
class Answer:
    status: int
    headers: CIMultiDict[str]
    body: bytes
    length: int | None

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in json.loads(self.body)["errors"]]

    @property
    def digest(self) -> str:
        return self.headers["Docker-Content-Digest"]


@dataclass
class Front:
    house: House
    boundary: OciBoundary
    tokens: Tokens
    failures: list[BaseException] = field(default_factory=list)

    async def ask(
        self, method: str, target: str, body: bytes | Bytes = b"", *, key: AccessKey | None = KEY,
        registry: RegistryId = HOME, **headers: str,
    ) -> Answer:  # fmt: skip
        """Header names are written with underscores."""
        path, _, query = target.partition("?")
        fields = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
        if key is not None:
            fields.setdefault("Authorization", basic(key))
        call = Call(
            method=method,
            path=path,
            query=query,
            headers=fields,
            body=announced(body) if isinstance(body, bytes) else body,
            proceed=_proceed,
            registry=registry,
            groups={},
            host="localhost:5000",
            caller=Caller(ANONYMOUS),
            circumstances=Circumstances(region=registry.region, request_id="the-request"),
        )
        reply = await self.boundary.answer(call)
        return Answer(reply.status, CIMultiDict(reply.headers), await _content(reply), reply.length)

    async def close(self) -> None:
        await self.house.close()


async def _proceed() -> None:
    return


async def _content(reply: Reply) -> bytes:
    if not isinstance(reply.body, Part):
        return reply.body
    try:
        return await reply.body.source.read(reply.body.start, reply.body.length)
    finally:
        reply.body.source.close()


def challenge(call: Call, scope: str, error: str) -> tuple[str, str]:
    return ("WWW-Authenticate", f'Bearer realm="here",scope="{scope}",error="{error}"')


async def open_front(
    place: Path, clock: Time, *, plain: bool = False, change: Callable[[House], Any] | None = None, **options: Any
) -> Front:
    """`options` are those of `open_house`; `change` is given the house before anything uses it."""
    house = await open_house(place, clock, **options)
    if change is not None:
        change(house)
    vault = Vault(["k" * 32])
    signing = SigningKeys(house.database, vault, clock)
    await signing.load()
    tokens = Tokens(signing, clock, new_uuid)
    gate = Gate(house.directory, {"ecr": house.facts}, clock=house.clock)
    registry = Registry(
        database=house.database, repositories=house.repositories, policies=house.policies, uploads=house.uploads,
        push=house.push, pull=house.pull, gate=gate, clock=clock, delete_referenced=True,
    )  # fmt: skip
    failures: list[BaseException] = []
    boundary = OciBoundary(
        registry,
        Authenticator(Keyring((KEY, STRANGER), house.directory, vault, house.epoch), tokens),
        challenge=challenge,
        plain_unauthorized=plain,
        report=lambda error, call: failures.append(error),
        admit=Watch(house.database, clock).admit,
    )
    return Front(house, boundary, tokens, failures)

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from auth.access import ANONYMOUS
from auth.authenticate import BEARER_AUDIENCE, PASSWORD_AUDIENCE, REFRESH_AUDIENCE, Authenticator
from auth.credentials import AccessKey, Keyring, root_of
from auth.directory import Directory
from auth.epoch import Epoch
from auth.keys import SigningKeys
from auth.secrets import Vault
from auth.sessions import subject_of
from auth.tokens import BEARER_LIFETIME, PASSWORD_LIFETIME, Tokens
from base.ids import new_uuid
from server.token import TokenService, parse_scopes
from store.migrate import migrate
from store.sqlite import SqliteDatabase
from tests.rooms import Bytes, Time, quick_directory

ROOT = root_of("123456789012", "AKIAEXAMPLE")
KEY = AccessKey(ROOT.key_id, "secret", ROOT)
REGION = "us-east-1"
BASIC = "Basic " + base64.b64encode(f"{KEY.id}:{KEY.secret}".encode()).decode()


class Service:
    def __init__(self, keyring: Keyring, tokens: Tokens, clock: Time) -> None:
        self.tokens = tokens
        self.clock = clock
        self.authenticator = Authenticator(keyring, tokens)
        self.services = {
            anonymous: TokenService(self.authenticator, tokens, clock, anonymous=anonymous)
            for anonymous in (True, False)
        }

    async def get(self, query: str, authorization: str | None = BASIC, *, anonymous: bool = False) -> tuple[int, Any]:
        reply = await self.services[anonymous].answer("GET", query, authorization, Bytes(length=0), region=REGION)
        assert isinstance(reply.body, bytes)
        return reply.status, json.loads(reply.body)

    async def post(self, **fields: str) -> tuple[int, Any]:
        body = Bytes(urlencode(fields).encode())
        reply = await self.services[False].answer("POST", "", None, body, region=REGION)
        assert isinstance(reply.body, bytes)
        return reply.status, json.loads(reply.body)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    clock = Time(1_700_000_000.0)
    with quick_directory() as place:
        database = SqliteDatabase(place / "test.db")
        await migrate(database, now=0.0)
        vault, epoch = Vault(["k" * 32]), Epoch(database, clock)
        keys = SigningKeys(database, vault, clock)
        await keys.load()
        keyring = Keyring((KEY,), Directory(database, epoch, managed={}), vault, epoch)
        yield Service(keyring, Tokens(keys, clock, new_uuid), clock)
        await database.close()


@pytest.mark.parametrize(("texts", "granted"), [
    ([], {}), ([""], {}),
    (["repository:a/b:pull"], {"repository:a/b": {"pull"}}),
    (["repository:a/b:pull,push"], {"repository:a/b": {"pull", "push"}}),
    (["repository:a:pull repository:b:push"], {"repository:a": {"pull"}, "repository:b": {"push"}}),
    (["repository:a:pull", "repository:a:push"], {"repository:a": {"pull", "push"}}),
    (["registry:catalog:*"], {"registry:catalog": {"*"}}),
    (["repository:host:5000/a:pull"], {"repository:host:5000/a": {"pull"}}),
    (["repository(plugin):a:pull"], {"repository(plugin):a": {"pull"}}),
    (["repository:a:"], {}), (["repository:a"], {}), (["repository"], {}), (["user:a:pull"], {}), (["repository:a:own,x"], {}),
    (["repository:a:pull,own"], {"repository:a": {"pull"}}),
    (["  repository:a:pull   repository:a:delete "], {"repository:a": {"pull", "delete"}}),
])  # fmt: skip
def test_scopes_are_read_as_they_are_written_and_what_means_nothing_is_left_out(
    texts: list[str], granted: dict[str, set[str]]
):
    assert parse_scopes(texts) == granted


async def test_a_token_is_limited_to_what_was_asked(service: Service):
    status, answer = await service.get("service=x&scope=repository:a/b:pull,push&scope=repository:c:pull&account=AKIA")
    assert status == 200
    assert answer["token"] == answer["access_token"]
    assert answer["expires_in"] == BEARER_LIFETIME
    assert answer["issued_at"] == "2023-11-14T22:13:20Z"
    assert "refresh_token" not in answer
    claims = await service.tokens.verify(answer["token"], BEARER_AUDIENCE)
    assert claims.scopes == {"repository:a/b": {"pull", "push"}, "repository:c": {"pull"}}
    assert claims.subject == subject_of(ROOT)


async def test_no_scope_is_a_token_that_may_nothing_but_log_in(service: Service):
    _, answer = await service.get("service=x")
    caller = await service.authenticator.authenticate(f"Bearer {answer['token']}", region=REGION)
    assert not caller.may_use("repository:a", "pull")


@pytest.mark.parametrize(
    "authorization", [None, "", "Basic", "Basic !!", "Bearer x", "Basic " + base64.b64encode(b"A:B").decode()]
)
async def test_who_is_not_known_gets_no_token(service: Service, authorization: str | None):
    status, answer = await service.get("scope=repository:a:pull", authorization)
    assert (status, answer["errors"][0]["code"]) == (401, "UNAUTHORIZED")


async def test_nobody_gets_an_anonymous_token_where_that_is_set(service: Service):
    status, answer = await service.get("scope=repository:a:pull&offline_token=true", None, anonymous=True)
    assert status == 200
    assert "refresh_token" not in answer
    caller = await service.authenticator.authenticate(f"Bearer {answer['token']}", region=REGION)
    assert caller.principal == ANONYMOUS
    status, _ = await service.get("", "Basic " + base64.b64encode(b"A:B").decode(), anonymous=True)
    assert status == 401, "wrong credentials are not none"


async def test_an_anonymous_token_pulls_at_the_most(service: Service):
    asked = "scope=repository:a:pull,push,delete,*&scope=registry:catalog:*"
    _, answer = await service.get(asked, None, anonymous=True)
    assert answer["scope"] == "repository:a:pull"
    _, answer = await service.get(asked)
    assert answer["scope"] == "repository:a:*,delete,pull,push registry:catalog:*"


async def test_a_password_is_granted_and_refreshed(service: Service):
    fields = {"grant_type": "password", "username": KEY.id, "password": KEY.secret, "access_type": "offline"}
    status, answer = await service.post(**fields, scope="repository:a:pull repository:b:push")
    assert status == 200
    assert answer["scope"] == "repository:a:pull repository:b:push"
    await service.tokens.verify(answer["refresh_token"], REFRESH_AUDIENCE)
    status, again = await service.post(
        grant_type="refresh_token", refresh_token=answer["refresh_token"], scope="repository:c:pull"
    )
    assert status == 200
    assert (await service.tokens.verify(again["access_token"], BEARER_AUDIENCE)).scopes == {"repository:c": {"pull"}}


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password"}, 401, "invalid_grant"),
        ({"grant_type": "password", "username": KEY.id, "password": "wrong"}, 401, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 401, "invalid_grant"),
        ({"grant_type": "refresh_token"}, 401, "invalid_grant"),
        ({"grant_type": "password", "password": "x" * 70_000}, 413, "invalid_request"),
    ],
)
async def test_a_refusal_is_oauths(service: Service, fields: dict[str, str], status: int, code: str):
    found, answer = await service.post(**fields)
    assert (found, answer["error"]) == (status, code)


async def test_no_token_is_good_for_longer_than_what_it_was_obtained_with(service: Service):
    """A password of twelve hours is a login of twelve hours, however often it is refreshed."""
    password, until = service.tokens.issue(PASSWORD_AUDIENCE, ROOT, region=REGION, lifetime=PASSWORD_LIFETIME)
    fields = {"grant_type": "password", "username": "AWS", "password": password, "access_type": "offline"}
    for _ in range(2):
        service.clock.pass_(PASSWORD_LIFETIME / 2 - 60)
        _, answer = await service.post(**fields)
        refresh = answer["refresh_token"]
        assert (await service.tokens.verify(refresh, REFRESH_AUDIENCE)).expires_at == until
        fields = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert answer["expires_in"] == 120
    service.clock.pass_(120)
    assert (await service.post(**fields))[0] == 401


async def test_an_access_token_is_no_refresh_token(service: Service):
    _, answer = await service.get("scope=repository:a:pull")
    status, _ = await service.post(grant_type="refresh_token", refresh_token=answer["token"])
    assert status == 401


async def test_as_many_scopes_as_a_request_can_name_make_a_token_that_is_let_in(service: Service):
    scopes = [f"repository:team/application-{number:04}:pull,push" for number in range(150)]
    status, answer = await service.get(urlencode([("scope", scope) for scope in scopes]))
    if status == 200:
        await service.authenticator.authenticate(f"Bearer {answer['token']}", region=REGION)
    else:
        assert status in {400, 413}


async def test_only_get_and_post_are_answered(service: Service):
    reply = await service.services[False].answer("PUT", "", None, Bytes(), region=REGION)
    assert reply.status == 405

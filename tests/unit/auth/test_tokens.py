import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth.errors import AuthError, CredentialsInvalid, TokenExpired, TokenMalformed
from auth.keys import KEEP_RETIRED, ROTATE_AFTER, SigningKeys
from auth.secrets import ServerKeyInvalid, Vault
from auth.sessions import subject_of
from auth.tokens import Claims, Tokens
from base.ids import new_uuid
from store.sqlite import SqliteDatabase
from tests.rooms import WHO, Time
from tests.unit.auth.conftest import ROOT, SERVER_KEY


def issued(tokens: Tokens, audience: str = "ecr", lifetime: int = 100, **more: Any) -> str:
    return tokens.issue(audience, ROOT, region="us-east-1", lifetime=lifetime, **more)[0]


def part(content: Any) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# -- what a token says


async def test_a_token_says_what_it_was_issued_for(tokens: Tokens, clock: Time):
    token, expires = tokens.issue(
        "registry", ROOT, region="eu-west-1", lifetime=300, scopes={"repository:a": frozenset({"pull"})}
    )
    now = clock()
    expected = Claims(WHO, "eu-west-1", now, now + 300, {"repository:a": frozenset({"pull"})}, subject_of(ROOT))
    assert expires == now + 300
    for _ in range(2):
        assert await tokens.verify(token, "registry") == expected


async def test_no_scopes_and_empty_scopes_are_told_apart(tokens: Tokens):
    assert (await tokens.verify(issued(tokens), "ecr")).scopes is None
    assert (await tokens.verify(issued(tokens, scopes={}), "ecr")).scopes == {}


async def test_no_two_tokens_are_alike(tokens: Tokens):
    assert issued(tokens) != issued(tokens)


async def test_a_token_is_good_until_its_second_and_not_after(tokens: Tokens, clock: Time):
    token = issued(tokens, lifetime=100)
    clock.pass_(99.9)
    await tokens.verify(token, "ecr")
    clock.pass_(0.1)
    with pytest.raises(TokenExpired, match="expired"):
        await tokens.verify(token, "ecr")


async def test_an_expired_token_that_was_never_seen_is_expired(tokens: Tokens, clock: Time):
    token = issued(tokens, lifetime=100)
    clock.pass_(1000)
    with pytest.raises(TokenExpired):
        await tokens.verify(token, "ecr")


async def test_a_token_is_for_its_audience(tokens: Tokens):
    for audience in ("ecr", "registry", "refresh"):
        token = issued(tokens, audience)
        await tokens.verify(token, audience)
        for other in {"ecr", "registry", "refresh", ""} - {audience}:
            with pytest.raises(CredentialsInvalid):
                await tokens.verify(token, other)


# -- forgeries


def claims(clock: Time, **changes: Any) -> dict[str, Any]:
    made = {
        "iss": "longshore", "aud": "ecr", "sub": WHO, "region": "", "iat": int(clock()), "exp": int(clock()) + 100,
        **changes,
    }  # fmt: skip
    return {name: value for name, value in made.items() if value is not ...}


async def test_a_token_without_a_signature_is_refused(tokens: Tokens, keys: SigningKeys, clock: Time):
    kid = keys.current()[0]
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        for signature in ("", part(b"x" * 32)):
            token = f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': kid})}.{part(claims(clock))}.{signature}"
            with pytest.raises((CredentialsInvalid, TokenMalformed)):
                await tokens.verify(token, "ecr")


async def test_only_one_algorithm_counts(tokens: Tokens, keys: SigningKeys, clock: Time):
    kid, secret = keys.current()
    for algorithm in ("HS384", "HS512"):
        token = jwt.encode(claims(clock), secret * 2, algorithm=algorithm, headers={"kid": kid})
        with pytest.raises(CredentialsInvalid):
            await tokens.verify(token, "ecr")


async def test_a_foreign_key_does_not_count_under_any_name(tokens: Tokens, keys: SigningKeys, clock: Time):
    for kid in (keys.current()[0], "another", "", "../../etc/passwd"):
        token = jwt.encode(claims(clock), b"f" * 32, algorithm="HS256", headers={"kid": kid})
        with pytest.raises(CredentialsInvalid):
            await tokens.verify(token, "ecr")


async def test_a_header_chooses_nothing_but_the_key(tokens: Tokens, keys: SigningKeys, clock: Time):
    forged = b"f" * 32
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(forged).decode()}
    for headers in (
        {"jwk": jwk},
        {"jku": "https://example.com/keys"},
        {"x5u": "https://example.com"},
        {"kid": keys.current()[0], "jwk": jwk},
    ):
        token = jwt.encode(claims(clock), forged, algorithm="HS256", headers=headers)
        with pytest.raises(CredentialsInvalid):
            await tokens.verify(token, "ecr")


@pytest.mark.parametrize("changes", [
    {"iss": "another"}, {"iss": ...}, {"aud": ...}, {"sub": ...}, {"exp": ...}, {"iat": ...}, {"aud": "registry"},
])  # fmt: skip
async def test_a_token_of_our_key_needs_all_its_claims(
    tokens: Tokens, keys: SigningKeys, clock: Time, changes: dict[str, Any]
):
    kid, secret = keys.current()
    await tokens.verify(jwt.encode(claims(clock), secret, algorithm="HS256", headers={"kid": kid}), "ecr")
    token = jwt.encode(claims(clock, **changes), secret, algorithm="HS256", headers={"kid": kid})
    with pytest.raises(CredentialsInvalid):
        await tokens.verify(token, "ecr")


async def test_a_token_that_lost_or_changed_a_character_is_refused(tokens: Tokens):
    token = issued(tokens)
    for length in (0, 1, 10, token.index("."), token.rindex("."), token.rindex(".") + 1, len(token) - 1):
        with pytest.raises((CredentialsInvalid, TokenMalformed)):
            await tokens.verify(token[:length], "ecr")
    for place in range(0, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        if changed[:-1] != token[:-1]:
            with pytest.raises((CredentialsInvalid, TokenMalformed)):
                await tokens.verify(changed, "ecr")


@pytest.mark.parametrize("password", [
    "", " ", ".", "..", "...", "a.b.c", "password", "\udc80\udc80", "naïve", "a" * 8192, "a" * 100_000, "\0",
    part(b"[" * 5000) + ".x.y", part(b'{"a":' * 900) + ".x.y", part([]) + ".x.y", part("text") + ".x.y", part({"kid": 5}) + ".x.y",
    part({"kid": None, "alg": "HS256"}) + ".e30.x", part({"alg": "HS256"}) + ".e30.x",
])  # fmt: skip
async def test_what_is_no_token_is_refused_without_a_failure(tokens: Tokens, password: str):
    with pytest.raises((TokenMalformed, CredentialsInvalid)):
        await tokens.verify(password, "ecr")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda data: data.decode("utf-8", "surrogateescape")))
async def test_no_text_is_a_token(tokens: Tokens, text: str):
    for password in (text, f"{text}.{text}.{text}"):
        with pytest.raises(AuthError):
            await tokens.verify(password, "ecr")


# -- keys


class Counted(SqliteDatabase):
    """Counts its reads."""

    reads = 0

    async def fetch(self, sql, parameters=()):
        self.reads += 1
        return await super().fetch(sql, parameters)


async def test_a_flood_of_unknown_keys_is_no_flood_of_queries(database: SqliteDatabase, clock: Time):
    counted = Counted(database._path)
    keys = SigningKeys(counted, Vault([SERVER_KEY]), clock)
    await keys.load()
    tokens = Tokens(keys, clock, new_uuid)
    clock.pass_(10)
    counted.reads = 0
    for number in range(500):
        token = jwt.encode(claims(clock), b"f" * 32, algorithm="HS256", headers={"kid": f"unknown {number}"})
        with pytest.raises(CredentialsInvalid):
            await tokens.verify(token, "ecr")
        clock.pass_(0.01)
    assert counted.reads <= 2 * 6
    await counted.close()


async def test_a_new_key_of_another_process_is_met_within_a_second(
    database: SqliteDatabase, keys: SigningKeys, tokens: Tokens, clock: Time
):
    other = SigningKeys(database, Vault([SERVER_KEY]), clock)
    await other.load()
    assert other.current() == keys.current()
    clock.pass_(5)
    assert await other.rotate()
    await other.load()
    assert other.current() != keys.current()
    await tokens.verify(issued(Tokens(other, clock, new_uuid)), "ecr")


async def test_tokens_of_the_former_key_stay_good_after_a_rotation(
    database: SqliteDatabase, keys: SigningKeys, tokens: Tokens, clock: Time
):
    token = issued(tokens, lifetime=12 * 3600)
    clock.pass_(5)
    await keys.rotate()
    await keys.load()
    clock.pass_(12 * 3600 - 10)
    fresh = SigningKeys(database, Vault([SERVER_KEY]), clock)
    await fresh.load()
    await Tokens(fresh, clock, new_uuid).verify(token, "ecr")


async def test_a_retired_key_is_forgotten_when_its_tokens_are_all_expired(
    database: SqliteDatabase, keys: SigningKeys, clock: Time
):
    old = keys.current()[0]
    clock.pass_(5)
    await keys.rotate()
    clock.pass_(KEEP_RETIRED + 1)
    await keys.load()
    assert await keys.find(old) is None
    clock.pass_(5)
    await keys.rotate()
    assert old not in {row[0] for row in await database.fetch("SELECT id FROM signing_keys")}


async def test_the_key_is_replaced_when_it_is_old(keys: SigningKeys, clock: Time):
    first = keys.current()
    clock.pass_(ROTATE_AFTER - 1)
    await keys.load()
    assert keys.current() == first
    clock.pass_(2)
    await keys.load()
    assert keys.current() != first


async def test_two_that_start_at_once_agree_on_one_key(database: SqliteDatabase, clock: Time):
    other_database = SqliteDatabase(database._path)
    both = [SigningKeys(one, Vault([SERVER_KEY]), clock) for one in (database, other_database)]
    for one in both:
        await one.load()
    assert both[0].current() == both[1].current()
    assert await database.fetch_one("SELECT COUNT(*) FROM signing_keys") == (1,)
    await other_database.close()


async def test_keys_are_encrypted_where_they_lie(database: SqliteDatabase, keys: SigningKeys):
    _, secret = keys.current()
    (sealed,) = await database.fetch_one("SELECT secret FROM signing_keys") or (b"",)
    assert secret not in sealed
    assert secret.hex().encode() not in sealed
    assert base64.b64encode(secret) not in sealed


async def test_another_server_key_is_an_error_that_says_so(database: SqliteDatabase, keys: SigningKeys, clock: Time):
    with pytest.raises(ServerKeyInvalid, match="another server key"):
        await SigningKeys(database, Vault(["b" * 32]), clock).load()
    rotated = SigningKeys(database, Vault(["b" * 32, SERVER_KEY]), clock)
    await rotated.load()
    assert rotated.current() == keys.current()


async def test_verified_tokens_are_a_bounded_cache(tokens: Tokens, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("auth.tokens._CACHE", 10)
    made = [issued(tokens) for _ in range(50)]
    for token in made:
        await tokens.verify(token, "ecr")
    assert len(tokens._verified) <= 10
    for token in made:
        await tokens.verify(token, "ecr")


async def test_what_is_refused_is_not_remembered(tokens: Tokens):
    for number in range(50):
        with pytest.raises(AuthError):
            await tokens.verify(f"no token {number}", "ecr")
    assert not tokens._verified

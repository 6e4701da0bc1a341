import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth.access import ANONYMOUS, Principal
from auth.authenticate import (
    BEARER_AUDIENCE,
    PASSWORD_AUDIENCE,
    REFRESH_AUDIENCE,
    Authenticator,
    Caller,
    decode_basic,
)
from auth.credentials import Keyring, root_of
from auth.errors import AuthError, CredentialsInvalid, CredentialsMissing, TokenExpired, TokenMalformed
from auth.tokens import Tokens
from tests.rooms import Time
from tests.unit.auth.conftest import ACCOUNT, KEY, ROOT

HERE = "us-east-1"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def authenticator(keyring: Keyring, tokens: Tokens) -> Authenticator:
    return Authenticator(keyring, tokens)


def password(tokens: Tokens, who: Principal = ROOT, region: str = HERE, audience: str = PASSWORD_AUDIENCE) -> str:
    return tokens.issue(audience, who, region=region, lifetime=100)[0]


async def test_an_access_key_and_its_secret_are_let_in(authenticator: Authenticator):
    for _ in range(2):
        assert await authenticator.authenticate(basic(KEY.id, KEY.secret), region=HERE) == Caller(ROOT)
    assert (await authenticator.authenticate(basic(KEY.id, KEY.secret), region="eu-west-1")).principal == ROOT


@pytest.mark.parametrize(("user", "secret"), [
    (KEY.id, ""), (KEY.id, KEY.secret[:-1]), (KEY.id, KEY.secret + "x"), (KEY.id.lower(), KEY.secret), ("", KEY.secret),
    ("AKIAUNKNOWN", KEY.secret), ("AKIAUNKNOWN", "-" * 40), ("", ""), (KEY.id + "\0", KEY.secret),
])  # fmt: skip
async def test_anything_else_than_the_two_together_is_refused(authenticator: Authenticator, user: str, secret: str):
    with pytest.raises(CredentialsInvalid):
        await authenticator.authenticate(basic(user, secret), region=HERE)


async def test_the_scheme_may_be_written_in_any_case(authenticator: Authenticator):
    value = basic(KEY.id, KEY.secret)[6:]
    for scheme in ("basic", "BASIC", "bAsIc"):
        assert (await authenticator.authenticate(f"{scheme} {value}", region=HERE)).principal == ROOT


async def test_a_password_of_the_api_is_let_in_in_its_region(authenticator: Authenticator, tokens: Tokens):
    caller = await authenticator.authenticate(basic("AWS", password(tokens)), region=HERE)
    assert caller == Caller(ROOT)
    assert caller.may_use("repository:anything", "push")
    with pytest.raises(CredentialsInvalid, match="us-east-1, not eu-west-1"):
        await authenticator.authenticate(basic("AWS", password(tokens)), region="eu-west-1")


async def test_a_password_expires_and_is_then_refused_though_it_was_seen(
    authenticator: Authenticator, tokens: Tokens, clock: Time
):
    header = basic("AWS", password(tokens))
    await authenticator.authenticate(header, region=HERE)
    clock.pass_(101)
    with pytest.raises(TokenExpired):
        await authenticator.authenticate(header, region=HERE)


async def test_tokens_of_one_kind_are_not_taken_for_another(authenticator: Authenticator, tokens: Tokens):
    kinds = {
        kind: password(tokens, audience=kind) for kind in (PASSWORD_AUDIENCE, BEARER_AUDIENCE, REFRESH_AUDIENCE, "blob")
    }
    for kind, token in kinds.items():
        if kind != PASSWORD_AUDIENCE:
            with pytest.raises(CredentialsInvalid):
                await authenticator.authenticate(basic("AWS", token), region=HERE)
        if kind != BEARER_AUDIENCE:
            with pytest.raises(CredentialsInvalid):
                await authenticator.authenticate(f"Bearer {token}", region=HERE)
        if kind != REFRESH_AUDIENCE:
            with pytest.raises(CredentialsInvalid):
                await authenticator.check_refresh_token(token, region=HERE)
    login = await authenticator.check_refresh_token(kinds[REFRESH_AUDIENCE], region=HERE)
    assert login.principal == ROOT
    with pytest.raises(CredentialsInvalid, match="us-east-1, not eu-west-1"):
        await authenticator.check_refresh_token(kinds[REFRESH_AUDIENCE], region="eu-west-1")


async def test_a_bearer_token_is_limited_to_its_scopes(authenticator: Authenticator, tokens: Tokens):
    scopes = {
        "repository:a/b": frozenset({"pull"}),
        "repository:c": frozenset({"*"}),
        "registry:catalog": frozenset({"*"}),
    }
    token, _ = tokens.issue(BEARER_AUDIENCE, ROOT, region=HERE, lifetime=100, scopes=scopes)
    caller = await authenticator.authenticate(f"Bearer {token}", region=HERE)
    assert caller.principal == ROOT
    for scope, action, may in [
        ("repository:a/b", "pull", True), ("repository:a/b", "push", False), ("repository:a", "pull", False),
        ("repository:a/b/c", "pull", False), ("repository:c", "delete", True), ("registry:catalog", "*", True),
        ("repository:d", "pull", False),
    ]:  # fmt: skip
        assert caller.may_use(scope, action) is may, (scope, action)


async def test_a_bearer_token_without_scopes_may_nothing(authenticator: Authenticator, tokens: Tokens):
    token, _ = tokens.issue(BEARER_AUDIENCE, ROOT, region=HERE, lifetime=100, scopes={})
    caller = await authenticator.authenticate(f"Bearer {token}", region=HERE)
    assert not caller.may_use("repository:a", "pull")


async def test_an_anonymous_token_is_nobodys(authenticator: Authenticator, tokens: Tokens):
    token, _ = tokens.issue(BEARER_AUDIENCE, ANONYMOUS, region=HERE, lifetime=100, scopes={})
    assert (await authenticator.authenticate(f"Bearer {token}", region=HERE)).principal == ANONYMOUS
    with pytest.raises(CredentialsInvalid):
        await authenticator.authenticate(basic("AWS", password(tokens, ANONYMOUS)), region=HERE)


async def test_nobody_does_more_than_pull_whatever_a_token_says(authenticator: Authenticator, tokens: Tokens):
    scopes = {"repository:a": frozenset({"pull", "push", "delete", "*"}), "registry:catalog": frozenset({"*"})}
    token, _ = tokens.issue(BEARER_AUDIENCE, ANONYMOUS, region=HERE, lifetime=100, scopes=scopes)
    caller = await authenticator.authenticate(f"Bearer {token}", region=HERE)
    may = [action for action in ("pull", "push", "delete", "*") if caller.may_use("repository:a", action)]
    assert may == ["pull"]
    assert not caller.may_use("registry:catalog", "*")


async def test_a_bearer_token_is_good_for_its_own_region(authenticator: Authenticator, tokens: Tokens):
    token, _ = tokens.issue(BEARER_AUDIENCE, ROOT, region="eu-north-1", lifetime=100, scopes={})
    with pytest.raises(CredentialsInvalid, match="eu-north-1"):
        await authenticator.authenticate(f"Bearer {token}", region=HERE)


async def test_a_token_of_somebody_who_is_gone_is_refused(authenticator: Authenticator, tokens: Tokens):
    gone = root_of(ACCOUNT, "AKIAGONE")
    for header in (basic("AWS", password(tokens, gone)), f"Bearer {password(tokens, gone, audience=BEARER_AUDIENCE)}"):
        with pytest.raises(CredentialsInvalid, match="no longer exists"):
            await authenticator.authenticate(header, region=HERE)


async def test_no_header_is_missing_credentials(authenticator: Authenticator):
    for header in (None, ""):
        with pytest.raises(CredentialsMissing):
            await authenticator.authenticate(header, region=HERE)


@pytest.mark.parametrize("header", [
    " ", "Basic", "Basic ", "Basic !!!", "Basic YQ==", "Basic YQ", "Basic " + base64.b64encode(b"\xff\xfe:x").decode(), "Bearer",
    "Bearer ", "Bearer x", "Digest a", "AWS4-HMAC-SHA256 Credential=x", "Basic \udc80", "Bearer \udc80", "\udc80", "x" * 20_000,
    "Basic " + "A" * 20_000,
])  # fmt: skip
async def test_a_header_that_says_nothing_is_refused_without_a_failure(authenticator: Authenticator, header: str):
    with pytest.raises((CredentialsInvalid, TokenMalformed)):
        await authenticator.authenticate(header, region=HERE)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["Basic ", "Bearer ", ""]), st.binary(max_size=40))
async def test_no_bytes_in_the_header_end_in_a_failure(authenticator: Authenticator, scheme: str, value: bytes):
    for text in (value.decode("utf-8", "surrogateescape"), base64.b64encode(value).decode()):
        with pytest.raises(AuthError):
            await authenticator.authenticate(scheme + text, region=HERE)


async def test_decoded_headers_are_a_bounded_cache(authenticator: Authenticator):
    for number in range(2000):
        with pytest.raises(CredentialsInvalid):
            await authenticator.authenticate(basic(KEY.id, str(number)), region=HERE)
    assert len(authenticator._decoded) <= 512


@given(
    st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_basic_credentials_are_split_at_the_first_colon(user: str, secret: str):
    assert decode_basic(basic(user, secret)[6:]) == (user, secret)


def test_keys_and_principals_never_show_a_secret(keyring: Keyring):
    assert KEY.secret not in f"{KEY!r} {KEY} {keyring!r} {[KEY]}"

"""Temporary credentials, and whose signature a request bears."""

import base64
import json
from dataclasses import replace

import pytest

from auth.access import Principal, PrincipalKind, Session, SessionKind
from auth.credentials import Keyring
from auth.errors import CredentialsInvalid, TokenExpired, TokenMalformed
from auth.identifiers import account_in
from auth.secrets import Vault
from auth.sessions import Sessions, Subject, TemporaryKey
from auth.signers import Signers
from auth.sts.passed import Passed
from auth.tokens import Tokens
from aws.errors import AwsError
from aws.sigv4 import Claim
from tests.rooms import Time
from tests.unit.auth.conftest import ACCOUNT, KEY, ROOT, SERVER_KEY


@pytest.fixture
def sessions(vault: Vault, clock: Time) -> Sessions:
    return Sessions(vault, clock)


@pytest.fixture
def signers(keyring: Keyring, sessions: Sessions) -> Signers:
    return Signers(keyring, sessions)


def root_session(clock: Time, seconds: float = 900.0) -> Subject:
    session = Session(SessionKind.TOKEN, "", clock(), clock() + seconds, key_id=KEY.id)
    return Subject(PrincipalKind.ROOT, ACCOUNT, ACCOUNT, "", session)


def claim(key_id: str, token: str | None) -> Claim:
    return Claim(
        access_key_id=key_id, date="20260101", region="us-east-1", service="sts", timestamp="20260101T000000Z",
        signed_headers=("host",), signature="", session_token=token, presigned=False, expires=None,
    )  # fmt: skip


async def found(signers: Signers, key: TemporaryKey) -> Principal:
    credential = await signers.find(claim(key.id, key.token))
    assert credential is not None
    assert (credential.secret_access_key, credential.account) == (key.secret, ACCOUNT)
    return credential.principal


async def test_temporary_credentials_stand_for_their_session(sessions: Sessions, signers: Signers, clock: Time):
    subject = root_session(clock)
    key = sessions.issue(subject)
    assert key.id.startswith("ASIA")
    assert account_in(key.id) == ACCOUNT
    assert len(key.secret) == 40
    for _ in range(2):
        assert await found(signers, key) == replace(ROOT, key_id=key.id, session=subject.session)


def test_a_session_token_shows_nothing_of_what_it_holds(sessions: Sessions, clock: Time):
    key = sessions.issue(root_session(clock))
    assert key.token.isascii()
    assert key.token.isprintable()
    opaque = base64.urlsafe_b64decode(key.token)
    for secret in (key.secret, key.id, ACCOUNT, KEY.id):
        assert secret.encode() not in opaque
        assert secret not in repr(key).replace(key.id, "", 1)


async def test_a_session_is_over_at_its_second_though_it_was_seen(sessions: Sessions, signers: Signers, clock: Time):
    key = sessions.issue(root_session(clock, 900))
    clock.pass_(899.9)
    await found(signers, key)
    clock.pass_(0.1)
    with pytest.raises(AwsError) as refused:
        await signers.find(claim(key.id, key.token))
    assert (refused.value.query_code, refused.value.query_status) == ("ExpiredToken", 403)
    assert refused.value.message == "The security token included in the request is expired"


async def test_a_token_goes_with_its_own_key_only(sessions: Sessions, signers: Signers, clock: Time):
    one, two = (sessions.issue(root_session(clock)) for _ in range(2))
    for key_id, token in ((one.id, two.token), (one.id, None), (one.id, ""), (KEY.id, one.token), ("", one.token)):
        assert await signers.find(claim(key_id, token)) is None
    clock.pass_(10_000)
    assert await signers.find(claim(one.id, two.token)) is None, "not even said to be expired"


def forgeries(token: str, clock: Time) -> list[str]:
    elsewhere = Sessions(Vault(["another server key of more than 32 characters"]), clock).issue(root_session(clock))
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[len(raw) // 2] ^= 1
    plain = base64.urlsafe_b64encode(json.dumps({"kind": "Account"}).encode()).decode()
    other_purpose = Vault([SERVER_KEY]).encrypt(b"{}").decode()
    right_purpose = Vault([SERVER_KEY]).for_purpose("session tokens")
    return [
        token[:-1], token[:40], token + "A", "x", "é", "A" * 20_000, base64.urlsafe_b64encode(raw).decode(), plain,
        elsewhere.token, other_purpose, right_purpose.encrypt(b"{}").decode(), right_purpose.encrypt(b"[1]").decode(),
    ]  # fmt: skip


async def test_forged_and_truncated_tokens_are_refused(sessions: Sessions, signers: Signers, clock: Time):
    key = sessions.issue(root_session(clock))
    for token in forgeries(key.token, clock):
        with pytest.raises(TokenMalformed):
            sessions.open(key.id, token)
        with pytest.raises(AwsError) as refused:
            await signers.find(claim(key.id, token))
        assert (refused.value.code, refused.value.query_code) == ("UnrecognizedClientException", "InvalidClientTokenId")
        assert refused.value.message == "The security token included in the request is invalid"


async def test_tokens_outlive_a_rotation_of_the_server_key_while_the_old_one_is_kept(clock: Time):
    old, new = "o" * 32, "n" * 32
    key = Sessions(Vault([old]), clock).issue(root_session(clock))
    assert Sessions(Vault([new, old]), clock).open(key.id, key.token)[1] == key.secret
    with pytest.raises(TokenMalformed):
        Sessions(Vault([new]), clock).open(key.id, key.token)


async def test_the_order_is_token_then_end_then_existence(sessions: Sessions, signers: Signers, clock: Time):
    gone = Subject(
        PrincipalKind.ROLE_SESSION,
        ACCOUNT,
        "AROAGONE",
        "",
        replace(root_session(clock).session, key_id=""),  # type: ignore[type-var]
    )
    key = sessions.issue(gone)
    assert await signers.find(claim(key.id, key.token)) is None
    clock.pass_(10_000)
    with pytest.raises(AwsError, match="expired"):
        await signers.find(claim(key.id, key.token))


def test_opened_tokens_are_a_bounded_cache(sessions: Sessions, clock: Time, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("auth.sessions._OPENED", 10)
    keys = [sessions.issue(root_session(clock)) for _ in range(30)]
    for key in (*keys, *keys):
        sessions.open(key.id, key.token)
    assert len(sessions._opened) <= 10


def test_what_does_not_fit_is_not_remembered(sessions: Sessions, clock: Time):
    key = sessions.issue(root_session(clock, 0))
    for _ in range(2):
        with pytest.raises(CredentialsInvalid):
            sessions.open("ASIAOTHER", key.token)
        with pytest.raises(TokenExpired):
            sessions.open(key.id, key.token)


def test_credentials_without_a_session_are_not_issued(sessions: Sessions):
    with pytest.raises(ValueError, match="session"):
        sessions.issue(Subject(PrincipalKind.ROOT, ACCOUNT, ACCOUNT, ""))


async def test_the_largest_session_fits_into_a_header_field_as_credentials_and_as_a_password(
    sessions: Sessions, tokens: Tokens, clock: Time
):
    """The bounds of what is passed to a session, of what a web identity adds, and of a field."""
    passed = Passed(("\n" * 1800,), tags=(("k" * 128, "v" * 256), ("é" * 24, "é" * 24)))
    while passed.packed < 98:
        passed = replace(passed, tags=(*passed.tags, (f"key-{len(passed.tags)}", "v" * 40)))
    assert passed.packed <= 100
    session = Session(
        SessionKind.WEB_IDENTITY, "n" * 64, clock(), clock() + 43200, policies=passed.policies, tags=passed.tags,
        transitive=tuple(key for key, _ in passed.tags), source_identity="s" * 64, provider="p" * 300,
        claims=(("i" * 250 + ":aud", "a" * 255), ("i" * 250 + ":sub", "s" * 255), ("i" * 250 + ":amr", ("m" * 255,)),
                ("i" * 250 + ":oaud", ("o" * 255,) * 4)),
    )  # fmt: skip
    subject = Subject(PrincipalKind.ROLE_SESSION, ACCOUNT, "AROA" + "A" * 17, "", session)
    key = sessions.issue(subject)
    field = 16 * 1024
    assert len(f"X-Amz-Security-Token: {key.token}\r\n") < field
    assert sessions.open(key.id, key.token)[0].session == session
    principal = Principal(
        PrincipalKind.ROLE_SESSION, ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/{'r' * 64}/{'n' * 64}", "u",
        identity_id=subject.identity_id, key_id=key.id, session=session,
    )  # fmt: skip
    password, _ = tokens.issue("ecr", principal, region="us-east-1", lifetime=3600)
    assert len(f"Authorization: Basic {base64.b64encode(f'AWS:{password}'.encode()).decode()}\r\n") < field
    assert (await tokens.verify(password, "ecr")).subject == replace(subject, key_id=key.id)

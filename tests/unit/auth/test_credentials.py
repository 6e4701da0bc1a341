"""The keyring over rows, and who stands behind a token now."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.access import Principal, PrincipalKind, Session, SessionKind
from auth.credentials import Keyring, root_of
from auth.epoch import LOOK_AGAIN, Epoch
from auth.identifiers import account_in, new_access_key_id
from auth.secrets import Vault
from auth.sessions import Subject, pack, subject_of, unpack
from store.database import Unit
from store.sqlite import SqliteDatabase
from tests.rooms import Time
from tests.unit.auth.conftest import ACCOUNT, KEY, ROOT

USER_KEY, SECRET = "AKIAALICE", "alices secret"
ALICE = Principal(
    PrincipalKind.USER,
    ACCOUNT,
    f"arn:aws:iam::{ACCOUNT}:user/team/Alice",
    "AIDAALICE",
    identity_arn=f"arn:aws:iam::{ACCOUNT}:user/team/Alice",
    identity_id="AIDAALICE",
    name="Alice",
    key_id=USER_KEY,
)


class Rows:
    """Identities as the IAM operations leave them."""

    def __init__(self, database: SqliteDatabase, epoch: Epoch, vault: Vault) -> None:
        self.database, self.epoch, self.vault = database, epoch, vault

    async def run(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        def unit() -> Unit[None]:
            for statement in statements:  # noqa: UP028 - a tuple cannot be sent rows
                yield statement

        await self.epoch.change(unit)

    async def account(self, status: str, account: str = ACCOUNT) -> None:
        await self.run(
            ("INSERT INTO accounts (id, name, email, status, alias, created_at) VALUES (?, 'a', 'a@example.test', ?, '', 0) "
            "ON CONFLICT (id) DO UPDATE SET status = excluded.status", (account, status))
        )  # fmt: skip

    async def user(self, principal: Principal = ALICE, name: str = "Alice", path: str = "/team/") -> None:
        await self.run(
            ("INSERT INTO users VALUES (?, ?, ?, ?, ?, '', 0)",
            (principal.identity_id, principal.account, name, name.lower(), path))
        )  # fmt: skip

    async def role(self, identifier: str = "AROAPULL", name: str = "Pull", account: str = ACCOUNT) -> None:
        await self.run(
            ("INSERT INTO roles VALUES (?, ?, ?, ?, '/ci/', '{}', '', 3600, '', 0, NULL, '')",
            (identifier, account, name, name.lower()))
        )  # fmt: skip

    async def key(self, identifier: str = USER_KEY, owner: str = "AIDAALICE", account: str = ACCOUNT) -> None:
        sealed = self.vault.encrypt(SECRET.encode())
        await self.run(
            ("INSERT INTO access_keys VALUES (?, ?, ?, ?, 'Active', 0, NULL, '', '')",
            (identifier, account, owner, sealed))
        )  # fmt: skip


@pytest.fixture
def rows(database: SqliteDatabase, epoch: Epoch, vault: Vault) -> Rows:
    return Rows(database, epoch, vault)


@pytest.fixture
async def alice(rows: Rows) -> Principal:
    await rows.user()
    await rows.key()
    return ALICE


def session(kind: SessionKind, **more: object) -> Session:
    return Session(kind, "job-7", 1_700_000_000.0, 1_700_003_600.0, **more)  # type: ignore[arg-type]


# -- keys


async def test_the_root_key_of_the_settings_stands_for_root(keyring: Keyring):
    assert await keyring.find(KEY.id) == KEY
    assert await keyring.check(KEY.id, KEY.secret) == ROOT
    assert await keyring.check(KEY.id, SECRET) is None


async def test_a_users_key_stands_for_the_user_with_path_and_id(keyring: Keyring, alice: Principal):
    found = await keyring.find(USER_KEY)
    assert found is not None
    assert (found.secret, found.principal) == (SECRET, alice)
    assert await keyring.check(USER_KEY, SECRET) == alice
    assert await keyring.check(USER_KEY, KEY.secret) is None


async def test_a_key_of_an_accounts_number_stands_for_its_root_while_the_account_is_active(
    keyring: Keyring, rows: Rows
):
    other = "210987654321"
    await rows.key("AKIAOTHER", other, other)
    assert await keyring.find("AKIAOTHER") is None, "an account that nobody made"
    await rows.account("ACTIVE", other)
    assert await keyring.check("AKIAOTHER", SECRET) == root_of(other, "AKIAOTHER")
    await rows.account("SUSPENDED", other)
    assert await keyring.find("AKIAOTHER") is None


async def test_keys_that_may_not_sign_are_as_if_they_were_not_there(keyring: Keyring, rows: Rows, alice: Principal):
    assert await keyring.find("AKIANOBODY") is None
    assert await keyring.find(USER_KEY) is not None
    await rows.run(("UPDATE access_keys SET status = 'Inactive' WHERE id = ?", (USER_KEY,)))
    assert await keyring.find(USER_KEY) is None
    await rows.run(("UPDATE access_keys SET status = 'Active' WHERE id = ?", (USER_KEY,)))
    assert await keyring.find(USER_KEY) is not None
    await rows.account("SUSPENDED")
    assert await keyring.find(USER_KEY) is None
    await rows.account("ACTIVE")
    await rows.run(("DELETE FROM users", ()))
    assert await keyring.find(USER_KEY) is None


async def test_what_another_process_takes_away_is_gone_within_a_second(
    keyring: Keyring, alice: Principal, database: SqliteDatabase, vault: Vault, clock: Time
):
    assert await keyring.current(subject_of(alice)) == alice
    other = SqliteDatabase(database._path)
    await Rows(other, Epoch(other, clock), vault).run(("DELETE FROM access_keys", ()))
    await other.close()
    clock.pass_(LOOK_AGAIN)
    assert await keyring.find(USER_KEY) is None
    assert await keyring.current(subject_of(alice)) is None


# -- tokens


async def test_a_token_stands_for_the_user_as_it_is_now(keyring: Keyring, rows: Rows, alice: Principal):
    subject = subject_of(alice)
    await rows.run(("UPDATE users SET name = 'Bob', folded = 'bob', path = '/'", ()))
    now = await keyring.current(subject)
    assert now is not None
    assert (now.arn, now.name, now.unique_id) == (f"arn:aws:iam::{ACCOUNT}:user/Bob", "Bob", alice.unique_id)


@pytest.mark.parametrize("change", [
    "DELETE FROM access_keys",
    "UPDATE access_keys SET status = 'Inactive'",
    "DELETE FROM users",
    "UPDATE users SET id = 'AIDAANOTHER'",
    "UPDATE access_keys SET owner_id = 'AIDAANOTHER'",
])  # fmt: skip
@pytest.mark.parametrize("kind", [None, SessionKind.TOKEN, SessionKind.FEDERATION])
async def test_a_key_or_user_that_goes_takes_its_tokens_with_it(
    keyring: Keyring, rows: Rows, alice: Principal, change: str, kind: SessionKind | None
):
    subject = subject_of(alice)
    if kind is not None:
        made = PrincipalKind.FEDERATED_USER if kind is SessionKind.FEDERATION else PrincipalKind.USER
        subject = replace(subject, kind=made, key_id="ASIATEMPORARY", session=session(kind, key_id=USER_KEY))
    assert await keyring.current(subject) is not None
    await rows.run((change, ()))
    assert await keyring.current(subject) is None


async def test_a_user_of_the_same_name_made_anew_does_not_inherit_tokens(
    keyring: Keyring, rows: Rows, alice: Principal
):
    await rows.run(("DELETE FROM users", ()))
    await rows.user(replace(alice, identity_id="AIDASECOND"))
    assert await keyring.current(subject_of(alice)) is None


async def test_a_token_of_root_ends_with_its_key(keyring: Keyring):
    assert await keyring.current(subject_of(ROOT)) == ROOT
    assert await keyring.current(subject_of(root_of(ACCOUNT, "AKIAEARLIER"))) is None
    assert await keyring.current(subject_of(root_of("210987654321", KEY.id))) is None
    assert await keyring.current(subject_of(root_of(ACCOUNT))) is None


async def test_a_role_session_stands_for_its_role_while_that_exists(keyring: Keyring, rows: Rows):
    await rows.role()
    subject = Subject(PrincipalKind.ROLE_SESSION, ACCOUNT, "AROAPULL", "ASIAROLE", session(SessionKind.ROLE))
    assert await keyring.current(subject) == Principal(
        PrincipalKind.ROLE_SESSION,
        ACCOUNT,
        f"arn:aws:sts::{ACCOUNT}:assumed-role/Pull/job-7",
        "AROAPULL:job-7",
        identity_arn=f"arn:aws:iam::{ACCOUNT}:role/ci/Pull",
        identity_id="AROAPULL",
        name="Pull",
        key_id="ASIAROLE",
        session=subject.session,
    )
    await rows.account("SUSPENDED")
    assert await keyring.current(subject) is None
    await rows.account("ACTIVE")
    await rows.run(("DELETE FROM roles", ()))
    await rows.role("AROASECOND")
    assert await keyring.current(subject) is None


async def test_a_federated_user_has_its_makers_identity_and_a_name_of_its_own(keyring: Keyring, alice: Principal):
    made = session(SessionKind.FEDERATION, key_id=USER_KEY)
    subject = Subject(PrincipalKind.FEDERATED_USER, ACCOUNT, alice.identity_id, "ASIAFED", made)
    found = await keyring.current(subject)
    assert found is not None
    assert (found.kind, found.arn, found.unique_id, found.identity_id) == (
        PrincipalKind.FEDERATED_USER,
        f"arn:aws:sts::{ACCOUNT}:federated-user/job-7",
        f"{ACCOUNT}:job-7",
        alice.identity_id,
    )


def test_what_a_token_carries_is_what_it_was_given():
    full = Session(
        SessionKind.WEB_IDENTITY, "job-7", 1.5, 2.5, "AKIA", ("{}", "{}"), ("arn:1",), (("k", "v"), ("K2", "")), ("k",),
        "alice", "arn:provider", (("issuer:aud", "me"), ("issuer:amr", ("a", "b"))), True,
    )  # fmt: skip
    for made in (None, full, session(SessionKind.ROLE)):
        subject = Subject(PrincipalKind.ROLE_SESSION, ACCOUNT, "AROA", "ASIA", made)
        assert unpack(pack(subject)) == subject


# -- ids


@given(st.integers(0, 10**12 - 1), st.sampled_from(["AKIA", "ASIA"]))
def test_a_key_id_names_its_account(number: int, prefix: str):
    account = f"{number:012}"
    made = new_access_key_id(account, prefix)
    assert len(made) == 20
    assert made.startswith(prefix)
    assert account_in(made) == account


@pytest.mark.parametrize("text", [
    "", "AKIA", "AKIA" + "1" * 16, "AKIA" + "a" * 16, "AIDAAAAAAAAAAAAAAAAA", "AKIA" + "A" * 17, "AKIA" + "é" * 16,
    "AKIA" + base64.b32encode(((1 << 47) - 1).to_bytes(6, "big") + b"0000").decode(),
])  # fmt: skip
def test_what_is_no_key_id_names_nobody(text: str):
    assert account_in(text) is None

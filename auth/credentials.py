"""Access keys and whom they stand for.

The root key of the home account comes from the settings or from a file of AWS's shared-credentials format; all other
keys lie in the store, encrypted.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace

from auth.access import Principal, PrincipalKind
from auth.directory import ACTIVE as ACCOUNT_ACTIVE
from auth.directory import Directory, identity_arn
from auth.epoch import Epoch, Memory
from auth.secrets import Vault
from auth.sessions import Subject

ACTIVE = "Active"
"""The status of an access key that may sign; the other one is Inactive."""
_PARTITION = "aws"
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, repr=False)
class AccessKey:
    """A long-lived key. Its secret never shows in a representation."""

    id: str
    secret: str
    principal: Principal

    def __repr__(self) -> str:
        return f"AccessKey({self.id})"


def root_of(account: str, key_id: str = "") -> Principal:
    """The root user of an account."""
    arn = f"arn:{_PARTITION}:iam::{account}:root"
    return Principal(PrincipalKind.ROOT, account, arn, account, identity_arn=arn, identity_id=account, key_id=key_id)


class Keyring:
    """Knows every access key that may sign, and who stands behind a token now."""

    def __init__(self, roots: Iterable[AccessKey], directory: Directory, vault: Vault, epoch: Epoch) -> None:
        """`roots` are the keys that are not in the store."""
        self._roots = {key.id: key for key in roots}
        self._directory = directory
        self._vault = vault
        self._remember = Memory(epoch, _REMEMBERED).get

    async def find(self, identifier: str) -> AccessKey | None:
        """The key with that id, if it may sign. Raises DatabaseUnavailable, and ServerKeyInvalid for a secret that was
        encrypted under another server key."""
        root = self._roots.get(identifier)
        if root is None and not (identifier.isascii() and identifier.isalnum()):
            return None
        return root or await self._remember(identifier, lambda: self._load(identifier))

    async def account_of(self, identifier: str) -> str | None:
        """The account of a key that is known, whatever its status."""
        root = self._roots.get(identifier)
        if root is not None:
            return root.principal.account
        stored = await self._directory.access_key(identifier)
        return None if stored is None else stored.account

    async def check(self, identifier: str, secret: str) -> Principal | None:
        """Whom the key and its secret stand for, or None. Raises as `find` does."""
        key = await self.find(identifier)
        expected = key.secret if key is not None else "-" * 40
        same = hmac.compare_digest(expected.encode(), secret.encode("utf-8", "surrogatepass"))
        return key.principal if key is not None and same else None

    async def current(self, subject: Subject) -> Principal | None:
        """Who that is now; None where it is gone: the user or role, its account, or the access key that the token was
        obtained with. Whether a session is over is for who reads the token. Raises DatabaseUnavailable.
        """
        return await self._remember(subject, lambda: self._stand(subject))

    async def _stand(self, subject: Subject) -> Principal | None:
        if subject.kind is PrincipalKind.ROLE_SESSION:
            return await self._role_session(subject)
        session = subject.session
        owner = await self._owner(session.key_id if session is not None else subject.key_id)
        if owner is None or owner.identity_id != subject.identity_id or owner.account != subject.account:
            return None
        if session is None:
            return owner
        if subject.kind is PrincipalKind.FEDERATED_USER:
            arn = f"arn:{_PARTITION}:sts::{owner.account}:federated-user/{session.name}"
            return replace(
                owner,
                kind=PrincipalKind.FEDERATED_USER,
                arn=arn,
                unique_id=f"{owner.account}:{session.name}",
                identity_arn=arn,
                key_id=subject.key_id,
                session=session,
            )
        return replace(owner, key_id=subject.key_id, session=session)

    async def _role_session(self, subject: Subject) -> Principal | None:
        session = subject.session
        role = await self._directory.role(subject.identity_id)
        if session is None or role is None or not await self._directory.is_open(role.account):
            return None
        return Principal(
            PrincipalKind.ROLE_SESSION,
            role.account,
            f"arn:{_PARTITION}:sts::{role.account}:assumed-role/{role.name}/{session.name}",
            f"{role.id}:{session.name}",
            identity_arn=identity_arn("role", role.account, role.path, role.name),
            identity_id=role.id,
            name=role.name,
            key_id=subject.key_id,
            session=session,
        )

    async def _load(self, identifier: str) -> AccessKey | None:
        stored = await self._directory.access_key(identifier)
        owner = await self._owner(identifier)
        if stored is None or owner is None:
            return None
        return AccessKey(identifier, self._vault.decrypt(stored.secret).decode(), owner)

    async def _owner(self, key_id: str) -> Principal | None:
        """Whom a long-lived key stands for, if it may sign."""
        if key_id in self._roots:
            return self._roots[key_id].principal
        stored = await self._directory.access_key(key_id)
        if stored is None or stored.status != ACTIVE:
            return None
        if stored.owner_id == stored.account:
            status = await self._directory.account_status(stored.account)
            return root_of(stored.account, key_id) if status == ACCOUNT_ACTIVE else None
        user = await self._directory.user(stored.owner_id)
        if user is None or not await self._directory.is_open(user.account):
            return None
        arn = identity_arn("user", user.account, user.path, user.name)
        return Principal(
            PrincipalKind.USER,
            user.account,
            arn,
            user.id,
            identity_arn=arn,
            identity_id=user.id,
            name=user.name,
            key_id=key_id,
        )

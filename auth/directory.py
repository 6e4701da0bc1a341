"""Identities as they are now: whom a key or token stands for, and which policies count for them.

What is read is remembered until the epoch moves (`auth.epoch`). Compiled policies are remembered by their text, which
never changes its meaning, so an identity that is read again is not compiled again.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from auth.access import Principal, PrincipalKind, SessionKind
from auth.epoch import Epoch, Memory
from auth.policy.document import Kind, Policy, PolicyMalformed, Source, parse_policy
from auth.policy.evaluate import PolicySet
from auth.rows import directory as rows
from store.database import Database

_REMEMBERED = 10_000
_COMPILED = 8_000_000
"""Characters of policies that are kept compiled; of sets of them as many."""
_CHARACTERS = 500
"""Of session policies, which anyone may make up, that weigh as much as anything else that is remembered."""
_LEAST = 100
ACTIVE = "ACTIVE"
K = TypeVar("K")
V = TypeVar("V")


class ManagedDocument(Protocol):
    """A managed policy that is part of the program."""

    @property
    def name(self) -> str: ...

    @property
    def document(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Guardrail:
    """What an account's organisation says. `levels` are the service control policies of the root, of each unit on the
    way and of the account, as (name, ARN, text); none where they do not apply."""

    organization: str = ""
    path: str = ""
    levels: tuple[tuple[tuple[str, str, str], ...], ...] = ()


class Guardrails(Protocol):
    async def of(self, account: str) -> Guardrail:
        """Reads the rows. An account outside every organisation has an empty one."""
        ...


class NoGuardrails:
    """A server without organisations."""

    async def of(self, account: str) -> Guardrail:  # noqa: ARG002 - as the protocol has it
        return Guardrail()


@dataclass(frozen=True, slots=True)
class Grants:
    """What an identity brings to a decision. `guardrail` has its texts compiled into `controls`."""

    identity: PolicySet | None
    boundary: PolicySet | None
    tags: tuple[tuple[str, str], ...]
    organization: str
    organization_path: str
    controls: tuple[PolicySet, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """What assuming a role needs to know of it."""

    id: str
    account: str
    name: str
    arn: str
    trust: PolicySet
    max_session: int
    tags: tuple[tuple[str, str], ...]


def identity_arn(kind: str, account: str, path: str, name: str) -> str:
    """`arn:aws:iam::<account>:user/<path>name`; `kind` is user, group, role, policy or instance-profile."""
    return f"arn:aws:iam::{account}:{kind}{path}{name}"


class Directory:
    """One process's view."""

    def __init__(
        self,
        database: Database,
        epoch: Epoch,
        *,
        managed: Mapping[str, ManagedDocument],
        guardrails: Guardrails | None = None,
    ) -> None:
        """`managed` are AWS's own policies, by ARN."""
        self._database = database
        self._managed = managed
        self._guardrails: Guardrails = guardrails or NoGuardrails()
        self._compiled = _Kept[tuple[str, Kind, str, str, Source], Policy](_COMPILED)
        self._sets = _Kept[tuple[Policy, ...], PolicySet](_COMPILED)
        self._remember = Memory(epoch, _REMEMBERED).get

    async def user(self, identifier: str) -> rows.StoredUser | None:
        return await self._remember(("user", identifier), lambda: rows.find_user(self._database, identifier))

    async def role(self, identifier: str) -> rows.StoredRole | None:
        return await self._remember(("role", identifier), lambda: rows.find_role(self._database, identifier))

    async def access_key(self, identifier: str) -> rows.StoredAccessKey | None:
        return await self._remember(("key", identifier), lambda: rows.find_access_key(self._database, identifier))

    async def account_status(self, account: str) -> str | None:
        return await self._remember(("account", account), lambda: rows.find_account_status(self._database, account))

    async def is_open(self, account: str) -> bool:
        """Whether it is not closed. The home account is open whether or not it is written down."""
        return await self.account_status(account) in {None, ACTIVE}

    async def role_named(self, account: str, name: str) -> Role | None:
        """For assuming it."""

        async def load() -> Role | None:
            stored = await rows.find_role_named(self._database, account, name)
            if stored is None:
                return None
            arn = identity_arn("role", account, stored.path, stored.name)
            trust = PolicySet([self.compile(stored.trust, Kind.TRUST, stored.name, arn, Source.RESOURCE)])
            tags = tuple(await rows.list_identity_tags(self._database, stored.id))
            return Role(stored.id, account, stored.name, arn, trust, stored.max_session, tags)

        return await self._remember(("role-named", account, name.lower()), load)

    async def policy_text(self, arn: str) -> str | None:
        """Of the managed policy of that ARN, as it is now."""
        found = await self._documents([arn])
        return found[arn][1] if found else None

    async def guardrail(self, account: str) -> Guardrail:
        return await self._remember(("guardrail", account), lambda: self._guardrails.of(account))

    async def grants(self, principal: Principal) -> Grants:
        """Everything but what a session adds."""
        key = ("grants", principal.account, principal.identity_id)
        return await self._remember(key, lambda: self._load(principal))

    async def session(self, principal: Principal) -> PolicySet | None:
        """The session policies of a principal, or None where nothing limits it."""
        session = principal.session
        if session is None or not (session.policies or session.policy_arns):
            return None

        async def load() -> PolicySet:
            found = [self.compile(text, Kind.SESSION, "session", "", Source.NONE) for text in session.policies]
            documents = await self._documents(list(session.policy_arns))
            found += [
                self.compile(text, Kind.SESSION, name, arn, Source.USER_MANAGED)
                for arn, (name, text) in documents.items()
            ]
            return self._set(found)

        key = ("session", *session.policies, "", *session.policy_arns)
        return await self._remember(key, load, weigh=lambda found: 1 + found.size // _CHARACTERS)

    def compile(self, text: str, kind: Kind, name: str, arn: str, source: Source) -> Policy:
        """A policy that was found good when it was written. One that is no longer (by a newer release) denies everything."""
        key = (text, kind, name, arn, source)
        policy = self._compiled.get(key)
        if policy is None:
            try:
                policy = parse_policy(text, kind, name=name, arn=arn, source=source)
            except PolicyMalformed:
                policy = parse_policy(_deny_all(kind), kind, name=name, arn=arn, source=source)
            self._compiled.put(key, policy, len(text))
        return policy

    def _set(self, policies: Iterable[Policy]) -> PolicySet:
        """Who has the same policies shares what is found out about them."""
        key = tuple(dict.fromkeys(policies))
        found = self._sets.get(key)
        if found is None:
            found = PolicySet(key)
            self._sets.put(key, found, found.size)
        return found

    async def _load(self, principal: Principal) -> Grants:
        guardrail = await self.guardrail(principal.account)
        controls = tuple(
            self._set(self.compile(text, Kind.CONTROL, name, arn, Source.NONE) for name, arn, text in level)
            for level in guardrail.levels
        )
        identity, boundary, tags = None, None, tuple[tuple[str, str], ...]()
        if principal.identity_id != principal.account:
            identity, boundary, tags = await self._load_identity(principal)
        return Grants(identity, boundary, tags, guardrail.organization, guardrail.path, controls)

    async def _load_identity(
        self, principal: Principal
    ) -> tuple[PolicySet, PolicySet | None, tuple[tuple[str, str], ...]]:
        identifier = principal.identity_id
        is_user = identifier.startswith("AIDA")
        stored = await (
            rows.find_user(self._database, identifier) if is_user else rows.find_role(self._database, identifier)
        )
        groups = await rows.list_groups_of(self._database, identifier) if is_user else []
        owners = [identifier, *groups]
        attached = await rows.list_attached_arns(self._database, owners)
        documents = await self._documents(list(dict.fromkeys(arn for _, arn in attached)))
        found = [
            self.compile(one.document, Kind.IDENTITY, one.name, "", _source(one.owner_id, is_user=is_user))
            for one in await rows.list_inline_documents(self._database, owners)
        ]
        for arn, (name, text) in documents.items():
            source = Source.AWS_MANAGED if arn in self._managed else Source.USER_MANAGED
            found.append(self.compile(text, Kind.IDENTITY, name, arn, source))
        boundary = None
        if stored is not None and stored.boundary:
            limits = await self._documents([stored.boundary])
            boundary = self._set(
                self.compile(text, Kind.BOUNDARY, name, arn, Source.USER_MANAGED)
                for arn, (name, text) in limits.items()
            )
        return self._set(found), boundary, tuple(await rows.list_identity_tags(self._database, identifier))

    async def _documents(self, arns: Sequence[str]) -> dict[str, tuple[str, str]]:
        """ARN -> (name, text), in the order of `arns`."""
        own = await rows.find_managed_documents(self._database, [arn for arn in arns if arn not in self._managed])
        found = {}
        for arn in arns:
            if arn in self._managed:
                found[arn] = (self._managed[arn].name, self._managed[arn].document)
            elif arn in own:
                found[arn] = own[arn]
        return found


class _Kept(Generic[K, V]):
    """What was made last, as much as weighs no more than `most`; each thing weighs something."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._things: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        found = self._things.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Of a key that is not there."""
        weight += _LEAST
        self._things[key] = (value, weight)
        self._weight += weight
        while self._weight > self._most and len(self._things) > 1:
            _, (_, gone) = self._things.popitem(last=False)
            self._weight -= gone


def is_limited(principal: Principal) -> bool:
    """GetFederationToken without session policies grants nothing by itself."""
    session = principal.session
    return (
        session is not None
        and session.kind is SessionKind.FEDERATION
        and not (session.policies or session.policy_arns)
        and principal.kind is PrincipalKind.FEDERATED_USER
    )


def _source(owner_id: str, *, is_user: bool) -> Source:
    if not is_user:
        return Source.ROLE
    return Source.USER if owner_id.startswith("AIDA") else Source.GROUP


def _deny_all(kind: Kind) -> str:
    principal = '"Principal": "*", ' if kind in {Kind.REPOSITORY, Kind.REGISTRY, Kind.TRUST} else ""
    action = "sts:*" if kind is Kind.TRUST else "ecr:*" if kind in {Kind.REPOSITORY, Kind.REGISTRY} else "*"
    resource = '"Resource": "*", ' if kind not in {Kind.TRUST, Kind.REPOSITORY} else ""
    return f'{{"Version": "2012-10-17", "Statement": {{"Effect": "Deny", {principal}{resource}"Action": "{action}"}}}}'

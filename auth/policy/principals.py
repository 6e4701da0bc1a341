"""Whom a statement of a resource-based policy means (IAM User Guide, "JSON policy elements: Principal", "NotPrincipal")."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from auth.access import Principal, PrincipalKind
from auth.policy.variables import Context


class Naming(IntEnum):
    """How closely a statement names the caller, hence what an Allow in it is worth within one account."""

    NONE = 0
    ACCOUNT = 1
    """The account: it delegates, so an identity-based policy must allow as well."""
    LIMITED = 2
    """The role behind a session, or everyone: allows by itself, within the boundary and the session policies."""
    DIRECT = 3
    """The user or the session itself: allows by itself."""
    ALONE = 4
    """Who has no policies of their own: a service, an identity provider's user, everyone without credentials. Allows by
    itself, whoever the resource belongs to."""


_NUMBER = re.compile(r"[0-9]{12}", re.ASCII)
_PARTITION = r"arn:aws[a-z-]*"
_ROOT = re.compile(_PARTITION + r":iam::([0-9]{12}):root", re.ASCII)
_NAMED = re.compile(
    _PARTITION
    + r":(?:iam::[0-9]{12}:(?:user|role)/[^*?]+|sts::[0-9]{12}:(?:assumed-role/[^*?/]+/[^*?/]+|federated-user/[^*?/]+))"
    r"|A(?:IDA|ROA)[A-Z0-9]{5,}",
    re.ASCII,
)
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.ASCII)
_PROVIDER = re.compile(
    _PARTITION + r":iam::[0-9]{12}:(?:oidc|saml)-provider/[^*?]+|[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.ASCII
)
_CANONICAL = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Principals:
    """Compiled. `written` is what the policy says, by type; the type of a bare `*` is empty. `excluded`: NotPrincipal."""

    written: Mapping[str, Sequence[str]]
    everyone: bool
    accounts: frozenset[str]
    names: frozenset[str]
    services: frozenset[str]
    providers: frozenset[str]
    excluded: bool

    def naming(self, principal: Principal, context: Context, *, anonymous: bool, pinned: bool) -> Naming:
        """How Principal names the caller. `anonymous`: `*` includes callers without credentials; `pinned`: a condition on
        aws:PrincipalArn narrows `*`."""
        if self.services and context.get("aws:principalservicename") in self.services:
            return _ALONE
        kind = principal.kind
        provider = provider_of(principal)
        if provider:
            return _ALONE if provider in self.providers else _NAMELESS
        if kind is _ANONYMOUS:
            return _ALONE if self.everyone and anonymous else _NAMELESS
        names = self.names
        whole = kind not in _SESSIONS
        if principal.arn in names:
            return _DIRECT
        if principal.identity_arn in names or principal.identity_id in names:
            return _DIRECT if whole else _LIMITED
        if self.everyone:
            return _DIRECT if whole or pinned else _LIMITED
        return _ACCOUNT if principal.account in self.accounts else _NAMELESS

    def spares(self, principal: Principal, context: Context) -> bool:
        """Whether NotPrincipal leaves the caller out. The account is looked at, then the role, then its session (or the
        user): each must be in the list."""
        if self.everyone or (self.services and context.get("aws:principalservicename") in self.services):
            return True
        provider = provider_of(principal)
        if provider or principal.kind is PrincipalKind.ANONYMOUS:
            return provider in self.providers
        if principal.account not in self.accounts:
            return False
        if principal.kind is PrincipalKind.ROOT:
            return True
        behind = principal.identity_arn in self.names or principal.identity_id in self.names
        if principal.kind is PrincipalKind.USER:
            return behind or principal.arn in self.names
        return principal.arn in self.names and (behind or not principal.identity_arn)


# an attribute of an Enum takes longer to find than a decision may spend on it
_NAMELESS, _ACCOUNT, _LIMITED, _DIRECT, _ALONE = Naming
_ANONYMOUS = PrincipalKind.ANONYMOUS
_SESSIONS = (PrincipalKind.ROLE_SESSION, PrincipalKind.FEDERATED_USER)
_FOR_PROVIDERS = (PrincipalKind.ANONYMOUS, PrincipalKind.FEDERATED_USER)


def provider_of(principal: Principal) -> str:
    """Of a caller who shows a token of an identity provider and has no credentials yet."""
    if principal.session is None or principal.kind not in _FOR_PROVIDERS:
        return ""
    return principal.session.provider


def compile_principals(written: Mapping[str, Sequence[str]], *, excluded: bool) -> Principals:
    """`written` by type, with the empty type for a bare `*`. Raises ValueError(type, value) for what cannot be one."""
    everyone = False
    accounts, names = set(), set()
    for kind, values in written.items():
        for value in values:
            if not is_principal(kind, value):
                raise ValueError(kind, value)
            root = _ROOT.fullmatch(value)
            if kind in {"", "AWS"}:
                if value == "*":
                    everyone = True
                elif root or _NUMBER.fullmatch(value):
                    accounts.add(root[1] if root else value)
                else:
                    names.add(value)
    return Principals(
        {kind: tuple(values) for kind, values in written.items()},
        everyone,
        frozenset(accounts),
        frozenset(names),
        frozenset(written.get("Service", ())),
        frozenset(written.get("Federated", ())),
        excluded,
    )


def is_principal(kind: str, value: str) -> bool:
    """Whether a principal of this type can be written so."""
    match kind:
        case "":
            return value == "*"
        case "AWS":
            return value == "*" or any(form.fullmatch(value) for form in (_NUMBER, _ROOT, _NAMED))
        case "Service":
            return _SERVICE.fullmatch(value) is not None
        case "Federated":
            return _PROVIDER.fullmatch(value) is not None
        case "CanonicalUser":
            return _CANONICAL.fullmatch(value) is not None
        case _:
            return False

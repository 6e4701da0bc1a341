"""What a request asks leave for, who asks, and what is answered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = str | tuple[str, ...]
"""A context key's value: one, or several (aws:TagKeys)."""


class PrincipalKind(StrEnum):
    """The values of aws:PrincipalType (IAM, "Global condition context keys")."""

    ROOT = "Account"
    USER = "User"
    ROLE_SESSION = "AssumedRole"
    FEDERATED_USER = "FederatedUser"
    ANONYMOUS = "Anonymous"


class SessionKind(StrEnum):
    """Which STS operation made a session."""

    ROLE = "AssumeRole"
    WEB_IDENTITY = "AssumeRoleWithWebIdentity"
    TOKEN = "GetSessionToken"  # noqa: S105 - an operation
    FEDERATION = "GetFederationToken"


@dataclass(frozen=True, slots=True)
class Session:
    """What temporary credentials add to whom they stand for (STS API reference). Times are seconds since the epoch.

    `policies` are the texts of session policies, `policy_arns` managed policies passed as such. `claims` are context
    keys of a web identity (`accounts.example.test:sub`). `key_id` is the long-lived access key the session was obtained
    with by GetSessionToken or GetFederationToken: it ends with that key.
    """

    kind: SessionKind
    name: str
    issued_at: float
    expires_at: float
    key_id: str = ""
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    source_identity: str = ""
    provider: str = ""
    claims: tuple[tuple[str, Value], ...] = ()
    chained: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed a request or obtained its token.

    `arn` as in messages and GetCallerIdentity, `unique_id` as aws:userid, `identity_arn` as aws:PrincipalArn (for a
    role session the role's, with its path). `identity_id` is the unique id of the user or role whose policies count
    (`AIDA...`, `AROA...`; for root and its sessions the account). `name` is the user's or role's name. `key_id` is the
    access key that signed, or that a token was obtained with.
    """

    kind: PrincipalKind
    account: str
    arn: str
    unique_id: str
    identity_arn: str = ""
    identity_id: str = ""
    name: str = ""
    key_id: str = ""
    session: Session | None = None


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, "", "anonymous", "anonymous")


@dataclass(frozen=True, slots=True)
class Access:
    """Leave to do `action` (`ecr:PutImage`) on `resource` (an ARN, or `*`).

    `keys` are context keys of this access alone, such as (aws:RequestTag/team, blue) or (iam:PassedToService, ..).
    """

    action: str
    resource: str
    keys: tuple[tuple[str, Value], ...] = ()


def requested_tags(tags: Iterable[Mapping[str, str]]) -> tuple[tuple[str, Value], ...]:
    """aws:RequestTag/<key> and aws:TagKeys of `Tags`."""
    given = {tag["Key"]: tag.get("Value", "") for tag in tags}
    if not given:
        return ()
    return (*((f"aws:RequestTag/{key}", value) for key, value in given.items()), ("aws:TagKeys", tuple(given)))


@dataclass(slots=True)
class Circumstances:
    """Where and how a request came, for conditions."""

    source_ip: str = ""
    secure: bool = False
    user_agent: str = ""
    region: str = ""
    request_id: str = ""
    referer: str = ""
    keys: Mapping[str, Value] = field(default_factory=dict)
    """Further context keys of the whole request."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed, or the access that was refused and AWS's sentence about it."""

    allowed: bool
    refused: Access | None = None
    sentence: str = ""


ALLOWED = Decision(allowed=True)

"""What a request asks leave for, and who asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class PrincipalKind(StrEnum):
    """The values of aws:PrincipalType (IAM, "Global condition context keys")."""

    ROOT = "Account"
    USER = "User"
    ROLE_SESSION = "AssumedRole"
    ANONYMOUS = "Anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed a request or obtained its token. `arn` as in messages, `unique_id` as aws:userid."""

    kind: PrincipalKind
    account: str
    arn: str
    unique_id: str


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, "", "anonymous", "anonymous")


@dataclass(frozen=True, slots=True)
class Access:
    """Leave to do `action` (`ecr:PutImage`) on `resource` (an ARN, or `*`)."""

    action: str
    resource: str


@dataclass(slots=True)
class Circumstances:
    """Where and how a request came, for conditions."""

    source_ip: str = ""
    secure: bool = False
    user_agent: str = ""
    region: str = ""
    request_id: str = ""
    keys: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Further context keys of the operation, such as aws:RequestTag/team."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed, or the access that was refused and AWS's sentence about it."""

    allowed: bool
    refused: Access | None = None
    sentence: str = ""


ALLOWED = Decision(allowed=True)

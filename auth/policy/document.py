"""Policy documents: from text to a compiled, immutable form, or to an error that says where (IAM, "Policy grammar")."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a policy is attached to, hence which grammar it has."""

    IDENTITY = "identity-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    CONTROL = "service control policy"
    REPOSITORY = "repository policy"
    REGISTRY = "registry policy"
    TRUST = "role trust policy"


class Source(StrEnum):
    """SourcePolicyType of the simulator's MatchedStatements."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"
    AWS_MANAGED = "aws-managed"
    USER_MANAGED = "user-managed"
    RESOURCE = "resource"
    NONE = "none"


class PolicyMalformed(ValueError):
    """The document breaks the grammar, or holds what cannot be evaluated. `message` is AWS's where AWS has one."""

    def __init__(self, message: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1, in the policy's text."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One compiled statement. `policy` is the name or ARN of its policy, `number` its position in it, from 0."""

    policy: str
    kind: Kind
    source: Source
    number: int
    sid: str
    effect: str
    start: Place
    end: Place
    text: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A compiled document. `name` is what MatchedStatements call it, `arn` is empty for inline ones."""

    name: str
    arn: str
    kind: Kind
    source: Source
    version: str
    identifier: str
    statements: tuple[Statement, ...]
    text: str = field(repr=False)
    keys: frozenset[str] = frozenset()
    """The context keys that its conditions and variables read, in lower case (`aws:resourcetag/team`)."""


def parse_policy(text: str, kind: Kind, *, name: str = "", arn: str = "", source: Source = Source.NONE) -> Policy:
    """Parse, validate and compile. Raises PolicyMalformed."""
    raise NotImplementedError

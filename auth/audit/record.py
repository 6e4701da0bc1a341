"""A decision on record."""

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from auth.access import Principal, Value
from auth.policy.document import Kind, Source
from auth.policy.evaluate import Reason
from base.clock import moment


@dataclass(frozen=True, slots=True)
class PolicyUsed:
    """A policy that was in force. `digest` is the SHA-256 of its text in hexadecimal; `arn` is empty for inline ones."""

    name: str
    arn: str
    source: Source
    digest: str


@dataclass(frozen=True, slots=True)
class PoliciesUsed:
    """`auth.policy.evaluate.InForce` with digests in the place of compiled policies; None where there was no set."""

    identity: tuple[PolicyUsed, ...] | None = None
    boundary: tuple[PolicyUsed, ...] | None = None
    session: tuple[PolicyUsed, ...] | None = None
    federated_without: bool = False
    controls: tuple[tuple[PolicyUsed, ...], ...] = ()
    repository: tuple[PolicyUsed, ...] | None = None
    registry: tuple[PolicyUsed, ...] | None = None
    trust: tuple[PolicyUsed, ...] | None = None
    owner: str = ""
    anonymous_resource: bool = False
    digests: frozenset[str] = frozenset()
    """Of all of them."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """A statement that decided: its policy's name or ARN, its kind, its Sid, and its number in the policy, from 0."""

    policy: str
    kind: Kind
    source: Source
    sid: str
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What decisions have in common that differ in time alone.

    `context` lacks aws:CurrentTime and aws:EpochTime, which follow from the time. `omitted` are keys whose values were
    too long to be kept; `known` the keys that the gate gave wherever they applied, in lower case: one of them that is
    not in the context was not there (`auth.authorize.KEYS`).
    """

    principal: Principal
    action: str
    resource: str
    context: Mapping[str, Value]
    policies: PoliciesUsed
    allowed: bool
    reason: Reason
    kind: Kind | None = None
    statements: tuple[Deciding, ...] = ()
    missing: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()

    @property
    def source_ip(self) -> str:
        """Where the request came from, as conditions see it."""
        value = self.context.get("aws:sourceip", "")
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Record:
    """One decision. `at` is in seconds since the epoch, to a microsecond."""

    at: float
    request_id: str
    case: Case

    @property
    def context(self) -> dict[str, Value]:
        """With the keys that tell the time."""
        second = int(self.at)
        return {
            "aws:currenttime": moment(second).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:epochtime": str(second),
            **self.case.context,
        }


def matches(pattern: str, *texts: str) -> bool:
    """Whether one of the texts is as the pattern says, in which `*` and `?` stand for what they do in policies."""
    match = _compile(pattern)
    return any(text and match(text) for text in texts)


@lru_cache
def _compile(pattern: str) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match


def as_json(record: Record) -> dict[str, Any]:
    """The record as `longshore audit` shows it; docs/audit.md explains each field."""
    case = record.case
    principal = case.principal
    who: dict[str, Any] = {"arn": principal.arn, "type": principal.kind.value, "account": principal.account}
    if principal.identity_id:
        who["identity"] = principal.identity_id
    if principal.key_id:
        who["access_key"] = principal.key_id
    session = principal.session
    if session is not None:
        who["session"] = {
            "kind": session.kind.value,
            "name": session.name,
            "issued_at": stamp(session.issued_at),
            "expires_at": stamp(session.expires_at),
            "source_identity": session.source_identity,
        }
    shown: dict[str, Any] = {
        "time": stamp(record.at),
        "request_id": record.request_id,
        "decision": "allowed" if case.allowed else "denied",
        "principal": who,
        "action": case.action,
        "resource": case.resource,
        "reason": case.reason.value,
        "policy_kind": case.kind.value if case.kind is not None else None,
        "statements": [
            {"policy": one.policy, "kind": one.kind.value, "sid": one.sid, "number": one.number}
            for one in case.statements
        ],
        "missing": list(case.missing),
        "source": case.source_ip,
        "context": record.context,
        "policies": _shown_policies(case.policies),
    }
    if case.omitted:
        shown["omitted"] = list(case.omitted)
    return shown


def _shown_policies(used: PoliciesUsed) -> dict[str, Any]:
    sets = {
        Kind.IDENTITY: used.identity,
        Kind.BOUNDARY: used.boundary,
        Kind.SESSION: used.session,
        Kind.REPOSITORY: used.repository,
        Kind.REGISTRY: used.registry,
        Kind.TRUST: used.trust,
    }
    shown: dict[str, Any] = {kind.value: _shown_set(found) for kind, found in sets.items() if found is not None}
    if used.controls:
        shown[Kind.CONTROL.value] = [_shown_set(level) for level in used.controls]
    return shown


def _shown_set(policies: tuple[PolicyUsed, ...]) -> list[dict[str, str]]:
    return [{"policy": one.arn or one.name, "sha256": one.digest} for one in policies]


def stamp(at: float) -> str:
    """ISO 8601 in UTC, to a millisecond."""
    return moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Whom tokens and temporary credentials stand for, in the few words that they carry.

A token says who obtained it; what that is worth is found out at each request (`auth.credentials.Keyring.current`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auth.access import Principal, PrincipalKind, Session, SessionKind, Value


@dataclass(frozen=True, slots=True)
class Subject:
    """What of a principal does not change while it exists: its name and path may, its unique id does not.

    `identity_id` and `key_id` as in `Principal`.
    """

    kind: PrincipalKind
    account: str
    identity_id: str
    key_id: str
    session: Session | None = None


def subject_of(principal: Principal) -> Subject:
    return Subject(principal.kind, principal.account, principal.identity_id, principal.key_id, principal.session)


def pack(subject: Subject) -> dict[str, Any]:
    """As JSON, without what is empty."""
    packed: dict[str, Any] = {
        "kind": subject.kind.value,
        "account": subject.account,
        "id": subject.identity_id,
        "key": subject.key_id,
    }
    if subject.session is not None:
        packed["session"] = _pack_session(subject.session)
    return packed


def unpack(packed: Mapping[str, Any]) -> Subject:
    """Of what `pack` made. Raises KeyError, TypeError, ValueError for anything else."""
    session = packed.get("session")
    return Subject(
        PrincipalKind(packed["kind"]),
        packed["account"],
        packed["id"],
        packed["key"],
        None if session is None else _unpack_session(session),
    )


def _pack_session(session: Session) -> dict[str, Any]:
    packed = {
        "kind": session.kind.value,
        "name": session.name,
        "from": session.issued_at,
        "to": session.expires_at,
        "key": session.key_id,
        "policies": session.policies,
        "arns": session.policy_arns,
        "tags": session.tags,
        "transitive": session.transitive,
        "source": session.source_identity,
        "provider": session.provider,
        "claims": session.claims,
        "chained": session.chained,
    }
    return {name: value for name, value in packed.items() if value}


def _unpack_session(packed: Mapping[str, Any]) -> Session:
    return Session(
        kind=SessionKind(packed["kind"]),
        name=packed["name"],
        issued_at=packed["from"],
        expires_at=packed["to"],
        key_id=packed.get("key", ""),
        policies=tuple(packed.get("policies", ())),
        policy_arns=tuple(packed.get("arns", ())),
        tags=tuple((key, value) for key, value in packed.get("tags", ())),
        transitive=tuple(packed.get("transitive", ())),
        source_identity=packed.get("source", ""),
        provider=packed.get("provider", ""),
        claims=tuple((key, _value(claim)) for key, claim in packed.get("claims", ())),
        chained=packed.get("chained", False),
    )


def _value(claim: str | list[str]) -> Value:
    return claim if isinstance(claim, str) else tuple(claim)

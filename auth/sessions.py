"""Whom tokens and temporary credentials stand for, in the few words that they carry.

A token says who obtained it; what that is worth is found out at each request (`auth.credentials.Keyring.current`).
Temporary credentials are stored nowhere: the session token holds the session and the secret, encrypted and
authenticated under the server key.
"""

import hmac
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from auth.access import Principal, PrincipalKind, Session, SessionKind, Value
from auth.errors import CredentialsInvalid, TokenExpired, TokenMalformed
from auth.identifiers import new_access_key_id, new_secret_access_key
from auth.secrets import ServerKeyInvalid, Vault
from base.clock import Clock

TEMPORARY = "ASIA"
_LONGEST = 16 * 1024
"""Characters of a session token; a header field holds no more."""
_OPENED = 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """What of a principal does not change while it exists: its name and path may, its unique id does not.

    `identity_id` and `key_id` as in `Principal`. Its hash is asked for at each request, so it is taken once.
    """

    kind: PrincipalKind
    account: str
    identity_id: str
    key_id: str
    session: Session | None = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.kind, self.account, self.identity_id, self.key_id, self.session)))

    def __hash__(self) -> int:
        return self._hash


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
    """Of what `pack` made. Raises KeyError, TypeError, AttributeError, ValueError for anything else."""
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
        name=packed.get("name", ""),
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


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """What an STS operation hands out."""

    id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires_at: float


class Sessions:
    """Issues temporary credentials and opens their tokens.

    What was opened is remembered, for what a token holds cannot change; its end is compared each time.
    """

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault.for_purpose("session tokens")
        self._clock = clock
        self._opened: OrderedDict[str, tuple[Subject, str]] = OrderedDict()

    def issue(self, subject: Subject) -> TemporaryKey:
        """Of a subject with a session; its `key_id` is chosen here."""
        session = subject.session
        if session is None:
            raise ValueError("temporary credentials stand for a session")
        identifier, secret = new_access_key_id(subject.account, TEMPORARY), new_secret_access_key()
        content = {**pack(replace(subject, key_id=identifier)), "secret": secret}
        token = self._vault.encrypt(json.dumps(content, separators=(",", ":")).encode()).decode()
        return TemporaryKey(identifier, secret, token, session.expires_at)

    def open(self, key_id: str, token: str) -> tuple[Subject, str]:
        """(whom the credentials stand for, their secret). Raises TokenMalformed for a token that is none of ours,
        CredentialsInvalid for one of another key, TokenExpired."""
        found = self._opened.get(token)
        if found is None:
            found = self._open(token)
            self._opened[token] = found
            if len(self._opened) > _OPENED:
                self._opened.popitem(last=False)
        subject, secret = found
        if not hmac.compare_digest(subject.key_id.encode(), key_id.encode()):
            raise CredentialsInvalid("the session token does not belong to the access key")
        if subject.session is None or subject.session.expires_at <= self._clock():
            raise TokenExpired("the session token has expired")
        return subject, secret

    def _open(self, token: str) -> tuple[Subject, str]:
        try:
            if len(token) > _LONGEST:
                raise TokenMalformed("the session token is too long")
            content = json.loads(self._vault.decrypt(token.encode()))
            return unpack(content), content["secret"]
        except (ServerKeyInvalid, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenMalformed("the session token was not issued by this server") from error

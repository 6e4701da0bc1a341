"""What other policies would have answered. Pure.

A decision on record is made again with the policies that were in force then, but for a few changes. Everything else is
as it was: who asked, the tags, the address, the time.

A key that the record lacks is a fact where the gate gives that key wherever it applies: it was not there. Any other key
that a proposed statement reads is unknown. Such a statement might have applied or not, so the request is decided both
ways: with the allowing ones applied and the denying ones not, and the other way round. Where both answers agree the
unknown did not matter; where they differ the request is undecidable, and the missing keys are named.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Protocol

from auth.access import PrincipalKind
from auth.audit.record import Case, PolicyUsed, Record, matches
from auth.authorize import answer
from auth.policy.document import Kind, Policy, Source, Statement, parse_policy
from auth.policy.evaluate import InForce, PolicySet, Request, Verdict
from auth.policy.variables import Variable, split

FULL_ACCESS: Final = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
"""FullAWSAccess, which an organisation's root, units and accounts have from the beginning."""
_REMEMBERED = 20_000
_TIMES: Final = frozenset({"aws:currenttime", "aws:epochtime"})
_SETS: Final[Mapping[Kind, str]] = {
    Kind.IDENTITY: "identity",
    Kind.BOUNDARY: "boundary",
    Kind.SESSION: "session",
    Kind.REPOSITORY: "repository",
    Kind.REGISTRY: "registry",
    Kind.TRUST: "trust",
}


class TextMissing(Exception):
    """The text of a policy that was in force is no longer on record."""

    def __init__(self, policy: PolicyUsed) -> None:
        super().__init__(policy.arn or policy.name)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom or what a policy is put on. `name` is compared with names and ARNs (`*` and `?` as in policies): of users or
    roles (`principal` says which, None is both), of repositories, of roles that are assumed, or with an account."""

    kind: Kind
    name: str = "*"
    principal: PrincipalKind | None = None

    def covers(self, case: Case) -> bool:
        """Whether a policy of that target counts for the decision."""
        match self.kind:
            case Kind.IDENTITY | Kind.BOUNDARY:
                return self._covers_principal(case)
            case Kind.CONTROL:
                return case.principal.kind is not PrincipalKind.ANONYMOUS and matches(self.name, case.principal.account)
            case Kind.REPOSITORY:
                name = case.resource.partition(":repository/")[2]
                return bool(name) and matches(self.name, case.resource, name)
            case Kind.REGISTRY:
                owner = case.policies.owner or case.principal.account
                return case.action.startswith("ecr:") and matches(self.name, owner)
            case _:
                assuming = case.action.startswith("sts:") and ":role/" in case.resource
                return assuming and matches(self.name, case.resource, case.resource.rpartition("/")[2])

    def _covers_principal(self, case: Case) -> bool:
        principal = case.principal
        if not principal.identity_id or principal.identity_id == principal.account:  # root has no policies
            return False
        kind = PrincipalKind.USER if principal.identity_id.startswith("AIDA") else PrincipalKind.ROLE_SESSION
        if self.principal is not None and kind is not self.principal:
            return False
        return matches(self.name, principal.name, principal.identity_arn, principal.arn)


class Change(Protocol):
    """One thing that would be different."""

    def apply(self, force: InForce, case: Case) -> InForce | None:
        """The policies as they would be, or None where that is what they are."""
        ...


@dataclass(frozen=True, slots=True)
class Put:
    """A policy is put on a target, as the operation for its kind does it: an inline policy takes the place of the one of
    its name or is added, a service control policy is attached to the account, any other takes the place of what there
    is."""

    target: Target
    policy: Policy

    def apply(self, force: InForce, case: Case) -> InForce | None:
        if not self.target.covers(case):
            return None
        match self.target.kind:
            case Kind.IDENTITY:
                others = force.identity.policies if force.identity is not None else ()
                kept = [one for one in others if one.arn or one.name != self.policy.name]
                return replace(force, identity=PolicySet([*kept, self.policy]))
            case Kind.CONTROL:
                *above, own = force.controls or (
                    PolicySet([_parse(FULL_ACCESS, Kind.CONTROL, "FullAWSAccess", "", Source.NONE)]),
                )
                return replace(force, controls=(*above, PolicySet([*own.policies, self.policy])))
            case kind:
                return _with(force, {_SETS[kind]: PolicySet([self.policy])})


@dataclass(frozen=True, slots=True)
class Exchange:
    """Wherever a policy of that name or ARN counted, `text` stands in its place; None takes it away."""

    named: str
    text: str | None

    def apply(self, force: InForce, case: Case) -> InForce | None:  # noqa: ARG002 - as the protocol has it
        changed: dict[str, PolicySet | None] = {}
        for field in _SETS.values():
            policies: PolicySet | None = getattr(force, field)
            if policies is not None and any(map(self._means, policies.policies)):
                made = self._exchanged(policies)
                # nobody is limited by a boundary or a session policy that is gone
                changed[field] = made if made.policies or field not in {"boundary", "session"} else None
        controls = force.controls
        if any(self._means(policy) for level in controls for policy in level.policies):
            controls = tuple(map(self._exchanged, controls))
        elif not changed:
            return None
        return replace(_with(force, changed), controls=controls)

    def _means(self, policy: Policy) -> bool:
        return self.named in {policy.arn, policy.name}

    def _exchanged(self, policies: PolicySet) -> PolicySet:
        kept = []
        for policy in policies.policies:
            if not self._means(policy):
                kept.append(policy)
            elif self.text is not None:
                kept.append(_parse(self.text, policy.kind, policy.name, policy.arn, policy.source))
        return PolicySet(kept)


@lru_cache
def _parse(text: str, kind: Kind, name: str, arn: str, source: Source) -> Policy:
    return parse_policy(text, kind, name=name, arn=arn, source=source)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision on record would be. `verdict` is None where it cannot be told: `missing` names the keys that it
    would take, or `lost` a policy whose text is no longer on record. `before` is what the policies that were in force
    answer today, which may differ from the record after an upgrade."""

    verdict: Verdict | None
    missing: tuple[str, ...] = ()
    lost: str = ""
    before: bool = True

    def changes(self, case: Case) -> bool:
        """Whether the answer would be another one."""
        return self.verdict is not None and self.verdict.allowed is not case.allowed


class Replay:
    """Changes, tried on decisions."""

    def __init__(self, changes: Sequence[Change], document: Callable[[str], str | None]) -> None:
        """`document` finds the text of a policy by its digest."""
        self._changes = changes
        self._document = document
        self._sets: dict[tuple[Kind, tuple[PolicyUsed, ...]], PolicySet] = {}
        self._policies: dict[tuple[Kind, PolicyUsed], Policy] = {}
        self._cases: dict[int, tuple[Case, _Prepared | Outcome | None]] = {}

    def outcome(self, record: Record) -> Outcome | None:
        """None where none of the changes concerns the decision. Raises PolicyMalformed where an exchanged policy is not
        what its kind wants."""
        case = record.case
        found = self._cases.get(id(case))
        if found is None:
            if len(self._cases) >= _REMEMBERED:
                self._cases.clear()
            found = self._cases[id(case)] = (case, self._prepare(case))  # it stays, and so does its id
        prepared = found[1]
        if not isinstance(prepared, _Prepared):
            return prepared
        if prepared.outcome is not None:
            return prepared.outcome
        outcome = prepared.decide(Request(case.principal, case.action, case.resource, record.context))
        if not prepared.tells_time:
            prepared.outcome = outcome
        return outcome

    def _prepare(self, case: Case) -> "_Prepared | Outcome | None":
        try:
            old = self._force(case)
        except TextMissing as error:
            return Outcome(None, lost=str(error))
        new = old
        for change in self._changes:
            new = change.apply(new, case) or new
        return None if new is old else _Prepared(case, old, new)

    def _force(self, case: Case) -> InForce:
        used = case.policies

        def compiled(kind: Kind, policies: tuple[PolicyUsed, ...] | None) -> PolicySet | None:
            return None if policies is None else self._set(kind, policies)

        return InForce(
            identity=compiled(Kind.IDENTITY, used.identity),
            boundary=compiled(Kind.BOUNDARY, used.boundary),
            session=compiled(Kind.SESSION, used.session),
            federated_without=used.federated_without,
            controls=tuple(self._set(Kind.CONTROL, level) for level in used.controls),
            repository=compiled(Kind.REPOSITORY, used.repository),
            registry=compiled(Kind.REGISTRY, used.registry),
            trust=compiled(Kind.TRUST, used.trust),
            owner=used.owner,
            anonymous_resource=used.anonymous_resource,
        )

    def _set(self, kind: Kind, policies: tuple[PolicyUsed, ...]) -> PolicySet:
        found = self._sets.get((kind, policies))
        if found is None:
            found = self._sets[kind, policies] = PolicySet([self._policy(kind, policy) for policy in policies])
        return found

    def _policy(self, kind: Kind, used: PolicyUsed) -> Policy:
        found = self._policies.get((kind, used))
        if found is None:
            text = self._document(used.digest)
            if text is None:
                raise TextMissing(used)
            found = parse_policy(text, kind, name=used.name, arn=used.arn, source=used.source)
            self._policies[kind, used] = found
        return found


class _Prepared:
    """A case with the policies as they were and as they would be. Its decisions differ in time alone, so where no policy
    reads the time there is one `outcome`."""

    def __init__(self, case: Case, old: InForce, new: InForce) -> None:
        self.outcome: Outcome | None = None
        self._case = case
        self._old = old
        self._new = new
        there = set(_policies(old))
        self._proposed = [policy for policy in _policies(new) if policy not in there]
        keys = {key for policy in (*there, *self._proposed) for key in policy.keys}
        self.tells_time = not _TIMES.isdisjoint(keys)
        asked = {key for policy in self._proposed for key in policy.keys}
        self._unknown = frozenset(
            key for key in asked if key not in case.context and key not in _TIMES and not _is_known(key, case)
        )

    def decide(self, request: Request) -> Outcome:
        missing = self._missing(request) if self._unknown else ()
        if missing:
            best = answer(request, self._suppose("Allow"))
            worst = answer(request, self._suppose("Deny"))
            if best.allowed is not worst.allowed:
                return Outcome(None, missing=missing)
        verdict = answer(request, self._new)
        before = self._case.allowed
        if verdict.allowed is not before:
            before = answer(request, self._old).allowed
        return Outcome(verdict, before=before)

    def _missing(self, request: Request) -> tuple[str, ...]:
        """The unknown keys, as they are written, that decide whether a proposed statement applies."""
        names: set[str] = set()
        for policy in self._proposed:
            for statement in policy.statements:
                asked = [name for key, name in statement.asks if key in self._unknown]
                if asked and PolicySet([_suppose_one(policy, statement, self._unknown)]).about(request, {}):
                    names.update(asked)
        return tuple(sorted(names))

    def _suppose(self, effect: str) -> InForce:
        """Of the proposed statements that read unknown keys those of this effect apply, the others do not."""
        supposed = {policy: _suppose(policy, self._unknown, effect) for policy in self._proposed}

        def exchanged(policies: PolicySet) -> PolicySet:
            found = [supposed.get(policy, policy) for policy in policies.policies]
            return PolicySet([policy for policy in found if policy is not None])

        force = self._new
        changed = {
            field: exchanged(policies) for field in _SETS.values() if (policies := getattr(force, field)) is not None
        }
        return replace(_with(force, changed), controls=tuple(map(exchanged, force.controls)))


def _with(force: InForce, changed: Mapping[str, Any]) -> InForce:
    """With other sets in some of its fields."""
    return replace(force, **changed)


def _policies(force: InForce) -> Iterator[Policy]:
    for policies in (*(getattr(force, field) for field in _SETS.values()), *force.controls):
        if policies is not None:
            yield from policies.policies


def _is_known(key: str, case: Case) -> bool:
    """Whether a key that the record lacks was not there."""
    if key in case.omitted:
        return False
    vendor, _, name = key.partition(":")
    if "." in vendor:  # a claim of an identity provider's token
        return True
    return key in case.known or f"{vendor}:{name.partition('/')[0]}/" in case.known


@lru_cache
def _suppose(policy: Policy, unknown: frozenset[str], effect: str) -> Policy | None:
    """The policy with its statements of this effect as if all that hangs on an unknown key were true, and without the
    others that read one. None where nothing is left of it."""
    statements = []
    for statement in policy.statements:
        if unknown.isdisjoint(key for key, _ in statement.asks):
            statements.append(statement.text)
        elif statement.effect == effect:
            statements.append(_without(statement.text, unknown))
    return _written(policy, statements) if statements else None


@lru_cache
def _suppose_one(policy: Policy, statement: Statement, unknown: frozenset[str]) -> Policy:
    return _written(policy, [_without(statement.text, unknown)])


def _written(policy: Policy, statements: Sequence[Mapping[str, Any]]) -> Policy:
    text = json.dumps({"Version": policy.version, "Statement": statements})
    return parse_policy(text, policy.kind, name=policy.name, arn=policy.arn, source=policy.source)


def _without(statement: Mapping[str, Any], unknown: frozenset[str]) -> dict[str, Any]:
    """What is left of a statement whose unknown keys are as it wants them. It is about at least what it was about."""
    made = dict(statement)
    condition = {
        operator: {
            key: values
            for key, values in keys.items()
            if key.lower() not in unknown and not any(_variables(one) & unknown for one in _several(values))
        }
        for operator, keys in statement.get("Condition", {}).items()
    }
    made["Condition"] = {operator: keys for operator, keys in condition.items() if keys}
    if "Resource" in statement:
        made["Resource"] = [_widen(one, unknown) for one in _several(statement["Resource"])]
    elif "NotResource" in statement:
        kept = [one for one in _several(statement["NotResource"]) if not _variables(one) & unknown]
        if kept:
            made["NotResource"] = kept
        else:
            del made["NotResource"]
            made["Resource"] = "*"
    return made


def _several(written: Any) -> list[Any]:
    return written if isinstance(written, list) else [written]


def _variables(written: Any) -> set[str]:
    parts = split(written) if isinstance(written, str) else ()
    return {part.key for part in parts if isinstance(part, Variable)}


def _widen(written: str, unknown: frozenset[str]) -> str:
    """`*` in the place of unknown variables."""
    return "".join(
        part if isinstance(part, str) else "*" if part.key in unknown else part.written for part in split(written)
    )

"""Decide (IAM, "Policy evaluation logic"): a request, the policies in force, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from auth.access import Principal, PrincipalKind, Value
from auth.policy.document import Kind, Policy, Statement
from auth.policy.principals import Naming, provider_of

_REMEMBERED = 50_000
"""Statements in what a set remembers by action, at the most."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `context` has its keys in lower case (`aws:sourceip`); tag keys keep to that, too."""

    principal: Principal
    action: str
    resource: str
    context: Mapping[str, Value]


class PolicySet:
    """Several policies of one kind, compiled together: what a statement may apply to is found by action and resource
    without looking at each statement."""

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self.policies: tuple[Policy, ...] = tuple(policies)
        self.keys: frozenset[str] = frozenset().union(*(policy.keys for policy in self.policies))
        self._statements = [statement for policy in self.policies for statement in policy.statements]
        self._by_action: dict[str, list[Statement]] = {}
        self._remembered = 0

    def about(self, request: Request, missing: dict[str, str]) -> list[Statement]:
        """The statements whose action, resource and conditions match, in order. Adds the context keys that they ask for
        in vain to `missing`."""
        context = request.context
        found = []
        for statement in self._candidates(request.action):
            resources = statement.resources
            if resources is not None and not resources.cover(request.resource, context):
                continue
            for key, name in statement.asks:
                if key not in context:
                    missing.setdefault(key, name)
            if all(clause.holds(context) for clause in statement.clauses):
                found.append(statement)
        return found

    def _candidates(self, action: str) -> list[Statement]:
        found = self._by_action.get(action)
        if found is None:
            found = [statement for statement in self._statements if statement.actions.cover(action)]
            self._remembered += len(found) + 1
            if self._remembered > _REMEMBERED:
                self._by_action.clear()
                self._remembered = len(found) + 1
            self._by_action[action] = found
        return found


@dataclass(frozen=True, slots=True)
class InForce:
    """The policies that count for a request.

    `identity` of the user (with groups) or role; None for root and anonymous callers, who have none. `boundary`,
    `session`: None where there is none. `federated_without` is a GetFederationToken session without session policies.
    `controls` holds one set a level of the organisation, root first. `repository`, `registry`, `trust` are the policies
    of the resource. `owner` is the account that the resource belongs to ("" is the caller's own).
    """

    identity: PolicySet | None = None
    boundary: PolicySet | None = None
    session: PolicySet | None = None
    federated_without: bool = False
    controls: tuple[PolicySet, ...] = ()
    repository: PolicySet | None = None
    registry: PolicySet | None = None
    trust: PolicySet | None = None
    owner: str = ""
    anonymous_resource: bool = False
    """Whether the principal `*` of a resource policy includes callers without credentials."""


class Reason(StrEnum):
    """Why, as far as the final answer goes."""

    ALLOWED = "allowed"
    ROOT = "root"
    EXPLICIT_DENY = "explicit deny"
    NO_IDENTITY = "no identity-based policy allows"
    NO_RESOURCE = "no resource-based policy allows"
    NO_BOUNDARY = "no permissions boundary allows"
    NO_SESSION = "no session policy allows"
    NO_CONTROL = "no service control policy allows"
    NO_TRUST = "no role trust policy allows"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. `statements` decided it; `kind` is the kind of policy that denied, explicitly or by saying nothing."""

    allowed: bool
    reason: Reason
    kind: Kind | None = None
    statements: tuple[Statement, ...] = ()
    missing: tuple[str, ...] = ()
    """Context keys that a statement asked for and the request did not have, as the policy writes them."""


def evaluate(request: Request, force: InForce) -> Verdict:
    """Never raises."""
    return _Decision(request, force).verdict()


class _Decision:
    """One decision: what each kind of policy says, then what that comes to."""

    def __init__(self, request: Request, force: InForce) -> None:
        self._request = request
        self._force = force
        self._missing: dict[str, str] = {}
        self._denies: list[Statement] = []
        self._grants: list[Statement] = []

    def verdict(self) -> Verdict:
        force, request = self._force, self._request
        identity = self._allows(force.identity)
        named, trusted = Naming.NONE, Naming.NONE
        grants = list(identity)
        for resource in (force.repository, force.registry):
            if resource is not None:
                named = max(named, self._names(resource))
        if force.trust is not None and request.action.lower().startswith("sts:"):
            trusted = self._names(force.trust)
            named = max(named, trusted)
        boundary = force.boundary is None or bool(self._allows(force.boundary))
        session = (force.session is None and not force.federated_without) or bool(self._allows(force.session))
        controls = not sum(not self._allows(level) for level in force.controls)
        if self._denies:
            return self._deny(Reason.EXPLICIT_DENY, self._denies[0].kind, self._denies)
        if not controls:
            return self._deny(Reason.NO_CONTROL, Kind.CONTROL)
        principal = request.principal
        root = _is_root(principal, force)
        own = not force.owner or force.owner == principal.account
        trust = force.trust is not None and request.action.lower().startswith("sts:")
        if trust and own and trusted is Naming.NONE:
            return self._deny(Reason.NO_TRUST, Kind.TRUST)
        granted = bool(identity) or root
        if named is Naming.ALONE or (own and named is Naming.DIRECT):
            return self._allow(grants)
        if own and named is Naming.LIMITED:
            granted = True
        if principal.kind is PrincipalKind.ANONYMOUS:
            return self._deny(Reason.NO_RESOURCE, Kind.REPOSITORY)
        if not granted:
            return self._deny(Reason.NO_IDENTITY, Kind.IDENTITY)
        if not boundary:
            return self._deny(Reason.NO_BOUNDARY, Kind.BOUNDARY)
        if not session:
            return self._deny(Reason.NO_SESSION, Kind.SESSION)
        if not own and named is Naming.NONE:
            if trust:
                return self._deny(Reason.NO_TRUST, Kind.TRUST)
            return self._deny(Reason.NO_RESOURCE, Kind.REPOSITORY)
        return self._allow(grants, Reason.ROOT if own and principal.kind is PrincipalKind.ROOT else Reason.ALLOWED)

    def _allows(self, policies: PolicySet | None) -> list[Statement]:
        """The statements that allow; those that deny are kept."""
        allows: list[Statement] = []
        for statement in policies.about(self._request, self._missing) if policies is not None else ():
            (allows if statement.effect == "Allow" else self._denies).append(statement)
        return allows

    def _names(self, policies: PolicySet) -> Naming:
        """How closely the statements that allow name the caller; those that deny are kept."""
        request, force = self._request, self._force
        closest = Naming.NONE
        for statement in policies.about(request, self._missing):
            principals = statement.principals
            if principals is None:
                continue
            if principals.excluded:
                if force.boundary is not None or not principals.spares(request.principal, request.context):
                    self._denies.append(statement)
                continue
            naming = principals.naming(
                request.principal,
                request.context,
                anonymous=force.anonymous_resource and statement.kind is not Kind.TRUST,
                pinned=any(clause.key == "aws:principalarn" for clause in statement.clauses),
            )
            if naming is Naming.NONE:
                continue
            if statement.effect == "Deny":
                self._denies.append(statement)
                continue
            self._grants.append(statement)
            closest = max(closest, naming)
        return closest

    def _allow(self, grants: list[Statement], reason: Reason = Reason.ALLOWED) -> Verdict:
        return Verdict(True, reason, None, (*grants, *self._grants), tuple(self._missing.values()))

    def _deny(self, reason: Reason, kind: Kind, statements: Iterable[Statement] = ()) -> Verdict:
        return Verdict(False, reason, kind, tuple(statements), tuple(self._missing.values()))


def _is_root(principal: Principal, force: InForce) -> bool:
    """Root, or its session: no identity-based policy says what they may."""
    if principal.kind is PrincipalKind.FEDERATED_USER:
        return force.identity is None and provider_of(principal) == ""
    return principal.kind is PrincipalKind.ROOT


_EXPLICIT = {
    Kind.IDENTITY: "an identity-based policy",
    Kind.BOUNDARY: "a permissions boundary",
    Kind.SESSION: "a session policy",
    Kind.CONTROL: "a service control policy",
    Kind.REPOSITORY: "a resource-based policy",
    Kind.REGISTRY: "a resource-based policy",
    Kind.RESOURCE: "a resource-based policy",
    Kind.TRUST: "the role trust policy",
}


def sentence(request: Request, verdict: Verdict) -> str:
    """AWS's sentence about a denial (IAM, "Troubleshoot access denied error messages")."""
    if verdict.reason is Reason.EXPLICIT_DENY and verdict.kind is not None:
        why = f"with an explicit deny in {_EXPLICIT[verdict.kind]}"
    else:
        why = f"because {verdict.reason.value} the {request.action} action"
    return (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} "
        f"on resource: {request.resource} {why}"
    )

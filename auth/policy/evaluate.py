"""Decide (IAM, "Policy evaluation logic"): a request, the policies in force, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from auth.access import Principal, PrincipalKind, Value
from auth.policy.document import Kind, Policy, Statement
from auth.policy.index import Index
from auth.policy.patterns import SEGMENTS
from auth.policy.principals import Naming, provider_of

_REMEMBERED = 200_000
"""Statements in what a set remembers by action, about."""
_ACTIONS = 5_000
"""Actions that a set remembers, at the most."""


@dataclass(slots=True)  # made for each decision, and a frozen one takes three times as long
class Request:
    """What is asked. `context` has its keys in lower case (`aws:sourceip`); tag keys keep to that, too."""

    principal: Principal
    action: str
    resource: str
    context: Mapping[str, Value]


class PolicySet:
    """Several policies of one kind, compiled together: what a statement may apply to is found by action and resource
    without looking at each statement."""

    __slots__ = ("_by_action", "_indices", "_order", "_remembered", "_statements", "keys", "policies")

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self.policies: tuple[Policy, ...] = tuple(dict.fromkeys(policies))  # groups may share one
        self.keys: frozenset[str] = frozenset().union(*(policy.keys for policy in self.policies))
        self._statements = [statement for policy in self.policies for statement in policy.statements]
        self._order = {statement: number for number, statement in enumerate(self._statements)}
        self._by_action: dict[str, Index] = {}
        self._indices: dict[tuple[Statement, ...], Index] = {}
        self._remembered = 0

    @property
    def size(self) -> int:
        """Characters of the policies; compiled, they take some fifty times as many bytes."""
        return sum(len(policy.text) for policy in self.policies)

    def about(self, request: Request, missing: dict[str, str]) -> list[Statement]:
        """The statements whose action, resource and conditions match, in order; of principals this knows nothing. Adds the
        context keys that are asked for in vain to `missing`: from lower case to as they are written."""
        denies: list[Statement] = []
        allows = self.allowing(request, sixth_segment(request.resource), denies, missing, True)
        return sorted([*denies, *allows], key=self._order.__getitem__)

    def allowing(
        self,
        request: Request,
        tail: str | None,
        denies: list[Statement],
        missing: dict[str, str],
        thorough: bool,
    ) -> list[Statement]:
        """Those of `about` that allow, or only one of them, if not `thorough`. Those that deny are added to `denies`. `tail`
        is what `sixth_segment` says of the resource."""
        index = self._by_action.get(request.action)
        if index is None:
            index = self._remember(request.action)
        resource, context = request.resource, request.context
        present = context.keys()
        allows: list[Statement] = []
        for statement in index.near(resource, tail):  # those that deny come first
            covers = statement.covers
            if covers is not None and not covers(resource, context):
                continue
            if statement.asks:
                if not statement.reads <= present:
                    missing.update((key, name) for key, name in statement.asks if key not in context)
                holds = statement.holds
                if holds is not None and not holds(context):
                    continue
            if statement.denies:
                denies.append(statement)
            else:
                allows.append(statement)
                if not thorough:
                    break
        if len(allows) > 1:
            allows.sort(key=self._order.__getitem__)
        return allows

    def _remember(self, action: str) -> Index:
        """Actions are few, but for those that a simulator is asked about; most have the same statements as others."""
        statements = [statement for statement in self._statements if statement.actions.cover(action)]
        # what allows without a condition costs least, and is looked at before what has one
        statements.sort(key=lambda statement: 0 if statement.denies else 1 if statement.holds is None else 2)
        key = tuple(statements)
        if self._remembered > _REMEMBERED or len(self._by_action) > _ACTIONS:
            self._by_action.clear()
            self._indices.clear()
            self._remembered = 0
        index = self._indices.get(key)
        if index is None:
            index = self._indices[key] = Index(statements)
            self._remembered += len(statements)
        self._by_action[action] = index
        return index


@dataclass(slots=True)  # made for each decision, and a frozen one takes three times as long
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


@dataclass(slots=True)  # made for each decision, and a frozen one takes three times as long
class Verdict:
    """The answer. `statements` decided it; `kind` is the kind of policy that denied, explicitly or by saying nothing."""

    allowed: bool
    reason: Reason
    kind: Kind | None = None
    statements: tuple[Statement, ...] = ()
    missing: tuple[str, ...] = ()
    """Context keys that a statement asked for and the request did not have, as the policy writes them."""


def evaluate(request: Request, force: InForce, *, thorough: bool = False) -> Verdict:
    """Never raises. Looks no further than the answer needs, so of several statements that allow one is named; `thorough`
    names all of them, and all context keys that any of them asks for in vain."""
    tail = sixth_segment(request.resource)
    missing: dict[str, str] = {}
    denies: list[Statement] = []
    # in the order in which a kind is named where several deny
    grants: list[Statement] = []
    if force.identity is not None:
        grants = force.identity.allowing(request, tail, denies, missing, thorough)
    by_identity = bool(grants)
    by_resource = trusted = _NAMELESS
    for policies in (force.repository, force.registry, force.trust):
        if policies is not None:
            naming, allows = _naming(policies, request, force, tail, denies, missing)
            if naming:
                grants = grants + allows
                by_resource = max(by_resource, naming)
                if policies is force.trust:
                    trusted = naming
    by_boundary, by_session, by_controls = True, not force.federated_without, True
    if force.boundary is not None:
        by_boundary = bool(force.boundary.allowing(request, tail, denies, missing, thorough))
    if force.session is not None:
        by_session = bool(force.session.allowing(request, tail, denies, missing, thorough))
    for level in force.controls:
        by_controls &= bool(level.allowing(request, tail, denies, missing, thorough))

    asked = tuple(missing.values()) if missing else ()
    if denies:
        return Verdict(False, Reason.EXPLICIT_DENY, denies[0].kind, tuple(denies), asked)
    reason = _NO_CONTROL
    if by_controls:
        reason = _combine(request.principal, force, by_identity, by_resource, trusted, by_boundary, by_session)
    silent = _SILENT.get(reason)
    if silent is None:
        return Verdict(True, reason, None, tuple(grants), asked)
    return Verdict(False, reason, silent, (), asked)


def _naming(
    policies: PolicySet,
    request: Request,
    force: InForce,
    tail: str | None,
    denies: list[Statement],
    missing: dict[str, str],
) -> tuple[Naming, list[Statement]]:
    """How closely what allows names the caller, of the policies of a resource, and which statements do."""
    denying: list[Statement] = []
    closest, allows = _NAMELESS, []
    for statement in policies.allowing(request, tail, denying, missing, True):
        naming = naming_of(statement, request, force)
        if naming:
            allows.append(statement)
            closest = max(closest, naming)
    denies += [statement for statement in denying if naming_of(statement, request, force)]
    return closest, allows


def _combine(
    principal: Principal,
    force: InForce,
    by_identity: bool,
    by_resource: Naming,
    trusted: Naming,
    by_boundary: bool,
    by_session: bool,
) -> Reason:
    """What it comes to where nothing denies and the organisation allows ("Determining whether a request is allowed or
    denied within an account", "Cross-account policy evaluation logic")."""
    own = is_own(principal, force)
    if own and force.trust is not None and not trusted:
        return Reason.NO_TRUST
    if by_resource and (by_resource is _ALONE or (own and by_resource is _DIRECT)):
        return _ALLOWED
    kind = principal.kind
    if kind is _ANONYMOUS:
        return Reason.NO_RESOURCE if force.trust is None else Reason.NO_TRUST
    if not by_identity and not (own and by_resource is _LIMITED) and not _is_root(principal, force):
        return Reason.NO_IDENTITY
    if not by_boundary:
        return Reason.NO_BOUNDARY
    if not by_session:
        return Reason.NO_SESSION
    if not own and not by_resource:
        return Reason.NO_RESOURCE if force.trust is None else Reason.NO_TRUST
    return Reason.ROOT if own and kind is _ROOT else _ALLOWED


# an attribute of an Enum takes longer to find than a decision may spend on it
_NAMELESS, _LIMITED, _DIRECT, _ALONE = Naming.NONE, Naming.LIMITED, Naming.DIRECT, Naming.ALONE
_ALLOWED, _NO_CONTROL = Reason.ALLOWED, Reason.NO_CONTROL
_ANONYMOUS, _ROOT = PrincipalKind.ANONYMOUS, PrincipalKind.ROOT

_SILENT = {
    Reason.NO_IDENTITY: Kind.IDENTITY,
    Reason.NO_RESOURCE: Kind.REPOSITORY,
    Reason.NO_BOUNDARY: Kind.BOUNDARY,
    Reason.NO_SESSION: Kind.SESSION,
    Reason.NO_CONTROL: Kind.CONTROL,
    Reason.NO_TRUST: Kind.TRUST,
}


def is_own(principal: Principal, force: InForce) -> bool:
    """Whether the resource is of the caller's account."""
    return not force.owner or force.owner == principal.account


def naming_of(statement: Statement, request: Request, force: InForce) -> Naming:
    """How closely a statement of a resource's policy means the caller."""
    principals = statement.principals
    if principals is None:
        return _NAMELESS
    if principals.excluded:  # it goes with Deny only, and spares nobody who has a boundary
        spared = force.boundary is None and principals.spares(request.principal, request.context)
        return _NAMELESS if spared else _DIRECT
    if statement.denies and principals.everyone and provider_of(request.principal):
        return _DIRECT  # everyone is denied, though an allow for everyone asks for credentials
    anonymous = force.anonymous_resource and statement.kind is not Kind.TRUST
    return principals.naming(request.principal, request.context, anonymous=anonymous, pinned=statement.pinned)


def _is_root(principal: Principal, force: InForce) -> bool:
    """Root, or whom it federated: no identity-based policy says what they may."""
    if principal.kind is PrincipalKind.FEDERATED_USER:
        return force.identity is None and not provider_of(principal)
    return principal.kind is PrincipalKind.ROOT


def sixth_segment(resource: str) -> str | None:
    """Of an ARN that has exactly six."""
    segments = resource.split(":")
    return segments[5] if len(segments) == SEGMENTS else None


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


_NAMED = {Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION, Kind.CONTROL}
"""Of these the policy is named, if it has an ARN; not of a resource's, which may be another account's."""


def sentence(request: Request, verdict: Verdict) -> str:
    """AWS's sentence about a denial (IAM, "Troubleshoot access denied error messages")."""
    why = f"because {verdict.reason.value} the {request.action} action"
    if verdict.reason is Reason.EXPLICIT_DENY and verdict.kind is not None:
        why = f"with an explicit deny in {_EXPLICIT[verdict.kind]}"
        policy = verdict.statements[0].policy if verdict.statements and verdict.kind in _NAMED else ""
        if policy.startswith("arn:"):
            why += f": {policy}"
    return (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} "
        f"on resource: {request.resource} {why}"
    )

"""Decide (IAM, "Policy evaluation logic"): a request, the policies in force, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from auth.access import Principal, PrincipalKind, Value
from auth.policy.document import Kind, Policy, Statement


class PolicySet:
    """Several policies of one kind, compiled together: what a statement may apply to is found by action and resource
    without looking at each statement."""

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self.policies: tuple[Policy, ...] = tuple(policies)
        self.keys: frozenset[str] = frozenset().union(*(policy.keys for policy in self.policies))


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
class Request:
    """What is asked. `context` has its keys in lower case (`aws:sourceip`); tag keys keep to that, too."""

    principal: Principal
    action: str
    resource: str
    context: Mapping[str, Value]


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
    own = not force.owner or force.owner == request.principal.account
    if request.principal.kind is PrincipalKind.ROOT and own:
        return Verdict(allowed=True, reason=Reason.ROOT)
    return Verdict(allowed=False, reason=Reason.NO_IDENTITY if own else Reason.NO_RESOURCE)


def sentence(request: Request, verdict: Verdict) -> str:
    """AWS's sentence about a denial (IAM, "Troubleshoot access denied error messages")."""
    return (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} on resource: {request.resource} "
        f"because {verdict.reason.value} the {request.action} action"
    )

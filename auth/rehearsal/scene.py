"""A decision as it would be: what is known of it, and what is said of it instead or beside."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from auth.access import Access, Circumstances, Principal, PrincipalKind, Value
from auth.authorize import Facts, context_of, write_time
from auth.directory import Grants
from auth.policy.document import Kind, Policy, parse_policy
from auth.policy.evaluate import InForce, PolicySet, Request
from auth.policy.explain import Explanation, explain

FULL_ACCESS: Final = "FullAWSAccess"
_FULL_ACCESS_ARN: Final = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
_ASSUMING: Final = "sts:AssumeRole"
_UNSAID: Final = ("aws:securetransport", "aws:userid")
"""Keys that every request has, and that nothing here says the value of."""
_LIKE_TAGS: Final = {"ecr": "ecr:resourcetag/", "iam": "iam:resourcetag/"}


@dataclass(frozen=True, slots=True)
class Given:
    """What is said of policies and context. None says nothing. Identity-based policies are added to those that there are,
    any other takes the place of its kind. A context key whose value is None is absent."""

    identity: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    session: tuple[Policy, ...] | None = None
    controls: tuple[PolicySet, ...] | None = None
    repository: Policy | None = None
    registry: Policy | None = None
    trust: Policy | None = None
    principal_tags: Mapping[str, str] = field(default_factory=dict)
    resource_tags: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Value | None] = field(default_factory=dict)


def bare(principal: Principal, access: Access, *, at: float, region: str, anonymous: bool) -> tuple[Request, InForce]:
    """A request of which nothing is known but who asks and for what. No policies are in force but that an identity has its
    own, and a role a trust policy, whatever they say."""
    parts = access.resource.split(":", 5)
    owner = parts[4] if len(parts) == 6 else ""
    nothing = Grants(None, None, (), "", "", ())
    circumstances = Circumstances(region=parts[3] if len(parts) == 6 and parts[3] else region)
    context = context_of(write_time(int(at)), principal, access, circumstances, nothing, Facts(owner=owner))
    for key in _UNSAID:
        if key != "aws:userid" or not principal.unique_id:
            del context[key]
    without = principal.kind in {PrincipalKind.ROOT, PrincipalKind.ANONYMOUS}
    force = InForce(
        identity=None if without else PolicySet(),
        federated_without=principal.kind is PrincipalKind.FEDERATED_USER,
        trust=PolicySet() if access.action.startswith(_ASSUMING) and ":role/" in access.resource else None,
        owner=owner,
        anonymous_resource=anonymous,
    )
    return Request(principal, access.action, access.resource, context), force


def change(request: Request, force: InForce, given: Given) -> tuple[Request, InForce]:
    """With what is given."""
    context: dict[str, Value] = dict(request.context)
    for key, value in given.principal_tags.items():
        context[f"aws:principaltag/{key.lower()}"] = value
    alike = _LIKE_TAGS.get(request.action.partition(":")[0])
    for key, value in given.resource_tags.items():
        context[f"aws:resourcetag/{key.lower()}"] = value
        if alike is not None:
            context[alike + key.lower()] = value
    for key, said in given.context.items():
        if said is None:
            context.pop(key.lower(), None)
        else:
            context[key.lower()] = said
    changed = replace(force)
    if given.identity:
        before = force.identity.policies if force.identity is not None else ()
        named = {policy.name for policy in given.identity}
        kept = [policy for policy in before if policy.arn or policy.name not in named]
        changed.identity = PolicySet([*kept, *given.identity])
    if given.boundary is not None:
        changed.boundary = PolicySet([given.boundary])
    if given.session is not None:
        changed.session, changed.federated_without = PolicySet(given.session), False
    if given.controls is not None:
        changed.controls = given.controls
    if request.action.startswith("ecr:"):
        if given.repository is not None:
            changed.repository = PolicySet([given.repository])
        if given.registry is not None:
            changed.registry = PolicySet([given.registry])
    if given.trust is not None and force.trust is not None:
        changed.trust = PolicySet([given.trust])
    return Request(request.principal, request.action, request.resource, context), changed


def rehearse(request: Request, force: InForce, given: Given) -> Explanation:
    """What would be decided, and why."""
    return explain(*change(request, force, given))


def level_of(policy: Policy) -> PolicySet:
    """One level of an organisation. A policy that only denies stands beside FullAWSAccess, as it does wherever that was
    not detached."""
    if any(statement.effect == "Allow" for statement in policy.statements):
        return PolicySet([policy])
    return PolicySet([_full_access(), policy])


@cache
def _full_access() -> Policy:
    text = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
    return parse_policy(text, Kind.CONTROL, name=FULL_ACCESS, arn=_FULL_ACCESS_ARN)

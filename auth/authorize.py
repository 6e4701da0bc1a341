"""The one gate. Every route and every operation asks it for the set of accesses that it needs.

It gathers what counts (the caller's policies, the resource's, the organisation's, the context keys), lets
`auth.policy.evaluate` decide, and tells the audit.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from auth.access import ALLOWED, Access, Circumstances, Decision, Principal, PrincipalKind, SessionKind, Value
from auth.directory import Directory, Grants, is_limited
from auth.errors import AccessDenied
from auth.policy.document import Kind
from auth.policy.evaluate import InForce, PolicySet, Reason, Request, Verdict, evaluate, sentence
from base.clock import Clock, moment

if TYPE_CHECKING:
    from aws.dispatch import Call

KEYS = frozenset(
    {
        "aws:currenttime", "aws:epochtime", "aws:securetransport", "aws:principaltype", "aws:userid", "aws:viaawsservice",
        "aws:sourceip", "aws:useragent", "aws:requestedregion", "aws:referer", "aws:principalarn", "aws:principalaccount",
        "aws:principalisawsservice", "aws:username", "aws:multifactorauthpresent", "aws:multifactorauthage",
        "aws:tokenissuetime", "aws:sourceidentity", "aws:federatedprovider", "aws:principaltag/", "aws:principalorgid",
        "aws:principalorgpaths", "aws:resourceaccount", "aws:resourceorgid", "aws:resourceorgpaths", "aws:resourcetag/",
        "ecr:resourcetag/", "iam:resourcetag/", "aws:requesttag/", "aws:tagkeys", "organizations:policytype",
        "ecr:accountsetting", "iam:awsservicename", "iam:passedtoservice", "iam:permissionsboundary", "iam:policyarn",
        "sts:externalid", "sts:rolesessionname", "sts:sourceidentity", "sts:transitivetagkeys",
    }
)  # fmt: skip
"""The context keys, in lower case, that a decision has wherever they apply: one that it lacks did not apply.
With a slash at its end, all that begin so."""

_NOBODY = Grants(None, None, (), "", "", ())
# an attribute of an Enum takes longer to find than most of what follows
_ANONYMOUS, _USER = PrincipalKind.ANONYMOUS, PrincipalKind.USER
_TYPES = {kind: kind.value for kind in PrincipalKind}


@dataclass(frozen=True, slots=True)
class Facts:
    """What counts of a resource: its owner's account (empty: the caller's), its policies and its tags."""

    owner: str = ""
    repository: PolicySet | None = None
    registry: PolicySet | None = None
    trust: PolicySet | None = None
    tags: tuple[tuple[str, str], ...] = ()
    spares_root: bool = False
    """Whether these policies leave the owner's root user alone."""


class Resources(Protocol):
    """Knows the resources of one service."""

    async def facts(self, access: Access, *, account: str, region: str) -> Facts:
        """`account` is the caller's, `region` the request's: they stand in where the resource is `*`."""
        ...


@dataclass(slots=True)  # made for each decision, and a frozen one takes three times as long
class Judgement:
    """A decision with everything that it rests on, for the audit."""

    at: float
    request: Request
    circumstances: Circumstances
    force: InForce
    verdict: Verdict


class Gate:
    """Decides."""

    def __init__(
        self,
        directory: Directory,
        resources: Mapping[str, Resources],
        *,
        clock: Clock = time.time,
        anonymous_pull: bool = False,
        record: Callable[[Judgement], None] | None = None,
    ) -> None:
        """`resources` has an entry for each service that appears in ARNs; `anonymous_pull` is the setting."""
        self._directory = directory
        self._resources = dict(resources)
        self._clock = clock
        self._anonymous_pull = anonymous_pull
        self._record = record
        self._second = 0
        self._time = ("", "")

    async def decide(self, principal: Principal, accesses: Iterable[Access], circumstances: Circumstances) -> Decision:
        """Allowed only if every access is; stops at the first that is not. Raises DatabaseUnavailable."""
        for access in accesses:
            judgement = await self.judge(principal, access, circumstances)
            if not judgement.verdict.allowed:
                return Decision(allowed=False, refused=access, sentence=_say(judgement))
        return ALLOWED

    async def authorize(self, principal: Principal, accesses: Iterable[Access], circumstances: Circumstances) -> None:
        """Raises AccessDenied with AWS's sentence for the first access that is refused; DatabaseUnavailable."""
        decision = await self.decide(principal, accesses, circumstances)
        if not decision.allowed:
            raise AccessDenied(decision.sentence)

    async def judge(self, principal: Principal, access: Access, circumstances: Circumstances) -> Judgement:
        """One access, with its reasons. Raises DatabaseUnavailable."""
        facts = await self._facts(principal, access, circumstances)
        judgement = await self._weigh(principal, access, circumstances, facts)
        if self._record is not None:
            self._record(judgement)
        return judgement

    async def rehearse(
        self,
        principal: Principal,
        access: Access,
        circumstances: Circumstances,
        change: Callable[[Facts], Facts],
    ) -> Verdict:
        """What would be decided if the resource's facts were changed so. It is no decision: nobody records it.

        Raises DatabaseUnavailable.
        """
        facts = change(await self._facts(principal, access, circumstances))
        return (await self._weigh(principal, access, circumstances, facts)).verdict

    async def _weigh(
        self, principal: Principal, access: Access, circumstances: Circumstances, facts: Facts
    ) -> Judgement:
        grants, session = _NOBODY, None
        if principal.kind is not _ANONYMOUS:
            grants = await self._directory.grants(principal)
            if principal.session is not None:
                session = await self._directory.session(principal)
        now = self._clock()
        context = context_of(self._written(now), principal, access, circumstances, grants, facts)
        await self._add_organization(context, principal, grants, facts)
        request = Request(principal, access.action, access.resource, context)
        if facts.spares_root and principal.kind is PrincipalKind.ROOT and principal.account == facts.owner:
            facts = replace(facts, repository=None, registry=None)
        force = InForce(
            identity=grants.identity,
            boundary=grants.boundary,
            session=session,
            federated_without=is_limited(principal),
            controls=grants.controls,
            repository=facts.repository,
            registry=facts.registry,
            trust=facts.trust,
            owner=facts.owner,
            anonymous_resource=self._anonymous_pull,
        )
        verdict = answer(request, force)
        return Judgement(now, request, circumstances, force, verdict)

    async def _facts(self, principal: Principal, access: Access, circumstances: Circumstances) -> Facts:
        resource = access.resource
        if resource == "*":
            service = access.action.partition(":")[0]
            owner = ""
        else:
            parts = resource.split(":", 5)
            if len(parts) != 6:
                return Facts()
            service, owner = parts[2], parts[4]
        known = self._resources.get(service)
        if known is None:
            return Facts(owner=owner)
        return await known.facts(access, account=principal.account, region=circumstances.region)

    async def _add_organization(
        self, context: dict[str, Value], principal: Principal, grants: Grants, facts: Facts
    ) -> None:
        """Which organization the resource's account is in."""
        organization, path = grants.organization, grants.organization_path
        if facts.owner and facts.owner != principal.account:
            guardrail = await self._directory.guardrail(facts.owner)
            organization, path = guardrail.organization, guardrail.path
        if organization:
            context["aws:resourceorgid"] = organization
            context["aws:resourceorgpaths"] = (path,)

    def _written(self, now: float) -> tuple[str, str]:
        second = int(now)
        if second != self._second:
            self._time = write_time(second)
            self._second = second
        return self._time


def write_time(second: int) -> tuple[str, str]:
    """The values of aws:CurrentTime and aws:EpochTime."""
    return _iso(second), str(second)


def context_of(
    at: tuple[str, str],
    principal: Principal,
    access: Access,
    circumstances: Circumstances,
    grants: Grants,
    facts: Facts,
) -> dict[str, Value]:
    """The global condition context keys (IAM, "AWS global condition context keys"), in lower case. `at` as `write_time`
    has it."""
    iso, epoch = at
    kind = principal.kind
    context: dict[str, Value] = {
        "aws:currenttime": iso,
        "aws:epochtime": epoch,
        "aws:securetransport": "true" if circumstances.secure else "false",
        "aws:principaltype": _TYPES[kind],
        "aws:userid": principal.unique_id,
        "aws:viaawsservice": "false",
    }
    if circumstances.source_ip:
        context["aws:sourceip"] = circumstances.source_ip
    if circumstances.user_agent:
        context["aws:useragent"] = circumstances.user_agent
    if circumstances.region:
        context["aws:requestedregion"] = circumstances.region
    if circumstances.referer:
        context["aws:referer"] = circumstances.referer
    if kind is not _ANONYMOUS:
        context["aws:principalarn"] = principal.identity_arn or principal.arn
        context["aws:principalaccount"] = principal.account
        context["aws:principalisawsservice"] = "false"
        if kind is _USER:
            context["aws:username"] = principal.name
        if principal.session is not None:
            _add_session(context, principal)
        for key, value in grants.tags:
            context.setdefault(f"aws:principaltag/{key.lower()}", value)
        if grants.organization:
            context["aws:principalorgid"] = grants.organization
            context["aws:principalorgpaths"] = (grants.organization_path,)
    context["aws:resourceaccount"] = facts.owner or principal.account
    if facts.tags:
        service = access.action.partition(":")[0]
        for key, value in facts.tags:
            lowered = key.lower()
            context["aws:resourcetag/" + lowered] = value
            if service in {"ecr", "iam"}:
                context[f"{service}:resourcetag/{lowered}"] = value
    for key, given in circumstances.keys.items():
        context[key.lower()] = given
    for key, given in access.keys:
        context[key.lower()] = given
    return context


def _say(judgement: Judgement) -> str:
    """AWS's sentence about a denial. Of a role that may not be assumed neither its trust is told nor whether it exists;
    only what the caller's own policies deny is."""
    request, verdict = judgement.request, judgement.verdict
    own = verdict.reason is Reason.EXPLICIT_DENY and verdict.kind is not Kind.TRUST
    if judgement.force.trust is None or own:
        return sentence(request, verdict)
    return (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} on resource: {request.resource}"
    )


def circumstances_of(call: "Call[Principal]") -> Circumstances:
    """Those of a call of an AWS API."""
    return Circumstances(
        source_ip=call.source_ip,
        secure=call.secure,
        user_agent=call.user_agent,
        region=call.region,
        request_id=call.request_id,
        referer=call.referer,
    )


@lru_cache(1000)
def _iso(second: int) -> str:
    return moment(second).strftime("%Y-%m-%dT%H:%M:%SZ")


def _add_session(context: dict[str, Value], principal: Principal) -> None:
    session = principal.session
    assert session is not None
    context["aws:multifactorauthpresent"] = "false"
    context["aws:tokenissuetime"] = _iso(int(session.issued_at))
    if session.source_identity:
        context["aws:sourceidentity"] = session.source_identity
    if session.provider:
        context["aws:federatedprovider"] = session.provider
    for key, value in session.tags:  # they win over the role's own
        context[f"aws:principaltag/{key.lower()}"] = value
    for key, claim in session.claims:  # which take the place of nothing
        context.setdefault(key.lower(), claim)


_WITHOUT_MFA = {
    SessionKind.TOKEN: frozenset(
        {"sts:AssumeRole", "sts:GetCallerIdentity", "sts:SetSourceIdentity", "sts:TagSession"}
    ),
    SessionKind.FEDERATION: frozenset({"sts:GetCallerIdentity"}),
}


def answer(request: Request, force: InForce) -> Verdict:
    """What the gate answers. Pure."""
    return _limits_of_sessions(request) or evaluate(request, force)


def _limits_of_sessions(request: Request) -> Verdict | None:
    """GetSessionToken's sessions call nothing of IAM (without MFA, which there is none of here) and of STS only what
    STS's documentation, "Comparing AWS STS credentials", leaves them; GetFederationToken's even less."""
    session = request.principal.session
    if session is None or session.kind not in _WITHOUT_MFA:
        return None
    service = request.action.partition(":")[0]
    calls_iam = service == "iam" and request.action != "iam:PassRole"  # which other services ask for
    if calls_iam or (service == "sts" and request.action not in _WITHOUT_MFA[session.kind]):
        return Verdict(allowed=False, reason=Reason.NO_SESSION)
    return None

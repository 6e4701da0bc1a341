"""The policy simulator's judgement of one action (IAM User Guide, "Testing IAM policies with the IAM policy simulator").

Pure: which policies are played, and with what context, is for `auth.iam.simulate` to find out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from auth.access import Principal, Value
from auth.policy.document import Kind, Place, Policy, Statement, parse_policy
from auth.policy.evaluate import InForce, PolicySet, Reason, Request, Verdict, evaluate

ALLOWED: Final = "allowed"
EXPLICIT_DENY: Final = "explicitDeny"
IMPLICIT_DENY: Final = "implicitDeny"
_STRICTNESS: Final = (ALLOWED, IMPLICIT_DENY, EXPLICIT_DENY)
_LOOK: Final = 2000
"""Characters of a costly pattern, times characters of a text, that take as long as a look at a statement."""
_PUTTING_IN: Final = 200
"""Characters of a text that cost as much as putting the variables into a pattern."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is played. `owner` is the account of resources whose ARN names none. `controls` is None where there is no
    organisation, `boundary` where none limits; `resource` is the policy that every resource has."""

    caller: Principal
    identity: PolicySet
    context: Mapping[str, Value]
    owner: str = ""
    boundary: PolicySet | None = None
    controls: tuple[PolicySet, ...] | None = None
    resource: PolicySet | None = None

    def measure(self) -> Callable[[str], int]:
        """Tells of a resource how much there is to look at for one action: statements, and what their patterns cost."""
        sets = (self.identity, self.boundary, self.resource, *(self.controls or ()))
        statements = [one for some in sets if some is not None for policy in some.policies for one in policy.statements]
        patterns = sum(one.resources.cost for one in statements if one.resources is not None)
        values = sum(clause.cost for one in statements for clause in one.clauses)
        given = sum(
            len(one) for value in self.context.values() for one in ([value] if isinstance(value, str) else value)
        )
        fixed = 1 + len(statements) + values * given // _LOOK
        return lambda resource: fixed + patterns * (len(resource) + _PUTTING_IN) // _LOOK


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the simulator answers. `decision` is one of the three above; `missing` are context keys, as the policies write
    them; `boundary` and `organization` are None where there is none; `by_source` says what each policy type decides, of a
    request into another account."""

    decision: str
    matched: tuple[Statement, ...]
    missing: tuple[str, ...]
    boundary: bool | None = None
    organization: bool | None = None
    by_source: Mapping[str, str] = field(default_factory=dict)


def play(scene: Scene, action: str, resource: str) -> Outcome:
    """One action on one resource: an ARN, or `*`."""
    request = Request(scene.caller, action, resource, scene.context)
    owner = _owner_of(scene, resource)
    force = InForce(
        identity=scene.identity,
        boundary=scene.boundary,
        controls=scene.controls or (),
        repository=scene.resource,
        owner=owner,
    )
    verdict = evaluate(request, force, thorough=True)
    within = scene.controls is None or all(_decide(level, request) == ALLOWED for level in scene.controls)
    crossing = within and owner not in {"", scene.caller.account}
    return Outcome(
        _decision_of(verdict),
        tuple(one for one in verdict.statements if one.kind in {Kind.IDENTITY, Kind.RESOURCE}),
        _missing((scene.identity, scene.boundary, scene.resource), request),
        None if scene.boundary is None else _decide(scene.boundary, request) == ALLOWED,
        None if scene.controls is None else within,
        _by_source(scene, request, force) if crossing else {},
    )


def aggregate(outcomes: Sequence[Outcome]) -> Outcome:
    """One action on several resources: the strictest decision, and what contributed to it."""
    decision = strictest(one.decision for one in outcomes)
    matched = [statement for one in outcomes if one.decision == decision for statement in one.matched]
    sources: dict[str, list[str]] = {}
    for one in outcomes:
        for source, decided in one.by_source.items():
            sources.setdefault(source, []).append(decided)
    return Outcome(
        decision,
        tuple(dict.fromkeys(matched)),
        tuple({key.lower(): key for one in outcomes for key in one.missing}.values()),
        _all(one.boundary for one in outcomes),
        _all(one.organization for one in outcomes),
        {source: strictest(decided) for source, decided in sources.items()},
    )


def strictest(decisions: Iterable[str]) -> str:
    return max(decisions, key=_STRICTNESS.index)


def _all(answers: Iterable[bool | None]) -> bool | None:
    known = [answer for answer in answers if answer is not None]
    return all(known) if known else None


def _owner_of(scene: Scene, resource: str) -> str:
    """Without a resource policy nothing is asked of the account that a resource belongs to."""
    if scene.resource is None or resource == "*":
        return ""
    return resource.split(":", 5)[4] or scene.owner


def _missing(sets: Iterable[PolicySet | None], request: Request) -> tuple[str, ...]:
    """The context keys that statements about the action ask for in vain: those about the resource, and those that might
    be about it if a variable had a value."""
    missing: dict[str, str] = {}
    for policy in (policy for policies in sets if policies is not None for policy in policies.policies):
        for statement in policy.statements:
            if statement.actions.cover(request.action) and _may_be_about(statement, request):
                for key, name in statement.asks:
                    if key not in request.context:
                        missing.setdefault(key, name)
    return tuple(missing.values())


def _may_be_about(statement: Statement, request: Request) -> bool:
    resources = statement.resources
    return (
        resources is None
        or resources.cover(request.resource, request.context)
        or any(one.resolve(request.context) is None for one in resources.variables)
    )


def _decision_of(verdict: Verdict) -> str:
    if verdict.reason is Reason.EXPLICIT_DENY:
        return EXPLICIT_DENY
    return ALLOWED if verdict.allowed else IMPLICIT_DENY


def _decide(policies: PolicySet, request: Request) -> str:
    effects = {statement.effect for statement in policies.about(request, {})}
    if "Deny" in effects:
        return EXPLICIT_DENY
    return ALLOWED if "Allow" in effects else IMPLICIT_DENY


def _by_source(scene: Scene, request: Request, force: InForce) -> dict[str, str]:
    """Each policy type by itself: the resource policy as if the caller's own account allowed everything."""
    resource = evaluate(request, replace(force, identity=_EVERYTHING, boundary=None, controls=()))
    decided = {"IAM Policy": _decide(scene.identity, request), "Resource Policy": _decision_of(resource)}
    if scene.boundary is not None:
        decided["Permissions Boundary Policy"] = _decide(scene.boundary, request)
    return decided


_EVERYTHING: Final = PolicySet(
    [parse_policy('{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}', Kind.IDENTITY)]
)


class Places:
    """Where IAM says that the statements of a policy stand."""

    def __init__(self, policy: Policy) -> None:
        self._lines = policy.text.split("\n")

    def opening(self, statement: Statement) -> Place:
        """Right behind the bracket, comma or colon before it."""
        line, column = statement.start.line, statement.start.column
        while True:
            before = self._lines[line - 1][: column - 1].rstrip(" \t\r")
            if before or line == 1:
                return Place(line, len(before) + 1)
            line -= 1
            column = len(self._lines[line - 1]) + 1

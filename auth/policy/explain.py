"""Why a decision came out as it did, for people: every policy looked at, every statement, and each of its elements.

It asks the same compiled statements as `auth.policy.evaluate`, but all of them, element by element.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from auth.access import Value
from auth.policy.conditions import Clause, Family, Quantifier
from auth.policy.document import Kind, Policy, Statement
from auth.policy.evaluate import (
    InForce,
    PolicySet,
    Reason,
    Request,
    Verdict,
    evaluate,
    is_own,
    naming_of,
    sentence,
)
from auth.policy.patterns import (
    Actions,
    Resources,
    Token,
    compile_match,
    is_fixed,
    plain_tokens,
    resolve,
    show,
)
from auth.policy.principals import Naming, Principals
from auth.policy.variables import Variable


@dataclass(frozen=True, slots=True)
class Element:
    """`name` is the element's (`Action`, `NotResource`), or a condition's operator and key. `matched` is whether it lets
    the statement apply; `why` says so in a few words."""

    name: str
    written: tuple[str, ...]
    matched: bool
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement. It applies if every element matches."""

    statement: Statement
    elements: tuple[Element, ...]

    @property
    def applies(self) -> bool:
        return all(element.matched for element in self.elements)


@dataclass(frozen=True, slots=True)
class Examined:
    """One policy, with what is found of each of its statements."""

    policy: Policy
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """The policies of one kind, or of one level of the organisation. `allows` and `denies`: whether any statement of them
    that applies does."""

    title: str
    policies: tuple[Examined, ...]
    allows: bool
    denies: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """`conclusion` is a sentence or two; `denial` is AWS's sentence, empty where the request is allowed."""

    request: Request
    verdict: Verdict
    layers: tuple[Layer, ...]
    conclusion: str
    denial: str

    def text(self) -> str:
        """Lines for a terminal."""
        return "\n".join(_lines(self)) + "\n"


def explain(request: Request, force: InForce) -> Explanation:
    """Agrees with `evaluate`. Never raises."""
    verdict = evaluate(request, force, thorough=True)
    layers = tuple(_layer(title, policies, request, force) for title, policies in _sets(force))
    denial = "" if verdict.allowed else sentence(request, verdict)
    return Explanation(request, verdict, layers, _conclude(request, force, verdict, layers), denial)


def _sets(force: InForce) -> Iterator[tuple[str, PolicySet]]:
    named = [
        ("identity-based policies", force.identity),
        ("repository policy", force.repository),
        ("registry policy", force.registry),
        ("role trust policy", force.trust),
        ("permissions boundary", force.boundary),
        ("session policies", force.session),
    ]
    for title, policies in named:
        if policies is not None:
            yield title, policies
    for number, level in enumerate(force.controls, 1):
        yield f"service control policies, level {number} of {len(force.controls)}", level


def _layer(title: str, policies: PolicySet, request: Request, force: InForce) -> Layer:
    examined = tuple(
        Examined(policy, tuple(Finding(one, tuple(_elements(one, request, force))) for one in policy.statements))
        for policy in policies.policies
    )
    effects = {finding.statement.effect for one in examined for finding in one.findings if finding.applies}
    return Layer(title, examined, "Allow" in effects, "Deny" in effects)


def _elements(statement: Statement, request: Request, force: InForce) -> Iterator[Element]:
    if statement.principals is not None:
        yield _principal(statement, statement.principals, request, force)
    yield _action(statement.actions, request)
    if statement.resources is not None:
        yield _resource(statement.resources, request)
    for clause in statement.clauses:
        yield _condition(clause, request)


_WORTH = {
    Naming.NONE: "does not name the caller",
    Naming.ACCOUNT: "names the caller's account, which leaves it to identity-based policies",
    Naming.LIMITED: "names the caller, within its permissions boundary and session policies",
    Naming.DIRECT: "names the caller itself",
    Naming.ALONE: "names the caller, who has no policies of its own",
}


def _principal(statement: Statement, principals: Principals, request: Request, force: InForce) -> Element:
    naming = naming_of(statement, request, force)
    written = tuple(f"{kind}: {one}" if kind else one for kind, values in principals.written.items() for one in values)
    if not principals.excluded:
        return Element("Principal", written, naming is not Naming.NONE, _WORTH[naming])
    why = "leaves out the caller: account, role and session"
    if naming is not Naming.NONE:
        why = "does not leave out the caller with all that it stands for"
        if force.boundary is not None:
            why = "leaves out nobody who has a permissions boundary"
    return Element("NotPrincipal", written, naming is not Naming.NONE, why)


def _action(actions: Actions, request: Request) -> Element:
    found = [one for one in actions.written if compile_match(plain_tokens(one.lower()))(request.action.lower())]
    name = "NotAction" if actions.excluded else "Action"
    return Element(name, actions.written, actions.cover(request.action), _first(found, actions.written, request.action))


def _resource(resources: Resources, request: Request) -> Element:
    context = request.context
    found, looked_at, unknown = [], [], []
    for written, pattern in zip(resources.written, resources.patterns, strict=True):
        fixed = resolve(pattern, context)
        if fixed is None:
            looked_at.append(written)
            unknown += [one.name for one in _variables(pattern) if one.resolve(context) is None]
            continue
        looked_at.append(written if is_fixed(pattern) else f"{written} ({show(fixed)})")
        if compile_match(fixed)(request.resource):
            found.append(looked_at[-1])
    why = _first(found, looked_at, request.resource)
    if unknown and not found:
        why += f"; no value for {', '.join(dict.fromkeys(unknown))}"
    name = "NotResource" if resources.excluded else "Resource"
    return Element(name, resources.written, resources.cover(request.resource, context), why)


def _variables(pattern: Sequence[Token]) -> list[Variable]:
    return [part for part in pattern if isinstance(part, Variable)]


def _first(found: Sequence[str], written: Sequence[str], asked: str) -> str:
    if found:
        return f"{found[0]} covers {asked}"
    return f"{_listed(written)} {'does' if len(written) == 1 else 'do'} not cover {asked}"


_LISTED = 4


def _listed(written: Sequence[str]) -> str:
    if len(written) > _LISTED:
        return f"{', '.join(written[:_LISTED])} and {len(written) - _LISTED} more"
    return ", ".join(written)


def _condition(clause: Clause, request: Request) -> Element:
    context = request.context
    value = context.get(clause.key)
    why = f"the request's is {_shown(value)}"
    if value is None and clause.operator.family is not Family.PRESENCE:
        why += f", which {_absence(clause)}"
    unknown = [one.name for one in clause.variables if one.resolve(context) is None]
    if unknown:
        why += f"; no value for {', '.join(dict.fromkeys(unknown))}"
    return Element(f"{clause.written} {clause.name}", clause.values, clause.holds(context), why)


def _absence(clause: Clause) -> str:
    if clause.quantifier is Quantifier.ALL:
        return "ForAllValues takes for true"
    if clause.if_exists:
        return "IfExists takes for true"
    if clause.operator.negated and clause.quantifier is Quantifier.NONE:
        return "is none of the values"
    return "matches nothing"


def _shown(value: Value | None) -> str:
    if value is None:
        return "absent"
    if isinstance(value, str):
        return repr(value)
    return "[" + ", ".join(map(repr, value)) + "]"


def _conclude(request: Request, force: InForce, verdict: Verdict, layers: Iterable[Layer]) -> str:
    own = is_own(request.principal, force)
    match verdict.reason:
        case Reason.EXPLICIT_DENY:
            return f"A statement of {_kind(verdict.kind)} denies it, and an explicit deny outweighs every allow."
        case Reason.ROOT:
            return "The root user may do everything in its own account that nothing denies."
        case Reason.NO_CONTROL:
            silent = [layer.title for layer in layers if layer.title.startswith("service control") and not layer.allows]
            return f"Each level of the organisation must allow it, and this does not: {'; '.join(silent)}."
        case Reason.NO_TRUST:
            return "The role's trust policy does not let the caller in."
        case Reason.NO_BOUNDARY:
            return "Something allows it, but the permissions boundary does not."
        case Reason.NO_SESSION if force.federated_without:
            return "A federated session without session policies has only what a resource's policy gives to it by name."
        case Reason.NO_SESSION:
            return "Something allows it, but no session policy does."
        case Reason.NO_RESOURCE if own:
            return "Callers without credentials need a policy of the resource that allows it to everyone."
        case Reason.NO_RESOURCE:
            return "The caller's account allows it, but the resource belongs to another one, and no policy of it does."
        case Reason.NO_IDENTITY:
            return _without_identity(force, own, layers)
        case _:
            return "It is allowed, and nothing denies it."


def _without_identity(force: InForce, own: bool, layers: Iterable[Layer]) -> str:
    by_resource = any(layer.allows for layer in layers if layer.title in {"repository policy", "registry policy"})
    if not own:
        return "No identity-based policy allows it, which a request into another account always needs."
    if by_resource or (force.trust is not None):
        return "No identity-based policy allows it, and the resource's policy names no more than the account."
    return "No identity-based policy allows it."


def _kind(kind: Kind | None) -> str:
    if kind is None:
        return "a policy"
    return f"{'an' if kind is Kind.IDENTITY else 'a'} {kind.value}"


def _lines(explanation: Explanation) -> Iterator[str]:
    request = explanation.request
    yield "ALLOWED" if explanation.verdict.allowed else "DENIED"
    yield f"  {request.principal.arn}"
    yield f"  {request.action} on {request.resource}"
    if explanation.denial:
        yield f"  {explanation.denial}"
    yield f"  {explanation.conclusion}"
    if explanation.verdict.missing:
        yield f"  Asked for and absent: {', '.join(explanation.verdict.missing)}"
    for layer in explanation.layers:
        yield ""
        yield f"{layer.title}: {_verb(layer)}"
        if not layer.policies:
            yield "  there is none"
        for examined in layer.policies:
            yield f"  {examined.policy.arn or examined.policy.name or 'policy'}"
            for finding in examined.findings:
                yield from _finding_lines(finding)


def _verb(layer: Layer) -> str:
    if layer.denies:
        return "deny"
    return "allow" if layer.allows else "say nothing"


def _finding_lines(finding: Finding) -> Iterator[str]:
    statement = finding.statement
    name = f" {statement.sid}" if statement.sid else ""
    applies = "applies" if finding.applies else "does not apply"
    yield f"    statement {statement.number + 1}{name} (line {statement.start.line}), {statement.effect}: {applies}"
    for element in finding.elements:
        name = element.name
        if " " in name:  # a condition
            name = f"{name} {_listed(element.written)}"
        yield f"      {'+' if element.matched else '-'} {name}: {element.why}"

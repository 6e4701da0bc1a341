"""The policy simulator (SimulateCustomPolicy, SimulatePrincipalPolicy, GetContextKeysForCustomPolicy,
GetContextKeysForPrincipalPolicy)."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

from auth.access import Principal, PrincipalKind, Value
from auth.directory import identity_arn
from auth.iam.call import Call, Iam, Result, Row, invalid_input, mark, on_arn, on_everything, page_of
from auth.iam.entities import HeldPolicy, documents_of, entity_of_arn, policies_of, read_entity_arn
from auth.iam.identities import arn_of
from auth.iam.managed import CATALOGUE
from auth.iam.simulation import Outcome, Places, Scene, aggregate, play
from auth.policy import conditions
from auth.policy.document import Kind, Policy, PolicyMalformed, Source, Statement, parse_policy
from auth.policy.evaluate import PolicySet
from auth.policy.patterns import Match, compile_match, plain_tokens
from auth.rows.entities import StoredEntity
from aws.arn import Arn

T = TypeVar("T")

_MOST: Final = 50_000
"""Looks at statements for one answer (`Scene.measure`): a page ends before it needs more."""
_MATCHED: Final = 10_000
"""Matched statements in one answer: a page ends with the action that brings more."""
_APART: Final = 5_000
"""Looks that are taken in the event loop; more are taken beside it."""
_LARGE: Final = 20_000
"""Characters of policies that are read in the event loop."""
_ACTION: Final = re.compile(r"[a-zA-Z0-9-]+:[a-zA-Z0-9]+", re.ASCII)
_SCENARIOS: Final = frozenset(
    {"EC2-VPC-InstanceStore", "EC2-VPC-InstanceStore-Subnet", "EC2-VPC-EBS", "EC2-VPC-EBS-Subnet"}
)
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "numeric": conditions.read_number,
    "boolean": conditions.read_boolean,
    "date": conditions.read_date,
    "ip": conditions.read_address,
    "binary": conditions.read_binary,
}
"""How a value of a ContextKeyType is read; None is what cannot be."""


async def simulate_custom_policy(iam: Iam, call: Call) -> Result:  # noqa: ARG001 - handlers are called alike
    params = call.params

    def stage() -> tuple[Scene, "_Played"]:
        if "ResourcePolicy" in params and "CallerArn" not in params:
            _refuse("CallerArn", "it is required with a ResourcePolicy")
        levels = params.get("OrderedOrganizationPolicyInputList")
        controls = None
        if levels is not None:
            controls = tuple(
                PolicySet(
                    _parse_all(
                        level.get("ServiceControlPolicyInputList", ()),
                        Kind.CONTROL,
                        f"OrderedOrganizationPolicyInputList.{number}.ServiceControlPolicyInputList",
                    )
                )
                for number, level in enumerate(levels, 1)
            )
        caller = _caller(params["CallerArn"]) if "CallerArn" in params else _stranger(call.account)
        played = _Played(_parse_all(params["PolicyInputList"], Kind.IDENTITY, "PolicyInputList"))
        return played.scene(params, caller, _given_boundary(params), controls), played

    return await _answer(params, *(await _perhaps_apart(params, stage)))


async def simulate_principal_policy(iam: Iam, call: Call) -> Result:
    params = call.params
    entity = await entity_of_arn(iam, call, "PolicySourceArn")
    excluded = _Exclusions(params.get("PolicyExclusionList", ()))

    def read() -> tuple[list[Policy], PolicySet | None]:
        return _parse_all(params.get("PolicyInputList", ()), Kind.IDENTITY, "PolicyInputList"), _given_boundary(params)

    given, boundary = await _perhaps_apart(params, read)
    own = [policy for policy in await policies_of(iam, entity) if not excluded.identity(policy)]
    if boundary is None and not excluded.has("permission-boundary"):
        boundary = await _boundary_of(iam, entity)
    controls = await _controls_over(iam, entity.account, excluded)

    def stage() -> tuple[Scene, "_Played"]:
        caller = _caller(params["CallerArn"]) if "CallerArn" in params else _principal_of(entity)
        played = _Played([*(policy.policy for policy in own), *given])
        return played.scene(params, caller, boundary, controls), played

    return await _answer(params, *(await _perhaps_apart(params, stage)))


async def get_context_keys_for_custom_policy(iam: Iam, call: Call) -> Result:  # noqa: ARG001 - handlers are called alike
    texts = call.params["PolicyInputList"]
    return _keys_of(await _perhaps_apart(texts, lambda: _parse_all(texts, Kind.IDENTITY, "PolicyInputList")))


async def get_context_keys_for_principal_policy(iam: Iam, call: Call) -> Result:
    entity = await entity_of_arn(iam, call, "PolicySourceArn")
    own = [policy.policy for policy in await policies_of(iam, entity)]
    texts = call.params.get("PolicyInputList", ())
    given = await _perhaps_apart(texts, lambda: _parse_all(texts, Kind.IDENTITY, "PolicyInputList"))
    return _keys_of([*own, *given])


async def _perhaps_apart(given: Any, work: Callable[[], T]) -> T:
    """Work on policies, not in the event loop where they are large."""
    return await asyncio.to_thread(work) if _length(given) > _LARGE else work()


def _length(given: Any) -> int:
    """Characters of all texts in it."""
    if isinstance(given, str):
        return len(given)
    parts = given.values() if isinstance(given, Mapping) else given if isinstance(given, Sequence) else ()
    return sum(map(_length, parts))


# -- what is played


class _Played:
    """The identity-based policies and the resource's, and how their statements are shown."""

    def __init__(self, identity: Sequence[Policy]) -> None:
        self._identity = identity
        self._policies: dict[Statement, tuple[Policy, Places]] = {}
        self._shown: dict[Statement, Result] = {}
        for policy in identity:
            self._add(policy)

    def _add(self, policy: Policy) -> None:
        self._policies |= dict.fromkeys(policy.statements, (policy, Places(policy)))

    def scene(
        self,
        params: Mapping[str, Any],
        caller: Principal,
        boundary: PolicySet | None,
        controls: tuple[PolicySet, ...] | None,
    ) -> Scene:
        """Raises AwsError (InvalidInput)."""
        option = params.get("ResourceHandlingOption")
        if option is not None and option not in _SCENARIOS:
            _refuse("ResourceHandlingOption", f'"{option}" is none of {", ".join(sorted(_SCENARIOS))}')
        resource = None
        if "ResourcePolicy" in params:
            if caller.kind is not PrincipalKind.USER:
                raise invalid_input("Invalid caller - Caller must be an IAM user in this context.")
            policy = _parse(params["ResourcePolicy"], Kind.RESOURCE, "ResourcePolicy", Source.RESOURCE)
            self._add(policy)
            resource = PolicySet([policy])
        return Scene(
            caller,
            PolicySet(self._identity),
            _context(params.get("ContextEntries", ())),
            _owner(params["ResourceOwner"]) if "ResourceOwner" in params else caller.account,
            boundary,
            controls,
            resource,
        )

    def render(self, statement: Statement) -> Result:
        """The model's Statement."""
        shown = self._shown.get(statement)
        if shown is None:
            policy, places = self._policies[statement]
            start, end = places.opening(statement), statement.end
            shown = self._shown[statement] = {
                "SourcePolicyId": policy.name,
                "SourcePolicyType": policy.source.value,
                "StartPosition": {"Line": start.line, "Column": start.column},
                "EndPosition": {"Line": end.line, "Column": end.column},
            }
        return shown


def _parse(text: str, kind: Kind, name: str, source: Source = Source.NONE) -> Policy:
    try:
        return parse_policy(text, kind, name=name, source=source)
    except PolicyMalformed as error:
        _refuse(name, f"{error.message} (line {error.line}, column {error.column})")


def _parse_all(texts: Iterable[str], kind: Kind, name: str) -> list[Policy]:
    """The policies of an input list, named as AWS does: `PolicyInputList.1`. Raises AwsError (InvalidInput)."""
    return [_parse(text, kind, f"{name}.{number}") for number, text in enumerate(texts, 1)]


def _given_boundary(params: Mapping[str, Any]) -> PolicySet | None:
    texts = params.get("PermissionsBoundaryPolicyInputList") or ()
    if len(texts) > 1:
        _refuse("PermissionsBoundaryPolicyInputList", "there can be one permissions boundary")
    return PolicySet(_parse_all(texts, Kind.BOUNDARY, "PermissionsBoundaryPolicyInputList")) if texts else None


def _context(entries: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    """Context keys in lower case. Raises AwsError for values that are not of their type."""
    context: dict[str, Value] = {}
    for entry in entries:
        name, values = entry.get("ContextKeyName", ""), entry.get("ContextKeyValues", [])
        kind = entry.get("ContextKeyType", "string")
        several = kind.endswith("List")
        read = _READERS.get(kind.removesuffix("List"))
        if not name or (len(values) != 1 and not several):
            _refuse("ContextEntries", f'the context key "{name}" of the type {kind} has one value')
        for value in values:
            if read is not None and read(value) is None:
                _refuse("ContextEntries", f'"{value}" of the context key "{name}" is not of the type {kind}')
        context[name.lower()] = tuple(values) if several else values[0]
    return context


def _refuse(what: str, why: str) -> NoReturn:
    raise invalid_input(f"Invalid Input {what}: {why}.")


# -- who calls


_CALLERS: Final = {
    "user": PrincipalKind.USER,
    "role": PrincipalKind.ROLE_SESSION,
    "group": PrincipalKind.FEDERATED_USER,
}
"""A group is nobody who calls; it stands for whom no resource policy names."""


def _caller(arn: str) -> Principal:
    """Somebody who need not exist. Raises AwsError (InvalidInput)."""
    kind, account, name = read_entity_arn(arn, "CallerArn")
    return Principal(_CALLERS[kind], account, arn, "", identity_arn=arn, name=name)


def _principal_of(entity: StoredEntity) -> Principal:
    arn = arn_of(entity.kind, entity)
    return Principal(
        _CALLERS[entity.kind], entity.account, arn, entity.id, identity_arn=arn, identity_id=entity.id, name=entity.name
    )


def _stranger(account: str) -> Principal:
    """Where nothing is said of the caller, nothing depends on it."""
    return Principal(PrincipalKind.USER, account, "", "")


def _owner(text: str) -> str:
    """ResourceOwner: an account's number, or the ARN of its root user."""
    account = text if ":" not in text else text.removeprefix("arn:aws:iam::").removesuffix(":root")
    if not re.fullmatch(r"[0-9]{12}", account, re.ASCII):
        _refuse("ResourceOwner", f'"{text}" is no account')
    return account


# -- what limits an entity


async def _boundary_of(iam: Iam, entity: StoredEntity) -> PolicySet | None:
    if not entity.boundary:
        return None
    documents = await documents_of(iam, [entity.boundary])
    return PolicySet(
        iam.directory.compile(text, Kind.BOUNDARY, name, arn, Source.USER_MANAGED)
        for arn, (name, text) in documents.items()
    )


async def _controls_over(iam: Iam, account: str, excluded: "_Exclusions") -> tuple[PolicySet, ...] | None:
    """What the organisation says of the account; None where it says nothing."""
    root = Principal(PrincipalKind.ROOT, account, identity_arn("", account, "", "root"), account, identity_id=account)
    grants = await iam.directory.grants(root)
    if not grants.organization or not grants.controls or excluded.has("scp"):
        return None
    return tuple(
        PolicySet(policy for policy in level.policies if not excluded.named(policy.arn)) for level in grants.controls
    )


class _Exclusions:
    """PolicyExclusionList: policies that are played as if they were not there."""

    def __init__(self, identifiers: Iterable[Mapping[str, Any]]) -> None:
        """Raises AwsError (InvalidInput)."""
        self._types: set[str] = set()
        self._arns: list[Match] = []
        self._inline: set[tuple[str, str, str]] = set()
        for one in identifiers:
            if len(one) != 1:
                _refuse("PolicyExclusionList", "an identifier is a type, an ARN or an inline policy, and one of them")
            if "PolicyType" in one:
                self._types.add(one["PolicyType"])
            elif "PolicyArn" in one:
                self._arns.append(_compile_arn(one["PolicyArn"]))
            else:
                inline = one["InlinePolicyIdentifier"]
                self._inline.add((inline["PolicyName"], inline["AttachmentType"], inline["AttachmentName"].lower()))

    def has(self, kind: str) -> bool:
        return kind in self._types

    def named(self, arn: str) -> bool:
        return any(matches(arn) for matches in self._arns)

    def identity(self, held: HeldPolicy) -> bool:
        if held.arn:
            return self.has("aws-managed" if held.arn in CATALOGUE else "user-managed") or self.named(held.arn)
        return self.has("inline") or (held.name, held.kind, held.owner.lower()) in self._inline


def _compile_arn(arn: str) -> Match:
    """`*` once and `?` in the name, nowhere else."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        _refuse("PolicyExclusionList", f'"{arn}" is no ARN')
    fixed, _, name = arn.rpartition("/")
    if "/" not in parsed.resource or set(fixed) & set("*?") or name.count("*") > 1:
        _refuse("PolicyExclusionList", f'"{arn}" has wildcards where there can be none')
    return compile_match(plain_tokens(arn))


# -- the answer


async def _answer(params: Mapping[str, Any], scene: Scene, played: _Played) -> Result:
    """One result an action; a page begins at the action whose number its marker holds."""
    limit, marker = page_of(params)
    actions, resources = _actions(params["ActionNames"]), _resources(params.get("ResourceArns") or ["*"])
    if marker and not marker.isdecimal():
        _refuse("Marker", "it is none that this operation returned")
    looks = sum(map(scene.measure(), resources))
    if looks > _MOST:
        _refuse("ResourceArns", f"{len(resources)} resources are too many at once for these policies")
    first = int(marker or 0)
    wanted = actions[first : first + min(limit, _MOST // looks)]

    def act() -> list[list[Outcome]]:
        done: list[list[Outcome]] = []
        matched = 0
        for action in wanted:
            outcomes = [play(scene, action, resource) for resource in resources]
            matched += sum(len(one.matched) for one in outcomes)
            if done and matched > _MATCHED:
                break
            done.append(outcomes)
        return done

    done = await asyncio.to_thread(act) if len(wanted) * looks > _APART else act()
    if sum(len(one.matched) for outcomes in done for one in outcomes) > _MATCHED:
        _refuse("ResourceArns", "more statements match than fit into an answer")
    following = first + len(done)
    result: Result = {
        "EvaluationResults": [
            _render(action, resources, several, played) for action, several in zip(wanted, done, strict=False)
        ],
        "IsTruncated": following < len(actions),
    }
    if following < len(actions):
        result["Marker"] = mark(str(following))
    return result


def _actions(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if not _ACTION.fullmatch(name):
            _refuse("Actions", f'"{name}" is not a service and one of its operations, as in ecr:PutImage')
    return names


def _resources(arns: Sequence[str]) -> Sequence[str]:
    for arn in arns:
        if arn != "*":
            try:
                Arn.parse(arn)
            except ValueError:
                _refuse("ResourceArns", f'"{arn}" is neither an ARN nor "*"')
    return list(dict.fromkeys(arns))


def _render(action: str, resources: Sequence[str], outcomes: Sequence[Outcome], played: _Played) -> Result:
    """The model's EvaluationResult."""
    whole = aggregate(outcomes)
    result: Result = {
        "EvalActionName": action,
        "EvalResourceName": _template(resources),
        "EvalDecision": whole.decision,
        "MatchedStatements": [played.render(one) for one in whole.matched],
        "MissingContextValues": whole.missing,
        "OrganizationsDecisionDetail": _detail("AllowedByOrganizations", whole.organization),
        "PermissionsBoundaryDecisionDetail": _detail("AllowedByPermissionsBoundary", whole.boundary),
    }
    if resources == ["*"]:
        return result
    if whole.organization is not False:
        result["EvalDecisionDetails"] = dict(whole.by_source)
    result["ResourceSpecificResults"] = [
        {
            "EvalResourceName": resource,
            "EvalResourceDecision": one.decision,
            "MatchedStatements": [played.render(statement) for statement in one.matched],
            "MissingContextValues": one.missing or None,
            "EvalDecisionDetails": dict(one.by_source) or None,
            "PermissionsBoundaryDecisionDetail": _detail("AllowedByPermissionsBoundary", one.boundary),
        }
        for resource, one in zip(resources, outcomes, strict=True)
    ]
    return result


def _detail(name: str, answer: bool | None) -> dict[str, bool] | None:
    return None if answer is None else {name: answer}


_TEMPLATES: Final = {
    "ecr:repository": "ecr:${Region}:${Account}:repository/${RepositoryName}",
    "ecs:cluster": "ecs:${Region}:${Account}:cluster/${ClusterName}",
    "ecs:container-instance": "ecs:${Region}:${Account}:container-instance/${ClusterName}/${ContainerInstanceId}",
    "ecs:service": "ecs:${Region}:${Account}:service/${ClusterName}/${ServiceName}",
    "ecs:task": "ecs:${Region}:${Account}:task/${ClusterName}/${TaskId}",
    "ecs:task-definition": (
        "ecs:${Region}:${Account}:task-definition/${TaskDefinitionFamilyName}:${TaskDefinitionRevisionNumber}"
    ),
    "ecs:capacity-provider": "ecs:${Region}:${Account}:capacity-provider/${CapacityProviderName}",
    "ecs:task-set": "ecs:${Region}:${Account}:task-set/${ClusterName}/${ServiceName}/${TaskSetId}",
    "iam:user": "iam::${Account}:user/${UserNameWithPath}",
    "iam:group": "iam::${Account}:group/${GroupNameWithPath}",
    "iam:role": "iam::${Account}:role/${RoleNameWithPath}",
    "iam:policy": "iam::${Account}:policy/${PolicyNameWithPath}",
    "iam:instance-profile": "iam::${Account}:instance-profile/${InstanceProfileNameWithPath}",
    "iam:oidc-provider": "iam::${Account}:oidc-provider/${OidcProviderName}",
}
"""What ARNs of these services look like (Service Authorization Reference, "Resource types defined by ..")."""


def _template(resources: Sequence[str]) -> str:
    """The form of the ARNs; `*` for all resources, for several forms and for one that is not known."""
    forms = set()
    for arn in resources:
        _, _, service, _, _, resource = arn.split(":", 5) if arn != "*" else ("*",) * 6
        forms.add(_TEMPLATES.get(f"{service}:{resource.partition('/')[0]}"))
    form = forms.pop()
    return "*" if form is None or forms else f"arn:${{Partition}}:{form}"


def _keys_of(policies: Iterable[Policy]) -> Result:
    names: dict[str, str] = {}
    for policy in policies:
        for statement in policy.statements:
            for key, name in statement.asks:
                names.setdefault(key, name)
    return {"ContextKeyNames": list(names.values())}


ROWS: Final[tuple[Row, ...]] = (
    Row("SimulateCustomPolicy", simulate_custom_policy, on_everything("SimulateCustomPolicy")),
    Row("SimulatePrincipalPolicy", simulate_principal_policy, on_arn("SimulatePrincipalPolicy", "PolicySourceArn")),
    Row(
        "GetContextKeysForCustomPolicy",
        get_context_keys_for_custom_policy,
        on_everything("GetContextKeysForCustomPolicy"),
    ),
    Row(
        "GetContextKeysForPrincipalPolicy",
        get_context_keys_for_principal_policy,
        on_arn("GetContextKeysForPrincipalPolicy", "PolicySourceArn"),
    ),
)

"""Policy documents: from text to a compiled, immutable form, or to an error that says where (IAM, "Policy grammar")."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, NoReturn

from auth.policy.conditions import Clause, Family, Holds, all_of, compile_clause, find_operator, read_date
from auth.policy.patterns import Actions, Covers, Resources, compile_actions, compile_resources, missing_segments
from auth.policy.principals import Principals, compile_principals, is_principal
from auth.policy.scanner import Lines, Node, Number, Unreadable, plain, scan


class Kind(StrEnum):
    """What a policy is attached to, hence which grammar it has."""

    IDENTITY = "identity-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    CONTROL = "service control policy"
    REPOSITORY = "repository policy"
    REGISTRY = "registry policy"
    RESOURCE = "resource-based policy"
    """Of any service: what a simulation is given."""
    TRUST = "role trust policy"


class Source(StrEnum):
    """SourcePolicyType of the simulator's MatchedStatements."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"
    AWS_MANAGED = "aws-managed"
    USER_MANAGED = "user-managed"
    RESOURCE = "resource"
    NONE = "none"


class PolicyMalformed(ValueError):
    """The document breaks the grammar, or holds what cannot be evaluated. `message` is AWS's where AWS has one; `detail`
    says what is wrong, in a sentence without capital and full stop; line and column, from 1, where it stands."""

    def __init__(self, message: str, *, line: int = 0, column: int = 0, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.detail = detail

    @property
    def explained(self) -> str:
        """The message, and in the same line what is wrong and where."""
        return (
            f"{self.message} (line {self.line}, column {self.column}: {self.detail})" if self.detail else self.message
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1, in the policy's text."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One compiled statement. `policy` is the name or ARN of its policy, `number` its position in it, from 0. `end` is
    the place after its last character. What it has no element for is None; a condition is a clause for each operator and
    key."""

    policy: str
    kind: Kind
    source: Source
    number: int
    sid: str
    effect: str
    start: Place
    end: Place
    text: dict[str, Any] = field(repr=False)
    actions: Actions = field(repr=False, default=compile_actions((), excluded=False))
    resources: Resources | None = field(repr=False, default=None)
    principals: Principals | None = field(repr=False, default=None)
    clauses: tuple[Clause, ...] = field(repr=False, default=())
    denies: bool = field(init=False, repr=False)
    covers: Covers | None = field(init=False, repr=False)
    """Whether it is about a resource; None where it is about all."""
    holds: Holds | None = field(init=False, repr=False)
    """Whether all clauses do; None where there are none."""
    asks: tuple[tuple[str, str], ...] = field(init=False, repr=False)
    """The context keys that its conditions and variables read: in lower case, and as they are written."""
    reads: frozenset[str] = field(init=False, repr=False)
    """The same, in lower case."""
    pinned: bool = field(init=False, repr=False)
    """Whether a condition is on aws:PrincipalArn."""

    def __post_init__(self) -> None:
        resources = self.resources
        used = [
            *(resources.variables if resources else ()),
            *(one for clause in self.clauses for one in clause.variables),
        ]
        asks = {clause.key: clause.name for clause in self.clauses} | {one.key: one.name for one in used if one.key}
        derived = {
            "denies": self.effect == "Deny",
            "covers": None if resources is None or resources.everything else resources.cover,
            "holds": all_of([clause.holds for clause in self.clauses]),
            "asks": tuple(asks.items()),
            "reads": frozenset(asks),
            "pinned": any(clause.key == "aws:principalarn" for clause in self.clauses),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A compiled document. `name` is what MatchedStatements call it, `arn` is empty for inline ones."""

    name: str
    arn: str
    kind: Kind
    source: Source
    version: str
    identifier: str
    statements: tuple[Statement, ...]
    text: str = field(repr=False)
    keys: frozenset[str] = frozenset()
    """The context keys that its conditions and variables read, in lower case (`aws:resourcetag/team`)."""


def parse_policy(
    text: str, kind: Kind, *, name: str = "", arn: str = "", source: Source = Source.NONE, managed: bool = False
) -> Policy:
    """Parse, validate and compile. Raises PolicyMalformed. `managed`: as CreatePolicy takes it, which wants the version
    2012-10-17; elsewhere the older one, which is also the default, is good."""
    reader = _Reader(text, kind, managed=managed)
    version, identifier, nodes = reader.read()
    variables = version == CURRENT_VERSION
    statements = tuple(
        reader.compile(node, number, arn or name, source, variables=variables) for number, node in enumerate(nodes)
    )
    keys = frozenset(key for statement in statements for key in statement.reads)
    return Policy(name, arn, kind, source, version, identifier, statements, text, keys)


CURRENT_VERSION = "2012-10-17"
OLD_VERSION = "2008-10-17"

NAMES_PRINCIPALS = {Kind.REPOSITORY, Kind.REGISTRY, Kind.RESOURCE, Kind.TRUST}
_WITHOUT_RESOURCE = {Kind.TRUST, Kind.REPOSITORY, Kind.RESOURCE}
_ELEMENTS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}  # fmt: skip
TRUST_ACTIONS = (
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:TagSession",
    "sts:SetSourceIdentity",
    "sts:SetContext",
)


class _Fault(Enum):
    """What may be wrong: IAM's message, and the one of role trust policies where that differs."""

    JSON = ("Syntax errors in policy.", "This policy contains invalid Json")
    SYNTAX = ("Syntax errors in policy.", "Syntax errors in policy.")
    UNKNOWN_VERSION = ("Syntax errors in policy.", "The policy must contain a valid version string")
    OLD_VERSION = ("Policy document must be version 2012-10-17 or greater.", "")
    NO_STATEMENT = ("Syntax errors in policy.", "Could not parse the policy: Statement is empty!")
    NO_EFFECT = ("Syntax errors in policy.", "Missing required field Effect")
    EFFECT = ("Syntax errors in policy.", "Invalid effect: {}")
    LEGACY = ("The policy failed legacy parsing", "The policy failed legacy parsing")
    SAME_SID = (
        "Statement IDs (SID) in a single policy must be unique.",
        "The Statement Ids in the policy are not unique",
    )
    SID = (
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
        "Syntax errors in policy.",
    )
    PRINCIPAL = ("Policy document should not specify a principal.", "Invalid principal in policy: {}")
    NO_PRINCIPAL = ("", "Missing required field Principal")
    EMPTY_PRINCIPAL = ("", "Missing required field Principal cannot be empty!")
    NOT_PRINCIPAL = (
        "Policy document should not specify a principal.",
        "AssumeRole policy must not contain NotPrincipal field.",
    )
    ALLOW_NOT_PRINCIPAL = ("", "Allow with NotPrincipal is not allowed.")
    NO_ACTION = ("Policy statement must contain actions.", "Missing required field Action")
    ACTION_WITHOUT_VENDOR = (
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        "AssumeRole policy may only specify STS AssumeRole actions.",
    )
    ACTION_COLONS = (
        "Actions/Condition can contain only one colon.",
        "AssumeRole policy may only specify STS AssumeRole actions.",
    )
    VENDOR = ("Vendor {} is not valid", "AssumeRole policy may only specify STS AssumeRole actions.")
    ACTION = ("Syntax errors in policy.", "AssumeRole policy may only specify STS AssumeRole actions.")
    NO_RESOURCE = ("Policy statement must contain resources.", "")
    RESOURCE = ("{}", "Has prohibited field Resource")
    NOT_RESOURCE = ("{}", "AssumeRole policy must not contain resources.")


_ONE_MESSAGE = {
    Kind.REPOSITORY: "Invalid repository policy provided",
    Kind.REGISTRY: "Invalid registry policy provided",
    Kind.RESOURCE: "Invalid resource-based policy provided",
    Kind.CONTROL: "The provided policy document does not meet the requirements of the specified policy type.",
}
"""Who says nothing more precise."""


class _Reader:
    """Checks in the order in which IAM does, so that of several faults the same one is named."""

    def __init__(self, text: str, kind: Kind, *, managed: bool) -> None:
        self._text = text
        self._kind = kind
        self._managed = managed or kind is Kind.CONTROL
        self._lines = Lines(text)

    def read(self) -> tuple[str, str, list[Node]]:
        """Version, Id and the nodes of the statements. Raises PolicyMalformed."""
        try:
            root = scan(self._text)
        except Unreadable as error:
            if self._kind is Kind.SESSION:
                self._fail(
                    _Fault.JSON, error.offset, error.detail, message="The policy is not in the valid JSON format."
                )
            self._fail(_Fault.JSON, error.offset, error.detail)
        document = self._object(root, "the document")
        for name, member in document.items():
            if name not in {"Version", "Id", "Statement"}:
                self._fail(_Fault.SYNTAX, member.key, f"{name!r} is no element of a policy")
        version = self._version(document.get("Version"))
        identifier = self._text_of(document["Id"], "Id") if "Id" in document else ""
        if "Statement" not in document:
            self._fail(_Fault.NO_STATEMENT, root.start, "Statement is missing")
        statement = document["Statement"]
        nodes = statement.content if isinstance(statement.content, list) else [statement]
        if not nodes:
            self._fail(_Fault.NO_STATEMENT, statement.start, "Statement is empty")
        for node in nodes:
            self._check_syntax(node)
        if self._managed and version != CURRENT_VERSION:
            place = document["Version"].start if "Version" in document else root.start
            self._fail(_Fault.OLD_VERSION, place, f"the version must be {CURRENT_VERSION}")
        self._check(nodes)
        return version, identifier, nodes

    def compile(self, node: Node, number: int, policy: str, source: Source, *, variables: bool) -> Statement:
        """A statement that was checked."""
        members = _members(node)
        effect, sid = (_string(members[name]) if name in members else "" for name in ("Effect", "Sid"))
        action = "Action" if "Action" in members else "NotAction"
        resources = None
        for name in ("Resource", "NotResource"):
            if name in members:
                written = [_string(one) for one in _several(members[name])]
                resources = compile_resources(written, excluded=name == "NotResource", variables=variables)
        principals = None
        for name in ("Principal", "NotPrincipal"):
            if name in members:
                principals = compile_principals(_principals(members[name]), excluded=name == "NotPrincipal")
        clauses = tuple(
            compile_clause(written, key, [_condition_value(one) for one in _several(values)], variables=variables)
            for written, keys in _members(members.get("Condition")).items()
            for key, values in _members(keys).items()
        )
        return Statement(
            policy,
            self._kind,
            source,
            number,
            sid,
            effect,
            Place(*self._lines.place(node.start)),
            Place(*self._lines.place(node.end)),
            plain(node),
            compile_actions([_string(one) for one in _several(members[action])], excluded=action == "NotAction"),
            resources,
            principals,
            clauses,
        )

    def _fail(self, fault: _Fault, offset: int, detail: str, *, name: str = "", message: str = "") -> NoReturn:
        if not message:
            message = _ONE_MESSAGE.get(self._kind) or fault.value[self._kind is Kind.TRUST].format(name)
        line, column = self._lines.place(offset)
        raise PolicyMalformed(message, line=line, column=column, detail=detail) from None

    def _object(self, node: Node, what: str) -> dict[str, Node]:
        if not isinstance(node.content, dict):
            self._fail(_Fault.SYNTAX, node.start, f"{what} must be an object")
        return node.content

    def _text_of(self, node: Node, what: str) -> str:
        if not isinstance(node.content, str) or isinstance(node.content, Number):
            self._fail(_Fault.SYNTAX, node.start, f"{what} must be a string")
        return node.content

    def _version(self, node: Node | None) -> str:
        if node is None:
            return OLD_VERSION
        version = node.content
        if version not in (OLD_VERSION, CURRENT_VERSION) or not isinstance(version, str):
            self._fail(_Fault.UNKNOWN_VERSION, node.start, f"Version must be {CURRENT_VERSION!r} or {OLD_VERSION!r}")
        return version

    # types and names

    def _check_syntax(self, node: Node) -> None:
        members = self._object(node, "a statement")
        for name, member in members.items():
            if name not in _ELEMENTS:
                self._fail(_Fault.SYNTAX, member.key, f"{name!r} is no element of a statement")
        for name in ("Action", "Resource", "Principal"):
            if name in members and "Not" + name in members:
                self._fail(_Fault.SYNTAX, members["Not" + name].key, f"a statement has {name} or Not{name}, not both")
        self._check_effect(node, members.get("Effect"))
        if "Sid" in members:
            self._text_of(members["Sid"], "Sid")
        for name in ("Action", "NotAction", "Resource", "NotResource"):
            if name in members:
                for one in _several(members[name]):
                    self._text_of(one, f"{name} and each of its values")
        if "Condition" in members:
            self._check_condition(members["Condition"])
        self._check_principal(node, members)

    def _check_effect(self, statement: Node, node: Node | None) -> None:
        if node is None:
            self._fail(_Fault.NO_EFFECT, statement.start, "Effect is missing")
        effect = self._text_of(node, "Effect")
        if effect.lower() not in {"allow", "deny"} or (self._kind is Kind.TRUST and effect not in {"Allow", "Deny"}):
            self._fail(_Fault.EFFECT, node.start, "Effect must be 'Allow' or 'Deny'", name=effect)

    def _check_condition(self, node: Node) -> None:
        for written, keys in self._object(node, "Condition").items():
            members = self._object(keys, f"what follows the operator {written!r}")
            if members and find_operator(written) is None:
                self._fail(_Fault.SYNTAX, keys.key, f"{written!r} is no condition operator")
            for key, values in members.items():
                for one in _several(values):
                    if isinstance(one.content, list | dict) or one.content is None:
                        self._fail(
                            _Fault.SYNTAX, one.start, f"a value of {key!r} must be a string, a number or a boolean"
                        )

    def _check_principal(self, statement: Node, members: Mapping[str, Node]) -> None:
        name = "NotPrincipal" if "NotPrincipal" in members else "Principal"
        node = members.get(name)
        if self._kind not in NAMES_PRINCIPALS:
            if node is not None:
                self._fail(_Fault.NOT_PRINCIPAL, node.key, f"{name} has no place in a policy of this kind")
            return
        if node is None:
            self._fail(_Fault.NO_PRINCIPAL, statement.start, "Principal is missing")
        if name == "NotPrincipal":
            if members["Effect"].content == "Allow":
                self._fail(_Fault.ALLOW_NOT_PRINCIPAL, node.key, "NotPrincipal goes with Deny only")
            if self._kind is Kind.TRUST:
                self._fail(_Fault.NOT_PRINCIPAL, node.key, "NotPrincipal has no place in a role trust policy")
        self._check_principals(node)

    def _check_principals(self, node: Node) -> None:
        if node.content == "*":
            return
        kinds = self._object(node, "Principal, if it is not '*',")
        for kind, values in kinds.items():
            for one in _several(values):
                value = self._text_of(one, "a principal")
                if not is_principal(kind, value) or (self._kind is Kind.TRUST and kind == "CanonicalUser"):
                    written = f'"{kind.upper()}":"{value}"'
                    self._fail(_Fault.PRINCIPAL, one.start, f"{written} is no principal", name=written)
        if not any(_several(values) for values in kinds.values()):
            self._fail(_Fault.EMPTY_PRINCIPAL, node.start, "Principal names nobody")

    # meanings

    def _check(self, nodes: list[Node]) -> None:
        statements = [_members(node) for node in nodes]
        wrong_resource: tuple[int, str] | None = None
        for members in statements:
            self._check_legacy(members)
        for members in statements:
            wrong_resource = self._check_resources(members, wrong_resource)
        if self._kind is not Kind.REPOSITORY:
            self._check_sids(statements)
        for node, members in zip(nodes, statements, strict=True):
            self._check_has(node, members, "Action", _Fault.NO_ACTION)
        if wrong_resource is not None:
            offset, message = wrong_resource
            self._fail(_Fault.SYNTAX, offset, message, message="" if self._kind in _ONE_MESSAGE else message)
        for members in statements:
            for name in ("Action", "NotAction"):
                for one in _several(members.get(name)):
                    self._check_action(one)
        for node, members in zip(nodes, statements, strict=True):
            if self._kind not in _WITHOUT_RESOURCE:
                self._check_has(node, members, "Resource", _Fault.NO_RESOURCE)

    def _check_legacy(self, members: Mapping[str, Node]) -> None:
        if members["Effect"].content not in {"Allow", "Deny"}:
            self._fail(_Fault.LEGACY, members["Effect"].start, "Effect is spelt 'Allow' or 'Deny'")
        for written, keys in _members(members.get("Condition")).items():
            found = find_operator(written)
            if found is None or found[0].family is not Family.DATE:
                continue
            for values in _members(keys).values():
                for one in _several(values):
                    if read_date(_condition_value(one)) is None:
                        self._fail(_Fault.LEGACY, one.start, f"{_condition_value(one)!r} is no date")

    def _check_resources(self, members: Mapping[str, Node], wrong: tuple[int, str] | None) -> tuple[int, str] | None:
        """The first that is not as IAM wants it, unless it is worse than that."""
        for name in ("Resource", "NotResource"):
            if name not in members:
                continue
            if self._kind is Kind.TRUST:
                fault = _Fault.RESOURCE if name == "Resource" else _Fault.NOT_RESOURCE
                self._fail(fault, members[name].key, "a role trust policy is about its role and names no resource")
            for one in _several(members[name]):
                written = _string(one)
                problem = resource_problem(written)
                if not problem and self._kind is Kind.SESSION and missing_segments(written):
                    problem = _NO_ARN.format(written)
                if wrong is None and problem:
                    wrong = one.start, problem
                if wrong is None and not _is_legacy_arn(written):
                    self._fail(_Fault.LEGACY, one.start, f"{written!r} has not the six parts of an ARN")
        return wrong

    def _check_sids(self, statements: Iterable[Mapping[str, Node]]) -> None:
        seen = set()
        for members in statements:
            sid = _string(members["Sid"]) if "Sid" in members else ""
            if sid and sid in seen:
                self._fail(_Fault.SAME_SID, members["Sid"].start, f"the Sid {sid!r} stands twice")
            if self._kind not in NAMES_PRINCIPALS and not _SID.fullmatch(sid):
                self._fail(_Fault.SID, members["Sid"].start, f"the Sid {sid!r} has other signs than letters and digits")
            seen.add(sid)

    def _check_has(self, statement: Node, members: Mapping[str, Node], name: str, fault: _Fault) -> None:
        node = members.get(name) or members.get("Not" + name)
        if node is None or not _several(node):
            self._fail(fault, node.start if node else statement.start, f"{name} or Not{name} must name something")

    def _check_action(self, node: Node) -> None:
        action = _string(node)
        vendor, *names = action.split(":")
        if not names and vendor != "*":
            self._fail(_Fault.ACTION_WITHOUT_VENDOR, node.start, f"{action!r} names no service, as in ecr:PutImage")
        if len(names) > 1:
            self._fail(_Fault.ACTION_COLONS, node.start, f"{action!r} has more than one colon")
        if vendor != "*" and not _VENDOR.fullmatch(vendor):
            self._fail(_Fault.VENDOR, node.start, f"{vendor!r} is no service", name=vendor)
        if self._kind is Kind.TRUST and not _is_trust_action(action):
            self._fail(_Fault.ACTION, node.start, f"{action!r} is not about assuming a role")
        if self._kind in {Kind.REPOSITORY, Kind.REGISTRY} and vendor.lower() not in {"ecr", "*"}:
            self._fail(_Fault.ACTION, node.start, f"{action!r} is no action of ecr")


_SID = re.compile(r"[0-9A-Za-z]*", re.ASCII)
_VENDOR = re.compile(r"[a-zA-Z0-9.-]+", re.ASCII)


def _is_trust_action(action: str) -> bool:
    if not action.lower().startswith("sts:"):
        return False
    match = compile_actions([action], excluded=False)
    return any(match.cover(known) for known in TRUST_ACTIONS)


def _members(node: Node | None) -> Mapping[str, Node]:
    return node.content if node is not None and isinstance(node.content, dict) else {}


def _several(node: Node | None) -> list[Node]:
    """What stands in a list, or alone."""
    if node is None:
        return []
    return node.content if isinstance(node.content, list) else [node]


def _string(node: Node) -> str:
    assert isinstance(node.content, str)
    return node.content


def _condition_value(node: Node) -> str:
    if isinstance(node.content, bool):
        return "true" if node.content else "false"
    return _string(node)


def _principals(node: Node) -> dict[str, list[str]]:
    if isinstance(node.content, str):
        return {"": [node.content]}
    return {kind: [_string(one) for one in _several(values)] for kind, values in _members(node).items()}


_NO_ARN = 'Resource {} must be in ARN format or "*".'
_PARTITION = re.compile(r"aws(?:-[a-z]+)*|\*", re.ASCII)
_IAM_PATHS = (
    "user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/",
    "sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/",
)  # fmt: skip


def resource_problem(written: str) -> str:
    """IAM's message about a Resource, or nothing. What has too few parts may still fail IAM's older parser."""
    if written == "*":
        return ""
    first, *parts = written.split(":", 5)
    if not parts:
        return _NO_ARN.format(written)
    partition, *parts = parts
    if not _PARTITION.fullmatch(partition):
        shown = ":".join([*parts, *["*"] * (4 - len(parts))]) if parts and parts != [""] else "*:*:*:*"
        return f'Partition "{partition}" is not valid for resource "arn:{partition}:{shown}".'
    if first != "arn":
        return _NO_ARN.format(written)
    if not parts or "*" in parts[0] or "?" in parts[0]:
        return "Resource vendor must be fully qualified and cannot contain regexes."
    service, *parts = parts
    region, account, resource = (*parts, "", "", "")[:3]
    if service == "iam" and region:
        return f"IAM resource {written} cannot contain region information."
    if service == "s3" and region and not account:
        return f"Resource {written} can not contain region information."
    if service == "iam" and len(parts) == 3 and resource != "*" and not resource.startswith(_IAM_PATHS):
        return f'IAM resource path must either be "*" or start with {", ".join(_IAM_PATHS)}.'
    return ""


def _is_legacy_arn(written: str) -> bool:
    if written == "*":
        return True
    return (written.count(":") >= 5 or "::" not in written) and written.split(":")[2] != ""

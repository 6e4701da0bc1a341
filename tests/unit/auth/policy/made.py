"""Policies, principals and requests as tests need them: made in a line, or drawn at random."""

import json
import random
from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from auth.access import Principal, PrincipalKind, Session, SessionKind, Value
from auth.policy.conditions import OPERATORS, Family
from auth.policy.document import NAMES_PRINCIPALS, Kind, Policy, parse_policy
from auth.policy.evaluate import InForce, PolicySet, Request

STEADY = settings(derandomize=True, deadline=None)
MANY = settings(STEADY, max_examples=250)

ACCOUNT = "123456789012"
OTHER = "210987654321"
NORA = Principal(
    PrincipalKind.USER,
    ACCOUNT,
    f"arn:aws:iam::{ACCOUNT}:user/nora",
    "AIDANORA5EXAMPLE5NORA",
    identity_arn=f"arn:aws:iam::{ACCOUNT}:user/nora",
    identity_id="AIDANORA5EXAMPLE5NORA",
    name="nora",
)
ROOT = Principal(PrincipalKind.ROOT, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, identity_id=ACCOUNT)
BUILD = Principal(
    PrincipalKind.ROLE_SESSION,
    ACCOUNT,
    f"arn:aws:sts::{ACCOUNT}:assumed-role/builder/run-7",
    "AROABUILDER5EXAMPLE55:run-7",
    identity_arn=f"arn:aws:iam::{ACCOUNT}:role/ci/builder",
    identity_id="AROABUILDER5EXAMPLE55",
    name="builder",
    session=Session(SessionKind.ROLE, "run-7", issued_at=0.0, expires_at=3600.0),
)
FEDERATED = Principal(
    PrincipalKind.FEDERATED_USER,
    ACCOUNT,
    f"arn:aws:sts::{ACCOUNT}:federated-user/guest",
    f"{ACCOUNT}:guest",
    identity_id="AIDANORA5EXAMPLE5NORA",
    session=Session(SessionKind.FEDERATION, "guest", issued_at=0.0, expires_at=3600.0),
)
ISSUER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/ci.example.test"
WEB = Principal(
    PrincipalKind.ANONYMOUS,
    "",
    "web",
    "web",
    session=Session(SessionKind.WEB_IDENTITY, "job", issued_at=0.0, expires_at=3600.0, provider=ISSUER),
)
ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, "", "anonymous", "anonymous")

REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team-a/web"
FOREIGN = f"arn:aws:ecr:us-east-1:{OTHER}:repository/team-a/web"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci/builder"


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def policy(*statements: dict[str, Any], kind: Kind = Kind.IDENTITY, version: str = "2012-10-17", **rest: Any) -> Policy:
    return parse_policy(document(*statements, version=version), kind, **rest)


def policies(*statements: dict[str, Any], kind: Kind = Kind.IDENTITY, **rest: Any) -> PolicySet:
    return PolicySet([policy(*statements, kind=kind, **rest)])


def allow(action: Any = "ecr:*", resource: Any = "*", **rest: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **rest}


def deny(action: Any = "ecr:*", resource: Any = "*", **rest: Any) -> dict[str, Any]:
    return allow(action, resource, **rest) | {"Effect": "Deny"}


def named(principal: Any, effect: str = "Allow", action: Any = "ecr:*", **rest: Any) -> dict[str, Any]:
    """A statement of a resource-based policy."""
    return {"Effect": effect, "Principal": principal, "Action": action, **rest}


def request(
    principal: Principal = NORA,
    action: str = "ecr:PutImage",
    resource: str = REPOSITORY,
    context: dict[str, Value] | None = None,
) -> Request:
    return Request(principal, action, resource, context or {})


# at random: few names, so that they meet; policies are made once and drawn from, for making them takes most of the time

PRINCIPALS = [NORA, ROOT, BUILD, FEDERATED, WEB, ANONYMOUS]
ACTIONS = ["ecr:PutImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "iam:GetUser", "sts:AssumeRole"]
RESOURCES = [
    "*",
    REPOSITORY,
    FOREIGN,
    ROLE,
    f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team-b",
    "odd",
    "a:b:c:d:e:f:g",
]
_KEYS = ["aws:SourceIp", "aws:username", "aws:TagKeys", "aws:CurrentTime", "aws:PrincipalArn", "ecr:ResourceTag/Team"]
_VALUES = [
    "", "*", "nora", "Nora", "10.1.2.3", "10.0.0.0/8", "::1", "2026-01-01T00:00:00Z", "1767225600", "true", "FALSE",
    "7", "7.5", "not a number", "bm9yYQ==", "${aws:username}", "${aws:missing, 'blue'}", "${aws:missing}", "team-?", NORA.arn,
    f"arn:aws:iam::{ACCOUNT}:user/*",
]  # fmt: skip
_ACTIONS = ["*", "ecr:*", "ecr:*", "ecr:Put*", "ECR:?utImage", "ecr:Batch*Image", "iam:*", "sts:AssumeRole"]
_RESOURCES = [
    "*", "*", "arn:aws:ecr", "arn:aws:ecr:*", "arn:aws:ecr:*:*:repository/*", REPOSITORY, FOREIGN, ROLE, "arn:aws:iam::*:role/ci/*",
    "arn:aws:ecr:us-*:*:repository/team-?/*", "arn:aws:ecr:us-east-?:*:repository/team-a/${aws:username}",
    "arn:aws:ecr:*:*:repository/${aws:username}/*", "arn:aws:ecr:*:*:repository/${aws:missing, 'team-a'}/*",
    "arn:aws:ecr:*:*:*/web", "arn:aws:ecr:${aws:username}:*:repository/*",
]  # fmt: skip
_NAMED: list[Any] = [
    "*",
    *({"AWS": one} for one in ["*", ACCOUNT, OTHER, NORA.arn, BUILD.arn, ROLE, FEDERATED.arn, NORA.identity_id]),
    {"AWS": [BUILD.arn, ROLE, ACCOUNT]},
    {"Federated": ISSUER},
    {"Service": "ecs.amazonaws.com"},
]
_EFFECTS = ("Allow", "Allow", "Allow", "Allow", "Deny")


class _Maker:
    """Draws the parts of policies."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def policy(self, kind: Kind, effects: tuple[str, ...]) -> Policy:
        version = (
            "2012-10-17" if kind is Kind.CONTROL else self._random.choice(["2012-10-17", "2012-10-17", "2008-10-17"])
        )
        number = self._random.randint(1, 4)
        return policy(*(self.statement(kind, effects) for _ in range(number)), kind=kind, version=version, name="drawn")

    def statement(self, kind: Kind, effects: tuple[str, ...] = _EFFECTS) -> dict[str, Any]:
        one = self._random.choice
        effect = one(effects)
        action, resource = one(["Action", "Action", "NotAction"]), one(["Resource", "Resource", "NotResource"])
        made: dict[str, Any] = {"Effect": effect}
        if kind is Kind.TRUST:
            made |= {"Action": one(["sts:AssumeRole", "sts:*"]), "Principal": one(_NAMED)}
        elif kind in NAMES_PRINCIPALS:
            element = one(["Principal", "NotPrincipal"]) if effect == "Deny" else "Principal"
            made |= {
                action: one(["ecr:*", "ecr:Put*", "ECR:?utImage", "*"]),
                element: one(_NAMED),
                resource: one(_RESOURCES),
            }
        else:
            whole = [arn for arn in _RESOURCES if arn == "*" or arn.count(":") > 4]
            arns = whole if kind is Kind.SESSION else _RESOURCES
            made |= {action: self._some(_ACTIONS, 1, 2), resource: self._some(arns, 1, 3)}
        if self._random.random() < 0.5:
            made["Condition"] = {
                self._operator(): {one(_KEYS): self._some(_VALUES, 0, 3)} for _ in range(one([1, 1, 2]))
            }
        return made

    def _operator(self) -> str:
        one = self._random.choice
        name = one([name for name in OPERATORS if not name.startswith("Date")])
        if OPERATORS[name].family is Family.PRESENCE:
            return name
        return one(["", "", "ForAllValues:", "ForAnyValue:"]) + name + one(["", "", "IfExists"])

    def _some(self, among: list[str], least: int, most: int) -> list[str]:
        return self._random.choices(among, k=self._random.randint(least, most))


def statement(seed: int, kind: Kind) -> dict[str, Any]:
    return _Maker(seed).statement(kind)


@cache
def _pool(kind: Kind, effects: tuple[str, ...]) -> list[Policy]:
    maker = _Maker(list(Kind).index(kind))
    return [maker.policy(kind, effects) for _ in range(200)]


def drawn(kind: Kind, effects: tuple[str, ...] = _EFFECTS) -> st.SearchStrategy[Policy]:
    return st.deferred(lambda: st.sampled_from(_pool(kind, effects)))


def sets(kind: Kind) -> st.SearchStrategy[PolicySet]:
    return st.lists(drawn(kind), min_size=1, max_size=3).map(PolicySet)


def _maybe(strategy: st.SearchStrategy[PolicySet]) -> st.SearchStrategy[PolicySet | None]:
    return st.one_of(st.none(), strategy)


forces = st.builds(
    InForce,
    identity=_maybe(sets(Kind.IDENTITY)),
    boundary=_maybe(sets(Kind.BOUNDARY)),
    session=_maybe(sets(Kind.SESSION)),
    federated_without=st.booleans(),
    controls=st.lists(sets(Kind.CONTROL), max_size=2).map(tuple),
    repository=_maybe(sets(Kind.REPOSITORY)),
    registry=_maybe(sets(Kind.REGISTRY)),
    trust=_maybe(sets(Kind.TRUST)),
    owner=st.sampled_from(["", ACCOUNT, OTHER]),
    anonymous_resource=st.booleans(),
)
_values = st.one_of(st.sampled_from(_VALUES), st.lists(st.sampled_from(_VALUES), max_size=3).map(tuple))
contexts = st.dictionaries(st.sampled_from([key.lower() for key in _KEYS]), _values, max_size=4)
requests = st.builds(
    Request, st.sampled_from(PRINCIPALS), st.sampled_from(ACTIONS), st.sampled_from(RESOURCES), contexts
)

"""Random policies and requests over so small a vocabulary that statements often match, and often only just.

Everything comes from one `random.Random`, so a seed is a case.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

Json = dict[str, Any]

REQUESTS = 10
"""How many requests are made of each set of policies."""

_PRINCIPALS: dict[str, Json] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "policies" / "principals.json").read_text()
)
_HOME, _PARTNER = "123456789012", "210987654321"
_REGISTRY = f"arn:aws:ecr:eu-central-1:{_HOME}:repository/"
_ROLE = f"arn:aws:iam::{_HOME}:role/team-a/release"

# --- what is asked

_IMAGE_ACTIONS = ["ecr:PutImage", "ecr:BatchGetImage", "ecr:BatchDeleteImage", "ecr:GetAuthorizationToken"]
_ROLE_ACTIONS = ["sts:AssumeRole", "sts:TagSession", "sts:AssumeRoleWithWebIdentity"]
_REPOSITORIES = [
    _REGISTRY + "team-a/web",
    _REGISTRY + "team-a/api",
    _REGISTRY + "team-b/web",
    _REGISTRY + "nora/web",
    _REGISTRY + "team-*/web",
    _REGISTRY + "ab/aab/abb",
    f"arn:aws:ecr:us-east-1:{_PARTNER}:repository/team-a/web",
    "*",
]
_ROLES = [_ROLE, f"arn:aws:iam::{_HOME}:role/other", f"arn:aws:iam::{_PARTNER}:role/team-a/release"]

_VALUES: dict[str, list[str]] = {
    "aws:username": ["nora", "ben", "team-a"],
    "aws:PrincipalTag/team": ["team-a", "team-b", "Team-A", "", "*", "team.a", "team\na", "[team]", "a\\b"],
    "ecr:ResourceTag/team": ["team-a", "team-b", "Team-A", "", "t?am", "${aws:username}", "team.a", "team\na", "a$b"],
    "aws:SecureTransport": ["true", "false"],
    "aws:SourceIp": ["203.0.113.7", "203.0.113.200", "198.51.100.1", "2001:db8::7", "somewhere"],
    "aws:CurrentTime": ["2026-03-01T00:00:00Z", "2026-03-01T12:30:00Z", "2025-12-31T23:59:59Z", "1772323200"],
    "aws:MultiFactorAuthAge": ["0", "300", "300.0", "1000", "-5", "soon", "NaN", "", "1_0"],
    "aws:SourceArn": [f"arn:aws:sqs:eu-central-1:{_HOME}:builds", f"arn:aws:sqs:us-east-1:{_PARTNER}:a:b", "builds"],
    "ecr:Fingerprint": ["b3RoZXI=", "QmluYXJ5", "AAECAw=="],
}
_TAG_KEYS = ["team", "owner", "Team", "cost-center"]

# --- what is written

_ACTION_PATTERNS = {
    "images": [
        "ecr:PutImage",
        "ecr:BatchGetImage",
        "ecr:*",
        "ecr:Batch*",
        "ECR:putimage",
        "ecr:?utImage",
        "ecr:*Image",
    ],
    "roles": ["sts:AssumeRole", "sts:assumerole", "sts:*", "sts:TagSession", "sts:AssumeRole*"],
    "anything": ["*", "*", "iam:*"],
}
_RESOURCE_PATTERNS = [
    "*",
    _REGISTRY + "team-a/web",
    _REGISTRY + "team-a/*",
    _REGISTRY + "*/web",
    _REGISTRY + "team-?/web",
    _REGISTRY + "*",
    _REGISTRY + "*a*/*b",
    _REGISTRY + "${aws:username}/*",
    _REGISTRY + "${aws:PrincipalTag/team}/web",
    _REGISTRY + "${AWS:principaltag/TEAM, 'team-b'}/w*",
    _REGISTRY + "team-${*}/web",
    _REGISTRY + "${aws:TagKeys}/web",
    "arn:aws:ecr",
    "arn:aws:ecr:*",
    "arn:aws:ecr:eu-central-1:*",
    f"arn:aws:ecr:eu-*-1:{_HOME}:repository/team-a/*",
    "arn:aws:ecr:*:*:repository/team-a/???",
    f"arn:aws:ecr:*:{_PARTNER}:repository/*",
    f"arn:aws:ecr:eu*-1:12345678901?:repository/*{_HOME}*",
    "arn:aws:ecr:eu-central?1:*:*/web",
]
_ROLE_PATTERNS = [_ROLE, f"arn:aws:iam::{_HOME}:role/*", "arn:aws:iam::*:role/${aws:username}/*", "*", "arn:aws:iam"]
_TEXTS = [
    "team-a",
    "team-*",
    "T?am-a",
    "TEAM-A",
    "",
    "*",
    "nora",
    "${aws:username}",
    "${aws:PrincipalTag/team}",
    "${aws:PrincipalTag/team, 'team-a'}",
    "t${?}am",
    "team?a",
    "t*.a",
    "[team]",
    "a\\b",
    "a${$}b",
    "${aws:TagKeys}",
    "cost-*",
    "owner",
]
_ARNS = [
    "arn:aws:sqs:*:*:builds",
    f"arn:aws:sqs:eu-central-?:{_HOME}:*",
    f"arn:aws:iam::{_HOME}:user/*",
    f"arn:aws:iam::{_HOME}:role/ci/deployer",
    "arn:aws:iam::*:user/${aws:username}",
    "arn:aws:*:*:*:*a*",
]
_FAMILIES: dict[str, list[Any]] = {
    "String": _TEXTS,
    "Arn": _ARNS,
    "Numeric": ["300", "0", 300, 0.5, "1000", "-5"],
    "Date": [
        "2026",
        "2026-03-01T00:00:00Z",
        "2026-03-01",
        "2026-03",
        "2026-03-01T12:30Z",
        "2026-03-01T13:30:00+01:00",
        1772323200,
        "1772323200",
    ],
    "Bool": ["true", "false", True, False, "True"],
    "BinaryEquals": ["b3RoZXI=", "QmluYXJ5"],
    "IpAddress": ["203.0.113.0/24", "203.0.113.128/25", "198.51.100.1", "2001:DB8::/32", "0.0.0.0/0"],
    "Null": ["true", "false", True],
}
_COMPARISONS = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
_OPERATORS: dict[str, str] = {
    **{f"String{it}": "String" for it in ("Equals", "NotEquals", "Like", "NotLike")},
    **{f"String{it}IgnoreCase": "String" for it in ("Equals", "NotEquals")},
    **{f"Arn{it}": "Arn" for it in ("Equals", "NotEquals", "Like", "NotLike")},
    **{f"{family}{it}": family for family in ("Numeric", "Date") for it in _COMPARISONS},
    "Bool": "Bool",
    "BinaryEquals": "BinaryEquals",
    "IpAddress": "IpAddress",
    "NotIpAddress": "IpAddress",
    "Null": "Null",
}
_KEYS: dict[str, list[str]] = {
    "String": ["aws:username", "aws:PrincipalTag/team", "ecr:ResourceTag/Team", "aws:TagKeys", "AWS:TAGKEYS"],
    "Arn": ["aws:PrincipalArn", "aws:SourceArn"],
    "Numeric": ["aws:MultiFactorAuthAge"],
    "Date": ["aws:CurrentTime"],
    "Bool": ["aws:SecureTransport"],
    "BinaryEquals": ["ecr:Fingerprint"],
    "IpAddress": ["aws:SourceIp"],
}
_ANY_KEY = sorted({key for keys in _KEYS.values() for key in keys})


def cases(seed: int, count: int) -> Iterator[tuple[Json, list[Json]]]:
    """`count` requests, as (policies, requests) with several requests of each; policies and requests together are a
    case as `evaluator` describes it. `owner`, which belongs to a request's resource, is in the request."""
    random = Random(seed)
    for _ in range(0, count, REQUESTS):
        topic = random.choice(["images", "images", "images", "roles"])
        principal = random.choice([it for it in _PRINCIPALS.values() if topic == "roles" or "provider" not in it])
        requests = [_request(random, topic, principal) for _ in range(REQUESTS)]
        yield _policies(random, topic, principal), requests


def _request(random: Random, topic: str, principal: Json) -> Json:
    resource = random.choice(_REPOSITORIES if topic == "images" else _ROLES)
    owner = "" if resource == "*" else resource.split(":")[4]
    return {
        "principal": principal,
        "action": random.choice(_IMAGE_ACTIONS if topic == "images" else _ROLE_ACTIONS),
        "resource": resource,
        "context": _context(random, principal),
        "owner": owner,
    }


def _context(random: Random, principal: Json) -> Json:
    context: Json = {key.lower(): random.choice(values) for key, values in _VALUES.items() if random.random() < 0.6}
    if principal["kind"] != "Anonymous":
        context["aws:principalarn"] = principal["identity_arn"]
    if random.random() < 0.6:
        context["aws:tagkeys"] = random.sample(_TAG_KEYS, random.randrange(3))
    return context


def _policies(random: Random, topic: str, principal: Json) -> Json:
    kind = principal["kind"]
    policies: Json = {}
    if kind not in {"Account", "Anonymous"}:
        policies["identity"] = _documents(random, topic, random.choice([0, 1, 1, 2, 3]))
        if random.random() < 0.3:
            policies["boundary"] = _documents(random, topic, 1)
    if kind == "FederatedUser" and random.random() < 0.2:
        policies["identity"] = None  # the root user's
        policies.pop("boundary", None)
    if kind in {"AssumedRole", "FederatedUser"} and random.random() < 0.5:
        policies["session"] = _documents(random, topic, random.choice([1, 1, 2]), whole=True)
    elif kind == "FederatedUser":
        policies["federated_without"] = True
    if kind != "Anonymous" and random.random() < 0.25:
        policies["controls"] = [
            [document | {"Version": "2012-10-17"} for document in _documents(random, topic, random.choice([1, 2]))]
            for _ in range(random.choice([1, 2]))
        ]
    if topic == "images":
        for name, odds in (("repository", 0.6), ("registry", 0.2)):
            if random.random() < odds:
                policies[name] = [_resource_based(random, topic, name)]
    else:
        policies["trust"] = [_resource_based(random, topic, "trust")]
    policies["anonymous_resource"] = random.random() < 0.5
    return policies


def _documents(random: Random, topic: str, count: int, *, whole: bool = False) -> list[Json]:
    """`whole`: without incomplete ARNs, which session policies do not know."""
    return [
        _document(
            random,
            [_statement(random, topic) | _resource(random, topic, whole=whole) for _ in range(_length(random))],
        )
        for _ in range(count)
    ]


def _resource_based(random: Random, topic: str, name: str) -> Json:
    statements = []
    for _ in range(_length(random)):
        statement = _statement(random, topic, only=True) | {"Principal": _principal(random)}
        if name == "registry":
            statement |= _resource(random, topic, whole=True)
        if name != "trust" and statement["Effect"] == "Deny" and random.random() < 0.3:
            statement["NotPrincipal"] = {"AWS": random.sample(_NAMES, random.randrange(1, 5))}
            del statement["Principal"]
        statements.append(statement)
    return _document(random, statements)


def _length(random: Random) -> int:
    """How many statements a document has: a few, now and then many."""
    return random.randrange(20, 60) if random.random() < 0.01 else random.choice([1, 1, 2, 3])


def _document(random: Random, statements: list[Json]) -> Json:
    version = random.choice(["2012-10-17"] * 8 + ["2008-10-17", None])
    return ({"Version": version} if version else {}) | {
        "Statement": statements if len(statements) > 1 else statements[0]
    }


def _statement(random: Random, topic: str, *, only: bool = False) -> Json:
    """Without its resource and principal. `only`: with the actions of the topic alone."""
    patterns = _ACTION_PATTERNS[topic] if only or random.random() < 0.8 else _ACTION_PATTERNS["anything"]
    if random.random() < 0.2 and (topic == "images" or not only):  # a trust policy's actions must be known
        patterns = [_blurred(random, it, 4) for it in (_IMAGE_ACTIONS if topic == "images" else _ROLE_ACTIONS)]
    statement: Json = {"Effect": "Deny" if random.random() < 0.12 else "Allow"}
    element = "Action" if only or random.random() < 0.9 else "NotAction"
    statement[element] = _one_or_several(random, patterns)
    if random.random() < 0.35:
        statement["Condition"] = _condition(random)
    return statement


def _resource(random: Random, topic: str, *, whole: bool) -> Json:
    if random.random() < 0.4:
        return {"Resource": "*"}
    patterns = _RESOURCE_PATTERNS if topic == "images" else _ROLE_PATTERNS
    if whole:
        patterns = [it for it in patterns if it == "*" or it.count(":") >= 5]
    if topic == "images" and random.random() < 0.4:
        patterns = [_blurred(random, it, len("arn:aws:ecr:")) for it in _REPOSITORIES if it != "*"]
    return {"Resource" if random.random() < 0.85 else "NotResource": _one_or_several(random, patterns)}


def _condition(random: Random) -> Json:
    condition: Json = {}
    for _ in range(random.choice([1, 1, 2])):
        operator = random.choice(list(_OPERATORS))
        family = _OPERATORS[operator]
        key = random.choice(_KEYS[family] if family in _KEYS and random.random() < 0.85 else _ANY_KEY)
        if operator != "Null":
            operator += "IfExists" if random.random() < 0.2 else ""
            if random.random() < (0.6 if key.lower() == "aws:tagkeys" else 0.1):
                operator = random.choice(["ForAllValues:", "ForAnyValue:"]) + operator
        values = _FAMILIES[family]
        if family == "String" and random.random() < 0.3:
            values = [_blurred(random, it, 0) for it in ("team-a", "team.a", "team\na", "cost-center", "nora")]
        condition.setdefault(operator, {})[key] = _one_or_several(random, values)
    return condition


def _blurred(random: Random, text: str, start: int) -> str:
    """The text with wildcards for some of what follows `start`. All colons of an ARN stay: one that lost some would be
    an incomplete ARN, and a pattern that nobody writes."""
    for _ in range(random.randrange(4)):
        place = random.randrange(start, len(text) + 1)
        if random.random() < 0.5:
            end = place + random.randrange(6)
            if ":" not in text[place:end]:
                text = text[:place] + "*" + text[end:]
        elif text[place : place + 1] not in {"", ":"}:
            text = text[:place] + "?" + text[place + 1 :]
    return text


_PROVIDERS = [it["provider"] for it in _PRINCIPALS.values() if "provider" in it]
_NAMES = sorted(
    {"*", _HOME, _PARTNER, f"arn:aws:iam::{_HOME}:root"}
    | {
        it[name]
        for it in _PRINCIPALS.values()
        for name in ("arn", "identity_arn", "identity_id")
        if it["kind"] != "Anonymous"
    }
)


def _principal(random: Random) -> Any:
    if random.random() < 0.25:
        return random.choice(["*", {"AWS": "*"}, {"Service": "codebuild.amazonaws.com"}, {"Federated": _PROVIDERS[0]}])
    return {"AWS": _one_or_several(random, [name for name in _NAMES if name != "*"])}


def _one_or_several(random: Random, values: list[Any]) -> Any:
    if random.random() < 0.6:
        return random.choice(values)
    return random.sample(values, min(len(values), random.choice([1, 2, 3])))

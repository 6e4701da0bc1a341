"""Each rule: a document that it is about, and one beside it that it is not about."""

import re
from pathlib import Path

import pytest

from auth.lint.rules import RULES
from auth.policy.document import Kind
from tests.unit.auth.lint.documents import (
    PROVIDER,
    REGISTRY,
    REPOSITORY,
    ROLE,
    deny,
    linted,
    of_resource,
    rules_of,
    statement,
    trust,
    written,
)

GITHUB = "token.actions.githubusercontent.com"
PUSH = [
    "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload",
    "ecr:PutImage",
]  # fmt: skip
TAGGED = {"StringEquals": {"aws:ResourceTag/team": "a"}}


def when(operator: str, key: str, *values: object) -> dict:
    return {operator: {key: list(values)}}


WEB = "sts:AssumeRoleWithWebIdentity"


def both(*conditions: dict) -> dict:
    joined: dict = {}
    for condition in conditions:
        for operator, keys in condition.items():
            joined.setdefault(operator, {}).update(keys)
    return joined


def one(condition: dict, action: object = "ecr:ListImages") -> str:
    return written(statement(action, when=condition))


ID, B, S, R, T = Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION, Kind.REPOSITORY, Kind.TRUST
ALICE = "arn:aws:iam::123456789012:user/alice"
ANYONE_OF_A_NAME = when("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/ci")

CASES = [
    # rule, kind, a document that it is about, one that it is not about
    ("malformed", ID, '{"Version": "2012-10-17", "Statement": [', written(statement())),
    ("malformed", ID, written({"Effect": "Allow", "Action": "ecr:ListImages"}), written(statement())),
    ("malformed", R, written(statement()), written(of_resource({"AWS": ALICE}))),
    ("too-long", S, written(*[statement(resource=f"{REPOSITORY}{n}") for n in range(30)]), written(statement())),
    ("too-long", T, written(trust({"AWS": [f"{ROLE}{n}" for n in range(60)]})), written(trust({"AWS": ROLE}))),
    (
        "duplicate-sid",
        R,
        written(of_resource({"AWS": ALICE}, Sid="A"), of_resource({"AWS": ROLE}, Sid="A")),
        written(of_resource({"AWS": ALICE}, Sid="A"), of_resource({"AWS": ROLE}, Sid="B")),
    ),
    ("missing-version", ID, written(statement(), version=None), written(statement())),
    ("old-version", ID, written(statement(), version="2008-10-17"), written(statement())),
    ("old-version", ID, written(statement(), version="2008-10-17"), written(statement(), version=None)),
    ("allows-nothing", B, written(deny()), written(deny(), statement("*", "*"))),
    ("allows-nothing", S, written(deny()), written(statement())),
    ("allows-nothing", T, written(trust("*", Effect="Deny")), written(trust({"AWS": ROLE}))),
    ("locks-everyone-out", R, written(of_resource("*", "ecr:*", Effect="Deny")), written(of_resource("*", Effect="Deny"))),
    ("locks-everyone-out", ID, written(deny("*", "*")), written(deny("*", "*", when=TAGGED))),
    (
        "removable-boundary",
        B,
        written(statement("*", "*")),
        written(statement("*", "*"), deny("iam:*PermissionsBoundary", "*")),
    ),
    ("removable-boundary", B, written(statement("iam:*", "*")), written(statement("ecr:*", "*"))),
    # actions
    ("unknown-action", ID, written(statement("ecr:PutImages")), written(statement("ecr:PutImage"))),
    ("unknown-action", ID, written(statement("ecr:Push*")), written(statement("ecr:Put*"))),
    ("unknown-action", ID, written(statement("*:Shove*", "*")), written(statement("*:Put*", "*"))),
    ("unknown-action", ID, written(statement(None, NotAction="iam:Nothing")), written(statement(None, NotAction="iam:*"))),
    ("unknown-service", ID, written(statement("ecrs:PutImage", "*")), written(statement("s3:PutObject", "*"))),
    ("foreign-service", ID, written(statement("s3:GetObject", "*")), written(statement("ecr:ListImages", "*"))),
    ("foreign-service", ID, written(statement("ecr-public:GetAuthorizationToken", "*")), written(statement())),
    ("action-case", ID, written(statement("ecr:listimages")), written(statement("ecr:ListImages"))),
    (
        "redundant-action",
        ID,
        written(statement(["ecr:ListImages", "ecr:List*"])),
        written(statement(["ecr:ListImages", "ecr:Batch*"])),
    ),
    ("redundant-action", ID, written(statement(["ecr:ListImages", "ecr:LISTIMAGES"])), written(statement())),
    ("every-action", ID, written(statement("*", "*")), written(statement("ecr:*", "*"))),
    ("every-action", ID, written(statement("*:*", REPOSITORY)), written(deny("*", "*"))),
    ("every-action", ID, written(statement("*", "*")), written(statement("ecr:Get*", "*"))),
    ("far-reaching-action", ID, written(statement("ecr:*Image*")), written(statement("ecr:Get*"))),
    ("far-reaching-action", ID, written(statement("ecr:Set*")), written(statement("ecr:Batch*"))),
    ("far-reaching-action", ID, written(statement("ecr:*")), written(deny("ecr:*"))),
    ("allow-not-action", ID, written(statement(None, NotAction="iam:*")), written(deny(None, NotAction="iam:*"))),
    (
        "escalation",
        ID,
        written(statement("iam:AttachUserPolicy", "*")),
        written(statement("iam:AttachUserPolicy", "arn:aws:iam::123456789012:user/ci/*")),
    ),
    (
        "escalation",
        ID,
        written(statement("iam:Put*", "arn:aws:iam::123456789012:user/*")),
        written(statement("iam:PutUserPolicy", "*", when=when("ArnEquals", "iam:PermissionsBoundary", f"{ROLE}s"))),
    ),
    ("pass-any-role", ID, written(statement("iam:PassRole", "*")), written(statement("iam:PassRole", ROLE))),
    (
        "pass-any-role",
        ID,
        written(statement("iam:*", "*")),
        written(statement("iam:PassRole", "*", when=when("StringEquals", "iam:PassedToService", "ecs.amazonaws.com"))),
    ),
    ("assume-any-role", ID, written(statement("sts:*", "*")), written(statement("sts:AssumeRole", ROLE))),
    # resources
    (
        "unfit-resource",
        ID,
        written(statement(resource=[REPOSITORY, "arn:aws:s3:::bucket"])),
        written(statement(resource=[REPOSITORY, f"{REGISTRY}:repository/*"])),
    ),
    (
        "unfit-resource",
        ID,
        written(statement(resource=[REPOSITORY, f"{REGISTRY}:team-a/app"])),
        written(statement("*", [REPOSITORY, "arn:aws:s3:::bucket"])),
    ),
    (
        "action-without-resource",
        ID,
        written(statement("ecr:GetAuthorizationToken", f"{REGISTRY}:repository/*")),
        written(statement("ecr:GetAuthorizationToken", "*")),
    ),
    ("action-without-resource", ID, written(statement(["ecr:ListImages", "iam:GetUser"])), written(statement())),
    ("action-without-resource", ID, written(deny("iam:DeleteUser", ROLE)), written(deny("iam:DeleteRole", ROLE))),
    (
        "impossible-resource",
        ID,
        written(statement(resource="arn:aws:ecr:us-east-1:1234:repository/app")),
        written(statement(resource="arn:aws:ecr:us-east-1:123456789012:repository/app")),
    ),
    (
        "impossible-resource",
        ID,
        written(statement(resource="arn:aws:ecr::123456789012:repository/app")),
        written(statement(resource="arn:aws:ecr:*:123456789012:repository/app")),
    ),
    ("impossible-resource", ID, written(statement(resource=f"{REGISTRY}:repository/App")), written(statement())),
    ("impossible-resource", ID, written(statement(resource=f"{REPOSITORY}:latest")), written(statement())),
    ("impossible-resource", ID, written(statement(resource=f"{REGISTRY}:repository/a//b")), written(statement())),
    ("impossible-resource", ID, written(statement(resource=f"{REGISTRY}:repository:app")), written(statement())),
    ("left-out-by-resource", ID, written(statement("ecr:*")), written(statement("ecr:*", "*"))),
    ("left-out-by-resource", ID, written(statement("ecr:Get*")), written(statement("ecr:Batch*"))),
    ("every-resource", ID, written(statement("ecr:PutImage", "*")), written(statement("ecr:ListImages", "*"))),
    ("every-resource", ID, written(statement(PUSH, "*")), written(statement(PUSH, "*", when=TAGGED))),
    (
        "every-account",
        ID,
        written(statement(resource="arn:aws:ecr:us-east-1:*:repository/app")),
        written(deny(resource="arn:aws:ecr:us-east-1:*:repository/app")),
    ),
    ("short-arn", ID, written(statement(resource="arn:aws:ecr:*")), written(statement(resource="arn:aws:ecr:*:*:*"))),
    (
        "matches-siblings",
        ID,
        written(statement(resource=f"{REGISTRY}:repository/team*")),
        written(statement(resource=f"{REGISTRY}:repository/team/*")),
    ),
    (
        "matches-siblings",
        ID,
        written(statement(resource=f"{REGISTRY}:repository/team*")),
        written(statement(resource=f"{REGISTRY}:repository/team-*")),
    ),
    (
        "star-crosses-slash",
        ID,
        written(statement(resource=f"{REGISTRY}:repository/*/app")),
        written(statement(resource=f"{REGISTRY}:repository/app/*")),
    ),
    (
        "other-partition",
        ID,
        written(statement(resource=REPOSITORY.replace("arn:aws:", "arn:aws-cn:"))),
        written(statement(resource=REPOSITORY.replace("arn:aws:", "arn:*:"))),
    ),
    ("action-without-resource", R, written(of_resource({"AWS": ROLE}, "ecr:GetAuthorizationToken")), written(of_resource("*"))),
    (
        "redundant-resource",
        ID,
        written(statement(resource=[REPOSITORY, f"{REGISTRY}:repository/team-a/*"])),
        written(statement(resource=[REPOSITORY, f"{REGISTRY}:repository/team-b/*"])),
    ),
    (
        "allow-not-resource",
        ID,
        written(statement(resource=None, NotResource=REPOSITORY)),
        written(deny(resource=None, NotResource=REPOSITORY)),
    ),
    # conditions
    ("unknown-key", ID, one(when("StringEquals", "aws:SourceIP4", "a")), one(when("IpAddress", "AWS:sourceip", "10.1.2.3"))),
    ("unknown-key", ID, one(when("StringEquals", "ecr:Repository", "a")), one(when("StringEquals", "ecr:ResourceTag/t", "a"))),
    ("unknown-key", ID, one(when("StringEquals", "aws:ResourceTag", "a")), one(TAGGED)),
    ("unknown-key", ID, one(when("StringEquals", "SourceIp", "a")), one(when("StringEquals", "s3:prefix", "a"))),
    ("unknown-key", ID, one(when("StringEquals", "foo:bar", "a")), one(when("StringEquals", f"{GITHUB}:sub", "a"))),
    (
        "unknown-key",
        ID,
        written(statement(resource=f"{REGISTRY}:repository/${{aws:user}}/app")),
        written(statement(resource=f"{REGISTRY}:repository/${{aws:username}}/app")),
    ),
    ("unfit-key", ID, one(when("StringEquals", "aws:RequestTag/team", "a")), one(TAGGED)),
    (
        "unfit-key",
        ID,
        written(statement("ecr:GetAuthorizationToken", "*", when=TAGGED)),
        written(statement(["ecr:GetAuthorizationToken", "ecr:ListImages"], "*", when=TAGGED)),
    ),
    (
        "partly-unfit-key",
        ID,
        one(when("StringEquals", "aws:RequestTag/team", "a"), ["ecr:PutImage", "ecr:CreateRepository"]),
        one(when("StringEqualsIfExists", "aws:RequestTag/team", "a"), ["ecr:PutImage", "ecr:CreateRepository"]),
    ),
    (
        "partly-unfit-key",
        T,
        written(trust({"AWS": ROLE}, ["sts:AssumeRole", WEB], when=when("StringEquals", "sts:ExternalId", "x"))),
        written(trust({"AWS": ROLE}, ["sts:AssumeRole", "sts:TagSession"], when=when("StringEquals", "sts:ExternalId", "x"))),
    ),
    ("absent-key", ID, one(when("StringEquals", "aws:SourceVpc", "vpc-1")), one(when("StringEquals", "aws:userid", "AIDA1"))),
    ("unfit-operator", ID, one(when("StringEquals", "aws:SourceIp", "10.1.2.3")), one(when("IpAddress", "aws:SourceIp", "::1"))),
    ("unfit-operator", ID, one(when("NumericEquals", "aws:PrincipalTag/n", 3)), one(when("StringEquals", "aws:PrincipalTag/n", 3))),
    (
        "unfit-operator",
        ID,
        one(when("NumericLessThan", "aws:CurrentTime", 4e9)),
        one(when("NumericLessThan", "aws:EpochTime", 4e9)),
    ),
    (
        "unfit-operator",
        ID,
        one(when("StringLike", "aws:CurrentTime", "2026*")),
        one(when("DateLessThan", "aws:CurrentTime", "2099-01-01T00:00:00Z")),
    ),
    ("unfit-value", ID, one(when("IpAddress", "aws:SourceIp", "10.0.0.0/33")), one(when("IpAddress", "aws:SourceIp", "::/8"))),
    ("unfit-value", ID, one(when("Bool", "aws:SecureTransport", "yes")), one(when("Bool", "aws:SecureTransport", "TRUE"))),
    ("unfit-value", ID, one(when("Null", "aws:SourceIp", "no")), one(when("Null", "aws:SourceIp", "false"))),
    ("unfit-value", ID, one(when("NumericLessThan", "aws:EpochTime", "soon")), one(when("NumericLessThan", "aws:EpochTime", 4e9))),
    ("unfit-value", ID, one(when("ArnLike", "aws:PrincipalArn", "ci")), one(when("ArnLike", "aws:PrincipalArn", ROLE))),
    (
        "impossible-value",
        ID,
        one(when("ArnEquals", "aws:PrincipalArn", "arn:aws:sts::123456789012:assumed-role/ci/build")),
        one(when("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::*:role/ci")),
    ),
    (
        "impossible-value",
        ID,
        written(deny(when=when("ArnNotLike", "aws:PrincipalArn", "arn:aws:sts::*:assumed-role/admin/*"))),
        written(deny(when=when("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:role/aws-reserved/*/admin_*"))),
    ),
    (
        "impossible-value",
        ID,
        one(when("StringLike", "aws:PrincipalArn", "arn:aws:iam::123456789012:group/*")),
        one(when("StringLike", "aws:PrincipalArn", "*:role/ci")),
    ),
    (
        "impossible-value",
        ID,
        one(when("StringEquals", "aws:userid", "AROA5ZCAAAAAAAAAAAAAA")),
        one(when("StringLike", "aws:userid", "AROA5ZCAAAAAAAAAAAAAA:*")),
    ),
    (
        "impossible-value",
        ID,
        one(when("StringEquals", "aws:PrincipalAccount", "12345")),
        one(when("StringEquals", "aws:PrincipalAccount", "123456789012")),
    ),
    (
        "impossible-value",
        ID,
        one(when("StringEquals", "aws:PrincipalType", "Role")),
        one(when("StringEquals", "aws:PrincipalType", "AssumedRole")),
    ),
    (
        "wildcard-in-equals",
        ID,
        one(when("StringEquals", "aws:PrincipalTag/team", "blue-*")),
        one(when("StringLike", "aws:PrincipalTag/team", "blue-*")),
    ),
    (
        "wildcard-in-equals",
        ID,
        one(when("StringNotEquals", "aws:username", "ci-?")),
        one(when("StringNotEquals", "aws:username", "ci-${*}")),
    ),
    ("every-address", ID, one(when("IpAddress", "aws:SourceIp", "0.0.0.0/0")), one(when("IpAddress", "aws:SourceIp", "0.0.0.0/1"))),
    (
        "set-operator-on-single",
        ID,
        one(when("ForAnyValue:StringEquals", "aws:username", "ci")),
        one(when("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-1/r-1/*")),
    ),
    (
        "several-without-set-operator",
        ID,
        one(when("StringEquals", "aws:TagKeys", "team"), "ecr:CreateRepository"),
        one(when("ForAnyValue:StringEquals", "aws:TagKeys", "team"), "ecr:CreateRepository"),
    ),
    (
        "all-of-none",
        ID,
        one(when("ForAllValues:StringEquals", "aws:TagKeys", "team"), "ecr:CreateRepository"),
        one(
            both(when("ForAllValues:StringEquals", "aws:TagKeys", "team"), when("Null", "aws:TagKeys", False)),
            "ecr:CreateRepository",
        ),
    ),
    (
        "absence-allows",
        ID,
        one(when("StringEqualsIfExists", "aws:ResourceTag/team", "a")),
        written(deny(when=when("StringEqualsIfExists", "aws:ResourceTag/team", "a"))),
    ),
    (
        "absence-escapes",
        ID,
        written(deny(when=when("Bool", "aws:MultiFactorAuthPresent", False))),
        written(deny(when=when("BoolIfExists", "aws:MultiFactorAuthPresent", False))),
    ),
    (
        "negation-allows",
        ID,
        one(when("StringNotEquals", "aws:ResourceTag/stage", "production")),
        written(deny(when=when("StringNotEquals", "aws:ResourceTag/stage", "production"))),
    ),
    (
        "negations-together",
        ID,
        written(deny(when=both(when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"), when("StringNotEquals", "aws:userid", "a")))),
        written(deny(when=both(when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"), when("StringEquals", "aws:userid", "a")))),
    ),
    (
        "if-exists-without-effect",
        ID,
        one(when("BoolIfExists", "aws:SecureTransport", True)),
        one(when("Bool", "aws:SecureTransport", True)),
    ),
    (
        "if-exists-without-effect",
        ID,
        written(deny(when=when("StringNotEqualsIfExists", "aws:username", "ci"))),
        written(deny(when=when("StringNotEquals", "aws:username", "ci"))),
    ),
    (
        "contradiction",
        ID,
        one(both(when("StringEquals", "aws:username", "alice"), when("StringLike", "aws:username", "b*"))),
        one(both(when("StringEquals", "aws:username", "alice"), when("StringLike", "aws:username", "a*"))),
    ),
    (
        "contradiction",
        ID,
        one(both(when("StringEquals", "aws:username", "alice"), when("StringNotLike", "aws:username", "a*"))),
        one(both(when("StringEquals", "aws:username", "alice", "bob"), when("StringNotLike", "aws:username", "a*"))),
    ),
    (
        "contradiction",
        ID,
        one(both(when("Null", "aws:username", True), when("StringEquals", "aws:username", "alice"))),
        one(both(when("Null", "aws:username", False), when("StringEquals", "aws:username", "alice"))),
    ),
    (
        "contradiction",
        ID,
        one(both(when("DateGreaterThan", "aws:CurrentTime", "2031-01-01"), when("DateLessThan", "aws:CurrentTime", "2030-01-01"))),
        one(both(when("DateGreaterThan", "aws:CurrentTime", "2020-01-01"), when("DateLessThan", "aws:CurrentTime", "2030-01-01"))),
    ),
    (
        "contradiction",
        ID,
        one(both(when("IpAddress", "aws:SourceIp", "10.1.0.0/16"), when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"))),
        one(both(when("IpAddress", "aws:SourceIp", "10.0.0.0/8"), when("NotIpAddress", "aws:SourceIp", "10.1.0.0/16"))),
    ),
    ("contradiction", ID, one(when("StringEquals", "aws:username")), one(when("StringNotEquals", "aws:username"))),
    (
        "contradiction",
        ID,
        one({"Bool": {"aws:SecureTransport": "true"}, "BoolIfExists": {"aws:SecureTransport": "false"}}),
        one({"Bool": {"aws:SecureTransport": "true"}, "BoolIfExists": {"aws:SecureTransport": "true"}}),
    ),
    (
        "expired",
        ID,
        one(when("DateLessThan", "aws:CurrentTime", "2020-01-01T00:00:00Z")),
        one(when("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z")),
    ),
    ("empty-condition", ID, one({}), one(TAGGED)),
    ("empty-condition", ID, one({"StringEquals": {}}), one(TAGGED)),
    (
        "name-in-any-account",
        R,
        written(of_resource("*", when=ANYONE_OF_A_NAME)),
        written(of_resource("*", when=both(ANYONE_OF_A_NAME, when("StringEquals", "aws:PrincipalOrgID", "o-1")))),
    ),
    # variables
    (
        "variable-in-old-version",
        ID,
        written(statement(resource=f"{REGISTRY}:repository/${{aws:username}}/*"), version="2008-10-17"),
        written(statement(resource=f"{REGISTRY}:repository/${{aws:username}}/*")),
    ),
    (
        "malformed-variable",
        ID,
        written(statement(resource=f"{REGISTRY}:repository/${{aws:username/*")),
        written(statement(resource=f"{REGISTRY}:repository/${{aws:username}}/*")),
    ),
    (
        "misplaced-variable",
        ID,
        written(statement(resource="arn:aws:ecr:us-east-1:${aws:PrincipalAccount}:repository/app")),
        written(statement(resource=f"{REGISTRY}:repository/${{aws:PrincipalAccount}}")),
    ),
    (
        "misplaced-variable",
        ID,
        one(when("NumericLessThan", "aws:EpochTime", "${aws:EpochTime}")),
        one(when("StringLike", "aws:username", "${aws:PrincipalTag/name}")),
    ),
    (
        "variable-of-several",
        ID,
        one(when("StringEquals", "aws:username", "${aws:TagKeys}")),
        one(when("StringEquals", "aws:username", "${aws:SourceIdentity}")),
    ),
    # principals
    ("everyone", R, written(of_resource("*")), written(of_resource({"AWS": ALICE}))),
    (
        "everyone",
        R,
        written(of_resource({"AWS": "*"}, when=when("Bool", "aws:SecureTransport", True))),
        written(of_resource("*", when=when("StringEquals", "aws:PrincipalOrgID", "o-1"))),
    ),
    ("everyone", T, written(trust("*")), written(trust("*", Effect="Deny"), trust({"AWS": ROLE}))),
    ("whole-account", R, written(of_resource({"AWS": "123456789012"})), written(of_resource({"AWS": ALICE}))),
    (
        "not-principal",
        R,
        written(of_resource(None, Effect="Deny", NotPrincipal={"AWS": ALICE})),
        written(of_resource("*", Effect="Deny", when=when("ArnNotEquals", "aws:PrincipalArn", ALICE))),
    ),
    ("unfit-principal", T, written(trust({"Federated": PROVIDER})), written(trust({"AWS": ROLE}))),
    (
        "unfit-principal",
        T,
        written(trust({"Service": "ecs-tasks.amazonaws.com"}, "sts:AssumeRoleWithWebIdentity")),
        written(trust({"Service": "ecs-tasks.amazonaws.com"}, ["sts:AssumeRole", "sts:TagSession"])),
    ),
    ("unfit-principal", R, written(of_resource({"Federated": PROVIDER})), written(of_resource({"AWS": ROLE}))),
    (
        "any-subject",
        T,
        written(trust({"Federated": PROVIDER}, WEB, when=when("StringEquals", f"{GITHUB}:aud", "a"))),
        written(trust({"Federated": PROVIDER}, WEB, when=when("StringEquals", f"{GITHUB}:sub", "a"))),
    ),
    (
        "any-subject",
        T,
        written(trust({"Federated": PROVIDER}, WEB, when=when("StringLike", f"{GITHUB}:sub", "repo:*"))),
        written(
            trust({"Federated": PROVIDER}, WEB, when=when("StringLike", f"{GITHUB}:sub", "repo:team/*"))
        ),
    ),
    # between statements
    ("duplicate-statement", ID, written(statement(Sid="A"), statement(Sid="B")), written(statement(), deny())),
    (
        "shadowed",
        ID,
        written(statement(), statement("ecr:List*", f"{REGISTRY}:repository/team-a/*")),
        written(statement(), statement("ecr:Get*", f"{REGISTRY}:repository/team-a/*")),
    ),
    ("shadowed", ID, written(statement(when=TAGGED), statement()), written(statement(when=TAGGED), deny())),
    (
        "shadowed",
        ID,
        written(statement(["ecr:ListImages", "ecr:PutImage"]), statement("ecr:List*", "*"), statement("ecr:Put*", "*")),
        written(statement(["ecr:ListImages", "ecr:PutImage"]), statement("ecr:List*", "*"), deny("ecr:Put*", "arn:aws:ecr:*:*:a")),
    ),
    (
        "shadowed",
        R,
        written(of_resource({"AWS": ALICE}), of_resource({"AWS": [ALICE, ROLE]})),
        written(of_resource({"AWS": ALICE}), of_resource({"AWS": [f"{ALICE}2", ROLE]})),
    ),
    (
        "partly-shadowed",
        ID,
        written(statement(["ecr:ListImages", "ecr:PutImage"]), statement("ecr:List*", "*")),
        written(statement(["ecr:ListImages", "ecr:PutImage"]), statement("ecr:List*", f"{REPOSITORY}/x")),
    ),
    ("denied", ID, written(statement(), deny("ecr:*", "*")), written(statement(), deny("ecr:*", "*", when=TAGGED))),
    (
        "denied",
        ID,
        written(statement(), deny(None, "*", NotAction="iam:*")),
        written(statement(), deny(None, "*", NotAction="ecr:*")),
    ),
    (
        "denied",
        ID,
        written(statement(when=TAGGED), deny("*", None, NotResource=f"{REGISTRY}:repository/team-b/*")),
        written(statement(when=TAGGED), deny("*", None, NotResource=f"{REGISTRY}:repository/team-a/*")),
    ),
    (
        "partly-denied",
        ID,
        written(statement(["ecr:ListImages", "ecr:PutImage"]), deny("ecr:PutImage", "*")),
        written(statement(["ecr:ListImages", "ecr:PutImage"]), deny("ecr:PutImage", f"{REPOSITORY}/x")),
    ),
    (
        "retagging",
        ID,
        written(statement("ecr:PutImage", "*", when=TAGGED), statement("ecr:TagResource", "*")),
        written(statement("ecr:PutImage", "*", when=TAGGED), statement("ecr:TagResource", "*", when=TAGGED)),
    ),
    (
        "retagging",
        ID,
        written(statement("ecr:PutImage", "*", when=TAGGED), statement("ecr:*", REPOSITORY)),
        written(statement("ecr:PutImage", "*", when=TAGGED), statement("iam:TagUser", "*")),
    ),
    ("incomplete-push", ID, written(statement("ecr:PutImage")), written(statement(PUSH))),
    (
        "incomplete-push",
        R,
        written(of_resource({"AWS": ROLE}, PUSH[1:])),
        written(of_resource({"AWS": ROLE}, PUSH[1:]), of_resource({"AWS": ROLE}, PUSH[0])),
    ),
    (
        "incomplete-pull",
        ID,
        written(statement("ecr:BatchGetImage")),
        written(statement("ecr:BatchGetImage"), statement("ecr:GetDownloadUrlForLayer", "*")),
    ),
    (
        "no-login",
        ID,
        written(statement(PUSH)),
        written(statement(PUSH), statement("ecr:GetAuthorizationToken", "*")),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "kind", "about", "beside"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_finds_what_it_is_about_and_nothing_beside_it(rule, kind, about, beside):
    assert rule in rules_of(about, kind), [finding.message for finding in linted(about, kind).findings]
    assert rule not in rules_of(beside, kind), [finding.message for finding in linted(beside, kind).findings]


def test_every_rule_has_its_cases():
    assert {case[0] for case in CASES} | {"unfinished"} == set(RULES)


def test_the_document_lists_the_rules():
    text = (Path(__file__).parents[4] / "docs" / "policies.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| (note|warning|error) \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(rule.id, rule.level.word, rule.meaning) for rule in RULES.values()]

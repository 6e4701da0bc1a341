"""What is asked for, as people write it."""

import pytest

from auth.access import Access
from auth.rehearsal.what import WORDS, WhatUnclear, accesses, parse_actions, parse_context, parse_resource

ACCOUNT, REGION = "123456789012", "eu-central-1"
APP = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/team-a/app"


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("ecr:PutImage", ("ecr:PutImage",)),
        ("ECR:putimage", ("ecr:PutImage",)),
        ("ecr:put?mage", ("ecr:PutImage",)),
        ("s3:GetObject", ("s3:GetObject",)),
        ("push", WORDS["push"]),
        ("login", ("ecr:GetAuthorizationToken",)),
    ],
)
def test_actions_are_named(text: str, actions: tuple[str, ...]):
    assert parse_actions(text) == actions


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ecr:PutImages", "did you mean ecr:PutImage?"),
        ("putimage", "is no action"),
        ("ecr:Push*", "matches no known action"),
        ("ecrs:PutImage", "there is no action"),
        ("", "is no action"),
    ],
)
def test_an_action_that_there_is_not_is_refused(text: str, said: str):
    with pytest.raises(WhatUnclear, match=said.replace("?", r"\?")):
        parse_actions(text)


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("team-a/app", APP),
        ("repository/team-a/app", APP),
        (APP, APP),
        ("*", "*"),
        ("role/pull", f"arn:aws:iam::{ACCOUNT}:role/pull"),
        ("user/a/b", f"arn:aws:iam::{ACCOUNT}:user/a/b"),
    ],
)
def test_resources_are_named(text: str, resource: str):
    assert parse_resource(text, account=ACCOUNT, region=REGION) == resource


@pytest.mark.parametrize("text", ["Team-A", "arn:aws:ecr", "", "team-a/app:latest", "team-*"])
def test_what_is_no_resource_is_refused(text: str):
    with pytest.raises(WhatUnclear):
        parse_resource(text, account=ACCOUNT, region=REGION)


def test_an_action_that_is_about_no_resource_is_asked_about_everything():
    found = accesses(["ecr:PutImage", "ecr:GetAuthorizationToken"], [APP, f"{APP}2"])
    assert found == [
        Access("ecr:PutImage", APP),
        Access("ecr:GetAuthorizationToken", "*"),
        Access("ecr:PutImage", f"{APP}2"),
    ]


def test_a_key_has_several_values_where_it_may():
    assert parse_context("aws:TagKeys=a,b") == ("aws:TagKeys", ("a", "b"))
    assert parse_context("aws:TagKeys=a") == ("aws:TagKeys", ("a",))
    assert parse_context("aws:UserAgent=a, b") == ("aws:UserAgent", "a, b")
    assert parse_context("aws:PrincipalTag/team=a=b") == ("aws:PrincipalTag/team", "a=b")
    assert parse_context("ci.example.test:groups=a,b") == ("ci.example.test:groups", ("a", "b"))
    assert parse_context("aws:username=") == ("aws:username", "")


@pytest.mark.parametrize("text", ["aws:SourceIP4=a", "SourceIp=a", "aws:SourceIp", "ecr:Nothing=1", "=a"])
def test_a_key_that_there_is_not_is_refused(text: str):
    with pytest.raises(WhatUnclear):
        parse_context(text)

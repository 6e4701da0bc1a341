"""Users over the wire."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.live import LiveServer
from tests.wire.iam.conftest import ACCOUNT, not_there, refusal

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient


def test_a_new_user_is_shown_whole(iam: "IAMClient", name: str):
    made = iam.create_user(UserName=name, Path="/team/blue/", Tags=[{"Key": "Team", "Value": "blue"}])["User"]
    assert re.fullmatch("AIDA[A-Z2-7]{17}", made["UserId"])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/blue/{name}"
    assert (made["Path"], made["UserName"]) == ("/team/blue/", name)
    assert made["Tags"] == [{"Key": "Team", "Value": "blue"}]
    assert datetime.now(UTC) - made["CreateDate"] < timedelta(minutes=1)
    assert iam.get_user(UserName=name)["User"] == made


def test_names_are_unique_without_regard_to_case_and_keep_theirs(iam: "IAMClient", name: str):
    iam.create_user(UserName=name.title())
    assert refusal(iam.create_user, UserName=name) == (
        "EntityAlreadyExists",
        409,
        f"User with name {name} already exists.",
    )
    assert iam.get_user(UserName=name.upper())["User"]["UserName"] == name.title()


def test_without_a_name_it_is_the_caller(iam: "IAMClient", user: str, acting: Callable[..., Any]):
    root = iam.get_user()["User"]
    assert root["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert root["UserId"] == ACCOUNT
    assert "UserName" not in root
    assert acting(user, "sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{user}"


def test_a_user_that_is_not_there(iam: "IAMClient", name: str):
    for call, more in (
        (iam.get_user, {}),
        (iam.delete_user, {}),
        (iam.update_user, {"NewPath": "/x/"}),
        (iam.tag_user, {"Tags": []}),
        (iam.untag_user, {"TagKeys": ["a"]}),
        (iam.list_user_tags, {}),
        (iam.list_groups_for_user, {}),
        (iam.create_access_key, {}),
        (iam.list_access_keys, {}),
        (iam.delete_user_permissions_boundary, {}),
    ):
        assert refusal(call, UserName=name, **more) == not_there("user", name)


def test_a_listing_is_paged_by_name_below_a_path(iam: "IAMClient", name: str):
    names = [f"{name}-{letter}" for letter in ("B", "a", "D", "c")]
    for one in names:
        iam.create_user(UserName=one, Path=f"/{name}/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix=f"/{name}/", PaginationConfig={"PageSize": 3}))
    assert [len(page["Users"]) for page in pages] == [3, 1]
    assert [page["IsTruncated"] for page in pages] == [True, False]
    assert [one["UserName"] for page in pages for one in page["Users"]] == sorted(names, key=str.lower)
    assert iam.list_users(PathPrefix=f"/{name}/none/")["Users"] == []


def test_a_deleted_user_is_gone_with_its_name_free(iam: "IAMClient", user: str):
    before = iam.get_user(UserName=user)["User"]["UserId"]
    iam.delete_user(UserName=user)
    assert refusal(iam.get_user, UserName=user) == not_there("user", user)
    assert iam.create_user(UserName=user)["User"]["UserId"] != before


def test_iam_is_signed_for_whatever_region_the_client_has(server: LiveServer, user: str):
    assert server.client("iam", region="eu-central-1").get_user(UserName=user)["User"]["UserName"] == user

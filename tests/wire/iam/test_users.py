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


def test_a_user_is_renamed_with_what_it_has(iam: "IAMClient", user: str, acting: Callable[..., Any]):
    sts = acting(user, "sts")
    before = iam.get_user(UserName=user)["User"]
    iam.update_user(UserName=user, NewUserName=f"{user}-new", NewPath="/moved/")
    after = iam.get_user(UserName=f"{user}-new")["User"]
    assert (after["UserId"], after["Path"]) == (before["UserId"], "/moved/")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/moved/{user}-new"
    assert refusal(iam.get_user, UserName=user) == not_there("user", user)
    iam.update_user(UserName=f"{user}-new", NewUserName=f"{user}-NEW")
    assert iam.get_user(UserName=f"{user}-new")["User"]["UserName"] == f"{user}-NEW"
    iam.create_user(UserName=user)
    taken = ("EntityAlreadyExists", 409, f"User with name {user} already exists.")
    assert refusal(iam.update_user, UserName=f"{user}-new", NewUserName=user) == taken


def test_tags_are_put_replaced_without_regard_to_case_and_taken_away(iam: "IAMClient", user: str):
    iam.tag_user(UserName=user, Tags=[{"Key": "b", "Value": "1"}, {"Key": "A", "Value": ""}])
    iam.tag_user(UserName=user, Tags=[{"Key": "B", "Value": "2"}])
    tags = [{"Key": "A", "Value": ""}, {"Key": "B", "Value": "2"}]
    assert iam.list_user_tags(UserName=user)["Tags"] == tags
    assert iam.get_user(UserName=user)["User"]["Tags"] == tags
    page = iam.list_user_tags(UserName=user, MaxItems=1)
    assert page["Tags"] == tags[:1]
    assert iam.list_user_tags(UserName=user, Marker=page["Marker"])["Tags"] == tags[1:]
    iam.untag_user(UserName=user, TagKeys=["a", "nothing"])
    assert iam.list_user_tags(UserName=user)["Tags"] == tags[1:]
    assert "Tags" not in next(one for one in iam.list_users()["Users"] if one["UserName"] == user)


def test_tags_are_fifty_at_the_most(iam: "IAMClient", user: str):
    iam.tag_user(UserName=user, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(50)])
    full = ("LimitExceeded", 409, "The number of tags has reached the maximum limit.")
    assert refusal(iam.tag_user, UserName=user, Tags=[{"Key": "one more", "Value": ""}]) == full
    assert len(iam.list_user_tags(UserName=user)["Tags"]) == 50
    iam.tag_user(UserName=user, Tags=[{"Key": "K7", "Value": "another"}])


def test_a_key_twice_in_a_request_is_refused(iam: "IAMClient", name: str):
    tags: Any = [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]
    assert refusal(iam.create_user, UserName=name, Tags=tags) == (
        "InvalidInput",
        400,
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )
    assert refusal(iam.get_user, UserName=name) == not_there("user", name)


def test_wrong_parameters_are_refused_in_iams_words(unchecked: "IAMClient", name: str):
    for call, params, words in (
        (
            unchecked.create_user,
            {"UserName": "a/b"},
            "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the "
            "following: +=,.@_-",
        ),
        (
            unchecked.create_user,
            {"UserName": "x" * 65},
            "1 validation error detected: Value at 'userName' failed to satisfy constraint: Member must have length "
            "less than or equal to 64",
        ),
        (
            unchecked.create_user,
            {},
            "1 validation error detected: Value at 'userName' failed to satisfy constraint: Member must not be null",
        ),
        (
            unchecked.create_user,
            {"UserName": name, "Path": "team"},
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric "
            "characters and/or / characters.",
        ),
        (
            unchecked.list_users,
            {"PathPrefix": "team"},
            "The specified value for pathPrefix is invalid. It must begin with the / character and contain only "
            "alphanumeric characters and/or / characters.",
        ),
        (
            unchecked.list_users,
            {"MaxItems": 1001},
            "1 validation error detected: Value '1001' at 'maxItems' failed to satisfy constraint: Member must have "
            "value less than or equal to 1000",
        ),
        (unchecked.list_users, {"Marker": "-"}, "Invalid Marker."),
        (unchecked.list_users, {"Marker": "eAB5"}, "Invalid Marker."),
    ):
        assert refusal(call, **params) == ("ValidationError", 400, words)


def test_what_users_never_have_is_listed_as_nothing(iam: "IAMClient", user: str, name: str):
    assert iam.list_mfa_devices(UserName=user)["MFADevices"] == []
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert iam.list_ssh_public_keys(UserName=user)["SSHPublicKeys"] == []
    assert iam.list_signing_certificates(UserName=user)["Certificates"] == []
    assert iam.list_service_specific_credentials(UserName=user)["ServiceSpecificCredentials"] == []
    for call in (iam.get_login_profile, iam.delete_login_profile):
        assert refusal(call, UserName=user) == (
            "NoSuchEntity",
            404,
            f"Login Profile for User {user} cannot be found.",
        )
        assert refusal(call, UserName="nobody") == not_there("user", "nobody")


def test_an_operation_that_is_out_says_so(iam: "IAMClient", user: str):
    code, status, message = refusal(iam.create_login_profile, UserName=user, Password="a long password")
    assert (code, status) == ("InvalidAction", 400)
    assert message == "Operation CreateLoginProfile of iam is not implemented by this server."

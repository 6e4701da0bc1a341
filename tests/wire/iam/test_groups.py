"""Groups over the wire."""

import re
from typing import TYPE_CHECKING

import pytest

from tests.wire.iam.conftest import ACCOUNT, not_there, refusal

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient


@pytest.fixture
def group(iam: "IAMClient", name: str) -> str:
    """A new group's name."""
    iam.create_group(GroupName=name)
    return name


def test_a_new_group_is_shown_whole(iam: "IAMClient", name: str):
    made = iam.create_group(GroupName=name, Path="/team/")["Group"]
    assert re.fullmatch("AGPA[A-Z2-7]{17}", made["GroupId"])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/team/{name}"
    shown = iam.get_group(GroupName=name)
    assert shown["Group"] == made
    assert shown["Users"] == []
    assert made in iam.list_groups(PathPrefix="/team/")["Groups"]


def test_a_group_is_made_once(iam: "IAMClient", group: str):
    taken = ("EntityAlreadyExists", 409, f"Group with name {group.upper()} already exists.")
    assert refusal(iam.create_group, GroupName=group.upper()) == taken


def test_members_come_and_go_and_may_do_so_twice(iam: "IAMClient", group: str):
    iam.create_user(UserName=group)
    for _ in range(2):
        iam.add_user_to_group(GroupName=group, UserName=group)
        assert [one["UserName"] for one in iam.get_group(GroupName=group)["Users"]] == [group]
        assert [one["GroupName"] for one in iam.list_groups_for_user(UserName=group)["Groups"]] == [group]
    for _ in range(2):
        iam.remove_user_from_group(GroupName=group, UserName=group)
        assert iam.get_group(GroupName=group)["Users"] == []
        assert iam.list_groups_for_user(UserName=group)["Groups"] == []


def test_members_are_paged(iam: "IAMClient", group: str):
    for number in range(3):
        iam.create_user(UserName=f"{group}-{number}")
        iam.add_user_to_group(GroupName=group, UserName=f"{group}-{number}")
    pages = list(iam.get_paginator("get_group").paginate(GroupName=group, PaginationConfig={"PageSize": 2}))
    assert [[one["UserName"][-1] for one in page["Users"]] for page in pages] == [["0", "1"], ["2"]]


def test_a_user_is_in_ten_groups_at_the_most(iam: "IAMClient", name: str):
    iam.create_user(UserName=name)
    for number in range(11):
        iam.create_group(GroupName=f"{name}-{number}")
    for number in range(10):
        iam.add_user_to_group(GroupName=f"{name}-{number}", UserName=name)
    full = ("LimitExceeded", 409, "Cannot exceed quota for GroupsPerUser: 10")
    assert refusal(iam.add_user_to_group, GroupName=f"{name}-10", UserName=name) == full
    iam.add_user_to_group(GroupName=f"{name}-9", UserName=name)
    assert len(iam.list_groups_for_user(UserName=name)["Groups"]) == 10


def test_a_group_with_members_stays(iam: "IAMClient", group: str):
    iam.create_user(UserName=group)
    iam.add_user_to_group(GroupName=group, UserName=group)
    conflict = ("DeleteConflict", 409, "Cannot delete entity, must remove users from group first.")
    assert refusal(iam.delete_group, GroupName=group) == conflict
    assert refusal(iam.delete_user, UserName=group) == conflict
    iam.remove_user_from_group(GroupName=group, UserName=group)
    iam.delete_group(GroupName=group)
    assert refusal(iam.get_group, GroupName=group) == not_there("group", group)


def test_a_group_is_renamed_with_its_members(iam: "IAMClient", group: str):
    iam.create_user(UserName=group)
    iam.add_user_to_group(GroupName=group, UserName=group)
    iam.update_group(GroupName=group, NewGroupName=f"{group}-new", NewPath="/moved/")
    shown = iam.get_group(GroupName=f"{group}-new")
    assert shown["Group"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/moved/{group}-new"
    assert [one["UserName"] for one in shown["Users"]] == [group]
    iam.create_group(GroupName=group)
    taken = ("EntityAlreadyExists", 409, f"Group with name {group} already exists.")
    assert refusal(iam.update_group, GroupName=f"{group}-new", NewGroupName=group) == taken


def test_what_is_not_there_is_named(iam: "IAMClient", group: str):
    missing = f"{group}-none"
    assert refusal(iam.add_user_to_group, GroupName=missing, UserName=missing) == not_there("group", missing)
    assert refusal(iam.add_user_to_group, GroupName=group, UserName=missing) == not_there("user", missing)
    assert refusal(iam.remove_user_from_group, GroupName=group, UserName=missing) == not_there("user", missing)
    assert refusal(iam.delete_group, GroupName=missing) == not_there("group", missing)
    assert refusal(iam.update_group, GroupName=missing, NewPath="/x/") == not_there("group", missing)

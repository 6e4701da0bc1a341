"""Instance profiles over the wire."""

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.iam.conftest import ACCOUNT, not_there, refusal

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    }
)


@pytest.fixture
def profile(iam: "IAMClient", name: str) -> str:
    """The name of a new profile and of a role beside it."""
    iam.create_instance_profile(InstanceProfileName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    return name


def missing(name: str) -> tuple[str, int, str]:
    return "NoSuchEntity", 404, f"Instance Profile {name} cannot be found."


def test_a_new_profile_is_shown_whole(iam: "IAMClient", name: str):
    tags: Any = [{"Key": "a", "Value": "b"}]
    made = iam.create_instance_profile(InstanceProfileName=name, Path="/web/", Tags=tags)["InstanceProfile"]
    assert re.fullmatch("AIPA[A-Z2-7]{17}", made["InstanceProfileId"])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/web/{name}"
    assert (made["Roles"], made["Tags"]) == ([], tags)
    assert iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"] == made
    (listed,) = iam.list_instance_profiles(PathPrefix="/web/")["InstanceProfiles"]
    assert listed == {key: value for key, value in made.items() if key != "Tags"}
    assert refusal(iam.create_instance_profile, InstanceProfileName=name.upper()) == (
        "EntityAlreadyExists",
        409,
        f"Instance Profile {name.upper()} already exists.",
    )


def test_a_profile_holds_one_role(iam: "IAMClient", profile: str):
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=profile)
    shown = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]
    assert [role["RoleName"] for role in shown["Roles"]] == [profile]
    assert shown["Roles"][0]["AssumeRolePolicyDocument"] == json.loads(TRUST)
    (listed,) = iam.list_instance_profiles_for_role(RoleName=profile)["InstanceProfiles"]
    assert listed["InstanceProfileName"] == profile
    full = ("LimitExceeded", 409, "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    assert refusal(iam.add_role_to_instance_profile, InstanceProfileName=profile, RoleName=profile) == full
    conflict = ("DeleteConflict", 409, "Cannot delete entity, must remove roles from instance profile first.")
    assert refusal(iam.delete_instance_profile, InstanceProfileName=profile) == conflict
    iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=profile)
    code, status, _ = refusal(iam.remove_role_from_instance_profile, InstanceProfileName=profile, RoleName=profile)
    assert (code, status) == ("NoSuchEntity", 404)
    iam.delete_instance_profile(InstanceProfileName=profile)
    assert refusal(iam.get_instance_profile, InstanceProfileName=profile) == missing(profile)


def test_tags_of_profiles(iam: "IAMClient", profile: str):
    iam.tag_instance_profile(InstanceProfileName=profile, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_instance_profile(InstanceProfileName=profile, TagKeys=["A"])
    assert iam.list_instance_profile_tags(InstanceProfileName=profile)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_what_is_not_there_is_named(iam: "IAMClient", profile: str):
    absent = f"{profile}-none"
    for call, more in (
        (iam.get_instance_profile, {}),
        (iam.delete_instance_profile, {}),
        (iam.add_role_to_instance_profile, {"RoleName": profile}),
        (iam.remove_role_from_instance_profile, {"RoleName": profile}),
        (iam.tag_instance_profile, {"Tags": []}),
        (iam.list_instance_profile_tags, {}),
    ):
        assert refusal(call, InstanceProfileName=absent, **more) == missing(absent)
    assert refusal(iam.add_role_to_instance_profile, InstanceProfileName=profile, RoleName=absent) == not_there(
        "role", absent
    )

"""Roles over the wire: what they are, whom they trust, and what became of whom they trusted."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import LiveServer
from tests.wire.iam.conftest import ACCOUNT, not_there, refusal

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def trust(principal: Any, **more: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusted(document: Any) -> Any:
    return document["Statement"][0]["Principal"]


@pytest.fixture
def role(iam: "IAMClient", name: str) -> str:
    """A new role's name; the account trusts itself."""
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": ROOT}))
    return name


def test_a_new_role_is_shown_whole(iam: "IAMClient", name: str):
    tags: Any = [{"Key": "Team", "Value": "blue"}]
    made = iam.create_role(
        RoleName=name,
        Path="/ci/",
        AssumeRolePolicyDocument=trust({"AWS": ROOT}),
        Description="pulls",
        MaxSessionDuration=7200,
        Tags=tags,
    )["Role"]
    assert re.fullmatch("AROA[A-Z2-7]{17}", made["RoleId"])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/ci/{name}"
    assert made["AssumeRolePolicyDocument"] == json.loads(trust({"AWS": ROOT}))
    assert (made["Description"], made["MaxSessionDuration"], made["Tags"]) == ("pulls", 7200, tags)
    assert datetime.now(UTC) - made["CreateDate"] < timedelta(minutes=1)
    assert iam.get_role(RoleName=name.upper())["Role"] == {**made, "RoleLastUsed": {}}
    (listed,) = iam.list_roles(PathPrefix="/ci/")["Roles"]
    assert listed == {key: value for key, value in made.items() if key != "Tags"}


def test_a_role_is_made_once(iam: "IAMClient", role: str):
    taken = ("EntityAlreadyExists", 409, f"Role with name {role.upper()} already exists.")
    assert refusal(iam.create_role, RoleName=role.upper(), AssumeRolePolicyDocument=trust({"AWS": ROOT})) == taken


def test_a_document_that_cannot_be_evaluated_is_refused(iam: "IAMClient", role: str):
    for text in ("not JSON", trust({"AWS": ROOT}, Resource="*"), trust({"AWS": ROOT}, Action="ecr:PutImage")):
        for call, more in (
            (iam.create_role, {"RoleName": f"{role}-2", "AssumeRolePolicyDocument": text}),
            (iam.update_assume_role_policy, {"RoleName": role, "PolicyDocument": text}),
        ):
            code, status, message = refusal(call, **more)
            assert (code, status) == ("MalformedPolicyDocument", 400)
            assert message
    assert trusted(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]) == {"AWS": ROOT}


def test_principals_that_are_not_there_are_refused_by_name(iam: "IAMClient", role: str):
    for named in ("999999999999", f"arn:aws:iam::{ACCOUNT}:user/{role}", "arn:aws:iam::999999999999:root"):
        assert refusal(iam.update_assume_role_policy, RoleName=role, PolicyDocument=trust({"AWS": [ROOT, named]})) == (
            "MalformedPolicyDocument",
            400,
            f'Invalid principal in policy: "AWS":"{named}"',
        )


def test_a_trust_policy_has_2048_characters_at_the_most(iam: "IAMClient", role: str):
    text = trust({"AWS": ROOT}, Condition={"StringEquals": {"sts:ExternalId": ["x" * 60] * 40}})
    quota = ("LimitExceeded", 409, "Cannot exceed quota for ACLSizePerRole: 2048")
    assert refusal(iam.update_assume_role_policy, RoleName=role, PolicyDocument=text) == quota
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": ROOT}) + "\n" * 4000)


def test_whom_a_role_trusts_is_one_user_not_whoever_has_its_name(iam: "IAMClient", role: str):
    arn = iam.create_user(UserName=role)["User"]["Arn"]
    identifier = iam.get_user(UserName=role)["User"]["UserId"]
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": arn}))
    assert trusted(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]) == {"AWS": arn}
    iam.update_user(UserName=role, NewUserName=f"{role}-renamed")
    assert trusted(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]) == {"AWS": f"{arn}-renamed"}
    iam.delete_user(UserName=f"{role}-renamed")
    iam.create_user(UserName=role)
    assert trusted(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]) == {"AWS": identifier}
    shown = next(one for one in iam.get_paginator("list_roles").paginate().search("Roles") if one["RoleName"] == role)
    assert trusted(shown["AssumeRolePolicyDocument"]) == {"AWS": identifier}


def test_a_user_made_again_is_not_trusted(iam: "IAMClient", role: str, server: LiveServer):
    def assume() -> Any:
        key = iam.create_access_key(UserName=role)["AccessKey"]
        sts = server.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
        return lambda: sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="build")

    arn = iam.create_user(UserName=role)["User"]["Arn"]
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": arn}))
    call = assume()
    assert call()["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/build"
    for key in iam.list_access_keys(UserName=role)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=role, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=role)
    assert refusal(call)[0] == "InvalidClientTokenId"
    iam.create_user(UserName=role)
    assert refusal(assume())[:2] == ("AccessDenied", 403)
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": arn}))
    for key in iam.list_access_keys(UserName=role)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=role, AccessKeyId=key["AccessKeyId"])
    assert assume()()["AssumedRoleUser"]["Arn"].endswith("/build")


def test_a_session_ends_with_its_role(iam: "IAMClient", role: str, server: LiveServer):
    user = iam.create_user(UserName=role)["User"]["Arn"]
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": user}))
    key = iam.create_access_key(UserName=role)["AccessKey"]
    sts = server.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    given = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="build")["Credentials"]
    session = server.client(
        "sts",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    session.get_caller_identity()
    iam.delete_role(RoleName=role)
    assert refusal(session.get_caller_identity)[1] == 403


def test_what_an_update_leaves_out_stays(iam: "IAMClient", role: str):
    iam.update_role(RoleName=role, Description="first")
    iam.update_role(RoleName=role, MaxSessionDuration=43200)
    shown = iam.get_role(RoleName=role)["Role"]
    assert (shown["Description"], shown["MaxSessionDuration"]) == ("first", 43200)
    assert iam.update_role_description(RoleName=role, Description="second")["Role"]["Description"] == "second"
    iam.update_role(RoleName=role, Description="")
    assert "Description" not in iam.get_role(RoleName=role)["Role"]


def test_a_role_in_use_stays(iam: "IAMClient", role: str):
    iam.create_instance_profile(InstanceProfileName=role)
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")
    allowed = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}
    iam.put_role_policy(
        RoleName=role,
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allowed}),
    )
    for words, remove in (
        (
            "must remove roles from instance profile first",
            lambda: iam.remove_role_from_instance_profile(InstanceProfileName=role, RoleName=role),
        ),
        (
            "must detach all policies first",
            lambda: iam.detach_role_policy(
                RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
            ),
        ),
        ("must delete policies first", lambda: iam.delete_role_policy(RoleName=role, PolicyName="p")),
    ):
        assert refusal(iam.delete_role, RoleName=role) == ("DeleteConflict", 409, f"Cannot delete entity, {words}.")
        remove()
    iam.delete_role(RoleName=role)
    assert refusal(iam.get_role, RoleName=role) == not_there("role", role)


def test_tags_of_roles(iam: "IAMClient", role: str):
    iam.tag_role(RoleName=role, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_role(RoleName=role, TagKeys=["A"])
    assert iam.list_role_tags(RoleName=role)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_a_role_that_is_not_there(iam: "IAMClient", name: str):
    for call, more in (
        (iam.get_role, {}),
        (iam.delete_role, {}),
        (iam.update_role, {}),
        (iam.update_role_description, {"Description": ""}),
        (iam.update_assume_role_policy, {"PolicyDocument": trust({"AWS": ROOT})}),
        (iam.tag_role, {"Tags": []}),
        (iam.untag_role, {"TagKeys": []}),
        (iam.list_role_tags, {}),
        (iam.list_instance_profiles_for_role, {}),
        (iam.delete_role_permissions_boundary, {}),
        (iam.delete_service_linked_role, {}),
    ):
        assert refusal(call, RoleName=name, **more) == not_there("role", name)


def test_a_service_linked_role_is_its_services_alone(iam: "IAMClient"):
    made = iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")["Role"]
    name = made["RoleName"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
    assert trusted(made["AssumeRolePolicyDocument"]) == {"Service": "ecs.amazonaws.com"}
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [one["PolicyName"] for one in attached] == ["AmazonECSServiceRolePolicy"]
    protected = (
        "UnmodifiableEntity",
        400,
        "Cannot perform the operation on the protected role 'AWSServiceRoleForECS' - this role is only modifiable by AWS",
    )
    for call, more in (
        (iam.delete_role, {}),
        (iam.update_role, {"Description": ""}),
        (iam.update_assume_role_policy, {"PolicyDocument": trust({"AWS": ROOT})}),
        (iam.attach_role_policy, {"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        (iam.put_role_permissions_boundary, {"PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    ):
        assert refusal(call, RoleName=name, **more) == protected
    iam.tag_role(RoleName=name, Tags=[{"Key": "a", "Value": ""}])
    assert refusal(iam.create_service_linked_role, AWSServiceName="ecs.amazonaws.com") == (
        "InvalidInput",
        400,
        "Service role name AWSServiceRoleForECS has been taken in this account, please try a different suffix.",
    )
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    assert refusal(iam.get_role, RoleName=name) == not_there("role", name)


def test_service_linked_roles_are_made_by_their_operation_alone(iam: "IAMClient", role: str):
    code, _, _ = refusal(
        iam.create_role,
        RoleName=f"{role}-2",
        Path="/aws-service-role/ecs.amazonaws.com/",
        AssumeRolePolicyDocument=trust({"AWS": ROOT}),
    )
    assert code == "InvalidInput"
    assert refusal(iam.create_service_linked_role, AWSServiceName="nothing.example.test")[0] == "InvalidInput"
    assert refusal(iam.delete_service_linked_role, RoleName=role) == not_there("role", role)
    assert iam.get_role(RoleName=role)["Role"]["RoleName"] == role

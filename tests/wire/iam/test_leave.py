"""What leave the operations on identities ask for: action, resource, condition keys."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.iam.conftest import ACCOUNT, refusal

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

IAM = f"arn:aws:iam::{ACCOUNT}"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    }
)
Allowed = Callable[..., Any]


@pytest.fixture
def allowed(iam: "IAMClient", user: str, acting: Callable[..., Any]) -> Allowed:
    """A client of a user with one inline policy of these statements."""

    def client(*statements: dict[str, Any]) -> Any:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
        iam.put_user_policy(UserName=user, PolicyName="only", PolicyDocument=json.dumps(document))
        return acting(user)

    return client


def denied(user: str, action: str, resource: str) -> tuple[str, int, str]:
    return (
        "AccessDenied",
        403,
        f"User: {IAM}:user/{user} is not authorized to perform: iam:{action} on resource: {resource} "
        f"because no identity-based policy allows the iam:{action} action",
    )


def test_without_a_policy_nothing_is_allowed(acting: Callable[..., Any], user: str, name: str):
    own = acting(user)
    for call, params, action, resource in (
        (own.list_users, {}, "ListUsers", f"{IAM}:user/"),
        (own.list_users, {"PathPrefix": "/a/"}, "ListUsers", f"{IAM}:user/a/"),
        (own.list_groups, {}, "ListGroups", f"{IAM}:group/"),
        (own.list_roles, {}, "ListRoles", f"{IAM}:role/"),
        (own.list_instance_profiles, {}, "ListInstanceProfiles", f"{IAM}:instance-profile/"),
        (own.get_user, {}, "GetUser", f"{IAM}:user/{user}"),
        (own.get_user, {"UserName": "nobody"}, "GetUser", f"{IAM}:user/nobody"),
        (own.create_user, {"UserName": "new", "Path": "/a/"}, "CreateUser", f"{IAM}:user/a/new"),
        (own.create_access_key, {}, "CreateAccessKey", f"{IAM}:user/{user}"),
        (own.get_group, {"GroupName": "g"}, "GetGroup", f"{IAM}:group/g"),
        (own.add_user_to_group, {"GroupName": "g", "UserName": user}, "AddUserToGroup", f"{IAM}:group/g"),
        (own.create_role, {"RoleName": "r", "AssumeRolePolicyDocument": "{}"}, "CreateRole", f"{IAM}:role/r"),
        (own.delete_role, {"RoleName": "r"}, "DeleteRole", f"{IAM}:role/r"),
        (
            own.create_service_linked_role,
            {"AWSServiceName": "ecs.amazonaws.com"},
            "CreateServiceLinkedRole",
            f"{IAM}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
        ),
    ):
        assert refusal(call, **params) == denied(user, action, resource)


def test_users_who_may_keep_their_own_keys_do_without_naming_themselves(allowed: Allowed, user: str):
    own = allowed(
        {
            "Action": ["iam:GetUser", "iam:*AccessKey", "iam:*AccessKeys"],
            "Resource": f"{IAM}:user/${{aws:username}}",
        }
    )
    assert own.get_user()["User"]["UserName"] == user
    key = own.create_access_key()["AccessKey"]
    assert key["UserName"] == user
    assert len(own.list_access_keys()["AccessKeyMetadata"]) == 2
    own.update_access_key(AccessKeyId=key["AccessKeyId"], Status="Inactive")
    own.delete_access_key(AccessKeyId=key["AccessKeyId"])
    assert refusal(own.list_access_keys, UserName="nobody") == denied(user, "ListAccessKeys", f"{IAM}:user/nobody")


def test_a_path_bounds_what_an_administrator_may_do(allowed: Allowed, user: str, name: str):
    own = allowed({"Action": "iam:*", "Resource": f"{IAM}:user/{name}/*"})
    own.create_user(UserName=f"{name}-in", Path=f"/{name}/")
    assert own.get_user(UserName=f"{name}-in")["User"]["Path"] == f"/{name}/"
    assert own.list_users(PathPrefix=f"/{name}/")["Users"]
    outside = denied(user, "CreateUser", f"{IAM}:user/{name}-out")
    assert refusal(own.create_user, UserName=f"{name}-out") == outside
    moved = denied(user, "UpdateUser", f"{IAM}:user/{name}-in")
    assert refusal(own.update_user, UserName=f"{name}-in", NewPath="/") == moved
    own.update_user(UserName=f"{name}-in", NewUserName=f"{name}-renamed")
    own.delete_user(UserName=f"{name}-renamed")


def test_tags_at_birth_ask_for_leave_to_tag(allowed: Allowed, user: str, name: str):
    own = allowed({"Action": "iam:Create*", "Resource": "*"})
    tags: Any = [{"Key": "a", "Value": "b"}]
    own.create_user(UserName=f"{name}-a")
    for call, params, action, resource in (
        (own.create_user, {"UserName": name}, "TagUser", f"user/{name}"),
        (own.create_role, {"RoleName": name, "AssumeRolePolicyDocument": TRUST}, "TagRole", f"role/{name}"),
        (
            own.create_instance_profile,
            {"InstanceProfileName": name},
            "TagInstanceProfile",
            f"instance-profile/{name}",
        ),
    ):
        assert refusal(call, **params, Tags=tags) == denied(user, action, f"{IAM}:{resource}")


def test_tags_that_are_asked_for_are_condition_keys(allowed: Allowed, user: str, name: str):
    made = f"{name}-t"
    own = allowed(
        {
            "Action": ["iam:CreateUser", "iam:TagUser"],
            "Resource": "*",
            "Condition": {
                "StringEquals": {"aws:RequestTag/team": "blue"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]},
            },
        },
        {
            "Action": "iam:UntagUser",
            "Resource": "*",
            "Condition": {"ForAllValues:StringNotEquals": {"aws:TagKeys": ["team"]}},
        },
    )
    blue: Any = [{"Key": "team", "Value": "blue"}]
    refused = denied(user, "CreateUser", f"{IAM}:user/{made}")
    assert refusal(own.create_user, UserName=made) == refused
    assert refusal(own.create_user, UserName=made, Tags=[{"Key": "team", "Value": "red"}]) == refused
    assert refusal(own.create_user, UserName=made, Tags=[*blue, {"Key": "x", "Value": ""}]) == refused
    own.create_user(UserName=made, Tags=blue)
    own.tag_user(UserName=made, Tags=blue)
    own.untag_user(UserName=made, TagKeys=["x"])
    assert refusal(own.untag_user, UserName=made, TagKeys=["team"]) == denied(user, "UntagUser", f"{IAM}:user/{made}")


def test_tags_that_a_user_has_are_condition_keys(iam: "IAMClient", allowed: Allowed, user: str, name: str):
    own = allowed(
        {"Action": "iam:DeleteUser", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/team": "blue"}}}
    )
    iam.create_user(UserName=f"{name}-x")
    assert refusal(own.delete_user, UserName=f"{name}-x") == denied(user, "DeleteUser", f"{IAM}:user/{name}-x")
    iam.tag_user(UserName=f"{name}-x", Tags=[{"Key": "Team", "Value": "blue"}])
    own.delete_user(UserName=f"{name}-x")


def test_who_must_give_a_boundary_gives_it(allowed: Allowed, iam: "IAMClient", user: str, name: str):
    boundary = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    own = allowed(
        {
            "Action": ["iam:CreateUser", "iam:CreateRole", "iam:Put*PermissionsBoundary"],
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}},
        }
    )
    other = "arn:aws:iam::aws:policy/AdministratorAccess"
    refused = denied(user, "CreateUser", f"{IAM}:user/{name}-b")
    assert refusal(own.create_user, UserName=f"{name}-b") == refused
    assert refusal(own.create_user, UserName=f"{name}-b", PermissionsBoundary=other) == refused
    made = own.create_user(UserName=f"{name}-b", PermissionsBoundary=boundary)["User"]
    shown = {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": boundary}
    assert made["PermissionsBoundary"] == shown
    own.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, PermissionsBoundary=boundary)
    own.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
    assert refusal(own.put_role_permissions_boundary, RoleName=name, PermissionsBoundary=other) == denied(
        user, "PutRolePermissionsBoundary", f"{IAM}:role/{name}"
    )


def test_the_boundary_that_a_role_has_is_a_condition_key(allowed: Allowed, iam: "IAMClient", user: str, name: str):
    boundary = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    own = allowed(
        {
            "Action": ["iam:DeleteRole", "iam:UpdateRole", "iam:DeleteRolePermissionsBoundary"],
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}},
        }
    )
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    assert refusal(own.update_role, RoleName=name) == denied(user, "UpdateRole", f"{IAM}:role/{name}")
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
    own.update_role(RoleName=name, Description="mine")
    own.delete_role_permissions_boundary(RoleName=name)
    assert "PermissionsBoundary" not in iam.get_role(RoleName=name)["Role"]
    assert refusal(own.delete_role, RoleName=name) == denied(user, "DeleteRole", f"{IAM}:role/{name}")


def test_a_boundary_limits_from_the_next_request(iam: "IAMClient", allowed: Allowed, user: str):
    own = allowed({"Action": "*", "Resource": "*"})
    own.list_users()
    iam.put_user_permissions_boundary(
        UserName=user, PermissionsBoundary="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    )
    assert refusal(own.list_users) == (
        "AccessDenied",
        403,
        f"User: {IAM}:user/{user} is not authorized to perform: iam:ListUsers on resource: {IAM}:user/ "
        "because no permissions boundary allows the iam:ListUsers action",
    )
    iam.delete_user_permissions_boundary(UserName=user)
    assert "PermissionsBoundary" not in own.get_user()["User"]


def test_a_boundary_is_a_policy_that_is_there(iam: "IAMClient", user: str, name: str):
    arn = f"{IAM}:policy/{name}"
    absent = ("NoSuchEntity", 404, f"Scope ARN: {arn} does not exist or is not attachable.")
    assert refusal(iam.put_user_permissions_boundary, UserName=user, PermissionsBoundary=arn) == absent
    assert refusal(iam.create_user, UserName=f"{name}-2", PermissionsBoundary=arn) == absent
    role: Any = {"RoleName": name, "AssumeRolePolicyDocument": TRUST}
    assert refusal(iam.create_role, **role, PermissionsBoundary=arn) == absent
    bad = "not an ARN at all, but long"
    assert refusal(iam.put_user_permissions_boundary, UserName=user, PermissionsBoundary=bad) == (
        "InvalidInput",
        400,
        f"ARN {bad} is not valid.",
    )
    allow = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}}
    iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(allow))
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=arn)
    assert iam.get_user(UserName=user)["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn


def test_a_role_in_a_profile_is_passed(allowed: Allowed, iam: "IAMClient", user: str, name: str):
    iam.create_role(RoleName=name, Path="/ec2/", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName=name)
    adding = {"Action": "iam:AddRoleToInstanceProfile", "Resource": f"{IAM}:instance-profile/{name}"}
    own = allowed(adding)
    names = {"InstanceProfileName": name, "RoleName": name}
    assert refusal(own.add_role_to_instance_profile, **names) == denied(user, "PassRole", f"{IAM}:role/ec2/{name}")
    iam.put_user_policy(
        UserName=user,
        PolicyName="pass",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {
                    "Effect": "Allow",
                    "Action": "iam:PassRole",
                    "Resource": f"{IAM}:role/ec2/*",
                    "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
                },
            }
        ),
    )
    own.add_role_to_instance_profile(**names)


def test_the_last_use_of_a_key_is_its_users(allowed: Allowed, iam: "IAMClient", user: str, name: str):
    iam.create_user(UserName=f"{name}-k", Path="/team/")
    key = iam.create_access_key(UserName=f"{name}-k")["AccessKey"]["AccessKeyId"]
    own = allowed({"Action": "iam:GetAccessKeyLastUsed", "Resource": f"{IAM}:user/team/*"})
    assert own.get_access_key_last_used(AccessKeyId=key)["UserName"] == f"{name}-k"
    (mine,) = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    assert refusal(own.get_access_key_last_used, AccessKeyId=mine["AccessKeyId"]) == denied(
        user, "GetAccessKeyLastUsed", f"{IAM}:user/{user}"
    )


def test_a_role_names_the_user_it_means(iam: "IAMClient", allowed: Allowed, user: str, name: str, server: Any):
    trust = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": f"{IAM}:user/{user}"}, "Action": "sts:AssumeRole"},
    }
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    key = iam.create_access_key(UserName=user)["AccessKey"]
    sts = server.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    given = sts.assume_role(RoleArn=f"{IAM}:role/{name}", RoleSessionName="build")["Credentials"]
    session = server.client(
        "iam",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    assert session.get_user(UserName=user)["User"]["UserName"] == user
    for call in (session.get_user, session.create_access_key, session.list_access_keys):
        assert refusal(call) == (
            "ValidationError",
            400,
            "Must specify userName when calling with non-User credentials",
        )

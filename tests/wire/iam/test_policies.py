"""Managed policies over the wire."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.live import LiveServer
from tests.wire.iam.conftest import ACCOUNT, refusal
from tests.wire.iam.documents import allow, of_size

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

READ = allow("ecr:BatchGetImage")
WRITE = allow("ecr:PutImage")
AWS_READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


@pytest.fixture
def arn(iam: "IAMClient", name: str) -> str:
    """A new policy."""
    return iam.create_policy(PolicyName=name, PolicyDocument=READ)["Policy"]["Arn"]


def missing(arn: str) -> tuple[str, int, str]:
    return "NoSuchEntity", 404, f"Policy {arn} was not found."


def test_a_new_policy_is_shown_whole(iam: "IAMClient", name: str):
    tags: Any = [{"Key": "Team", "Value": "blue"}]
    made = iam.create_policy(PolicyName=name, Path="/team/blue/", PolicyDocument=READ, Description="pulls", Tags=tags)[
        "Policy"
    ]
    assert re.fullmatch("ANPA[A-Z2-7]{17}", made["PolicyId"])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:policy/team/blue/{name}"
    assert (made["PolicyName"], made["Path"], made["DefaultVersionId"]) == (name, "/team/blue/", "v1")
    assert (made["AttachmentCount"], made["PermissionsBoundaryUsageCount"], made["IsAttachable"]) == (0, 0, True)
    assert made["Tags"] == tags
    assert datetime.now(UTC) - made["CreateDate"] < timedelta(minutes=1)
    assert made["UpdateDate"] == made["CreateDate"]
    assert iam.get_policy(PolicyArn=made["Arn"])["Policy"] == {**made, "Description": "pulls"}


def test_names_are_unique_without_regard_to_case_or_path(iam: "IAMClient", name: str, arn: str):
    assert refusal(iam.create_policy, PolicyName=name.upper(), Path="/x/", PolicyDocument=READ) == (
        "EntityAlreadyExists",
        409,
        f"A policy called {name.upper()} already exists. Duplicate names are not allowed.",
    )


def test_what_is_not_there(iam: "IAMClient", name: str):
    arn = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
    for call, more in (
        (iam.get_policy, {}),
        (iam.delete_policy, {}),
        (iam.create_policy_version, {"PolicyDocument": READ}),
        (iam.get_policy_version, {"VersionId": "v1"}),
        (iam.list_policy_versions, {}),
        (iam.set_default_policy_version, {"VersionId": "v1"}),
        (iam.delete_policy_version, {"VersionId": "v1"}),
        (iam.tag_policy, {"Tags": []}),
        (iam.untag_policy, {"TagKeys": []}),
        (iam.list_policy_tags, {}),
        (iam.list_entities_for_policy, {}),
    ):
        assert refusal(call, PolicyArn=arn, **more) == missing(arn)
    assert refusal(iam.get_policy, PolicyArn="arn:aws:iam::aws:policy/Nothing")[0] == "NoSuchEntity"


def test_what_is_no_policys_arn_is_said_to_be_none(iam: "IAMClient"):
    for bad in ("rubbish, but long enough", f"arn:aws:iam::{ACCOUNT}:user/alice", "arn:aws:s3:::policy/something"):
        assert refusal(iam.get_policy, PolicyArn=bad) == ("InvalidInput", 400, f"ARN {bad} is not valid.")


def test_a_document_is_checked_before_it_is_kept(iam: "IAMClient", name: str, arn: str):
    for document in ("no JSON", "{}", READ.replace("Effect", "effect"), READ.replace("Action", "Actions")):
        for call in (
            lambda bad: refusal(iam.create_policy, PolicyName=f"{name}-bad", PolicyDocument=bad),
            lambda bad: refusal(iam.create_policy_version, PolicyArn=arn, PolicyDocument=bad),
        ):
            assert call(document)[:2] == ("MalformedPolicyDocument", 400)
    assert len(iam.list_policy_versions(PolicyArn=arn)["Versions"]) == 1


def test_a_document_has_6144_characters_at_the_most_and_white_space_does_not_count(iam: "IAMClient", name: str):
    for call, more in (
        (iam.create_policy, {"PolicyName": name}),
        (iam.create_policy_version, {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/{name}"}),
    ):
        if call == iam.create_policy_version:
            iam.create_policy(PolicyName=name, PolicyDocument=of_size(6144).replace("{", "{" + " \n" * 500))
        assert refusal(call, PolicyDocument=of_size(6145), **more) == (
            "LimitExceeded",
            409,
            "Cannot exceed quota for PolicySize: 6144",
        )


def test_documents_are_answered_url_encoded(server: LiveServer, arn: str):
    client = server.client("iam")
    seen: list[str] = []

    def look(response_dict: dict[str, Any], **_: Any) -> None:
        seen.append(response_dict["body"].decode())

    client.meta.events.register("before-parse.iam.GetPolicyVersion", look)
    client.get_policy_version(PolicyArn=arn, VersionId="v1")
    assert f"<Document>{quote(READ, safe='')}</Document>" in seen[0]


def test_versions_are_made_chosen_and_deleted(iam: "IAMClient", arn: str):
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)["PolicyVersion"]
    assert (second["VersionId"], second["IsDefaultVersion"]) == ("v2", False)
    third = iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE, SetAsDefault=True)["PolicyVersion"]
    assert (third["VersionId"], third["IsDefaultVersion"]) == ("v3", True)
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(one["VersionId"], one["IsDefaultVersion"]) for one in listed] == [
        ("v3", True),
        ("v2", False),
        ("v1", False),
    ]
    assert all("Document" not in one for one in listed)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v3"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    shown = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert (shown["IsDefaultVersion"], shown["Document"]["Statement"][0]["Action"]) == (True, ["ecr:BatchGetImage"])
    assert refusal(iam.delete_policy_version, PolicyArn=arn, VersionId="v1") == (
        "DeleteConflict",
        409,
        "Cannot delete the default version of a policy.",
    )
    iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    for call in (iam.get_policy_version, iam.set_default_policy_version, iam.delete_policy_version):
        assert refusal(call, PolicyArn=arn, VersionId="v3") == (
            "NoSuchEntity",
            404,
            f"Policy {arn} version v3 does not exist or is not attachable.",
        )
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)["PolicyVersion"]["VersionId"] == "v4"


def test_a_policy_has_five_versions_at_the_most(iam: "IAMClient", arn: str):
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)
    code, status, message = refusal(iam.create_policy_version, PolicyArn=arn, PolicyDocument=WRITE)
    assert (code, status) == ("LimitExceeded", 409)
    assert message.startswith("A managed policy can have up to 5 versions. Before you create a new version")
    page = iam.list_policy_versions(PolicyArn=arn, MaxItems=2)
    rest = iam.list_policy_versions(PolicyArn=arn, Marker=page["Marker"])
    assert [one["VersionId"] for one in page["Versions"] + rest["Versions"]] == ["v5", "v4", "v3", "v2", "v1"]


def test_a_policy_is_deleted_when_nobody_has_it_and_one_version_is_left(
    iam: "IAMClient", user: str, name: str, arn: str
):
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    attached = ("DeleteConflict", 409, "Cannot delete a policy attached to entities.")
    assert refusal(iam.delete_policy, PolicyArn=arn) == attached
    iam.detach_user_policy(UserName=user, PolicyArn=arn)
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 1
    assert refusal(iam.delete_policy, PolicyArn=arn) == attached
    iam.delete_user_permissions_boundary(UserName=user)
    code, _, message = refusal(iam.delete_policy, PolicyArn=arn)
    assert (code, message.startswith("This policy has more than one version.")) == ("DeleteConflict", True)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)
    assert refusal(iam.get_policy, PolicyArn=arn) == missing(arn)
    again = iam.create_policy(PolicyName=name, PolicyDocument=READ)["Policy"]
    assert again["DefaultVersionId"] == "v1"


def test_policies_are_listed_by_scope_path_and_use(iam: "IAMClient", user: str, name: str):
    arns = {}
    for letter in "bAc":
        made = iam.create_policy(PolicyName=f"{name}-{letter}", Path=f"/{name}/", PolicyDocument=READ)["Policy"]
        arns[letter] = made["Arn"]

    def listed(**more: Any) -> list[str]:
        pages = iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 2}, **more)
        return [policy["Arn"] for page in pages for policy in page["Policies"]]

    path = f"/{name}/"
    assert listed(Scope="Local", PathPrefix=path) == [arns["A"], arns["b"], arns["c"]]
    assert listed(Scope="AWS", PathPrefix=path) == []
    assert listed(PathPrefix=path) == [arns["A"], arns["b"], arns["c"]]
    iam.attach_user_policy(UserName=user, PolicyArn=arns["b"])
    iam.attach_user_policy(UserName=user, PolicyArn=AWS_READ_ONLY)
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=arns["c"])
    assert listed(OnlyAttached=True, PathPrefix=path) == [arns["b"], arns["c"]]
    assert listed(PolicyUsageFilter="PermissionsPolicy", PathPrefix=path) == [arns["b"]]
    assert listed(PolicyUsageFilter="PermissionsBoundary", PathPrefix=path) == [arns["c"]]
    assert AWS_READ_ONLY in listed(Scope="AWS", OnlyAttached=True)
    assert AWS_READ_ONLY not in listed(Scope="Local", OnlyAttached=True)
    everything = listed()
    assert len(everything) == len(set(everything))
    assert {*listed(Scope="AWS"), *listed(Scope="Local")} == set(everything)


def test_who_has_a_policy_is_listed_by_kind(iam: "IAMClient", name: str, arn: str):
    trust = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}'
    iam.create_user(UserName=name, Path="/a/")
    iam.create_group(GroupName=name, Path="/b/")
    iam.create_role(RoleName=name, Path="/a/", AssumeRolePolicyDocument=trust, PermissionsBoundary=arn)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    iam.attach_group_policy(GroupName=name, PolicyArn=arn)

    def having(**more: Any) -> dict[str, list[str]]:
        pages = iam.get_paginator("list_entities_for_policy").paginate(
            PolicyArn=arn, PaginationConfig={"PageSize": 1}, **more
        )
        found: dict[str, list[str]] = {"User": [], "Group": [], "Role": []}
        for page in pages:
            for kind, names in found.items():
                names += [one[f"{kind}Name"] for one in page[f"Policy{kind}s"]]  # type: ignore[literal-required]
        return found

    assert having() == {"User": [name], "Group": [name], "Role": [name]}
    assert having(PolicyUsageFilter="PermissionsPolicy") == {"User": [name], "Group": [name], "Role": []}
    assert having(PolicyUsageFilter="PermissionsBoundary") == {"User": [], "Group": [], "Role": [name]}
    assert having(EntityFilter="Group") == {"User": [], "Group": [name], "Role": []}
    assert having(PathPrefix="/a/") == {"User": [name], "Group": [], "Role": [name]}
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 2


def test_tags_are_put_listed_and_taken_away(iam: "IAMClient", arn: str):
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "A", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    page = iam.list_policy_tags(PolicyArn=arn, MaxItems=1)
    assert page["Tags"] == [{"Key": "a", "Value": "3"}]
    assert iam.list_policy_tags(PolicyArn=arn, Marker=page["Marker"])["Tags"] == [{"Key": "b", "Value": "2"}]
    iam.untag_policy(PolicyArn=arn, TagKeys=["A"])
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Tags"] == [{"Key": "b", "Value": "2"}]


def test_aws_own_policies_can_be_read_and_not_changed(iam: "IAMClient"):
    shown = iam.get_policy(PolicyArn=AWS_READ_ONLY)["Policy"]
    assert shown["DefaultVersionId"] == "v3"
    assert shown["PolicyId"] == "ANPAIFYZPA37OOHVIH7KQ"
    document: Any = iam.get_policy_version(PolicyArn=AWS_READ_ONLY, VersionId="v3")["PolicyVersion"]["Document"]
    assert "ecr:BatchGetImage" in document["Statement"][0]["Action"]
    outside = ("AccessDenied", 403, "Policy is outside your own account.")
    for call, more in (
        (iam.delete_policy, {}),
        (iam.create_policy_version, {"PolicyDocument": READ}),
        (iam.set_default_policy_version, {"VersionId": "v3"}),
        (iam.delete_policy_version, {"VersionId": "v3"}),
        (iam.tag_policy, {"Tags": [{"Key": "a", "Value": "b"}]}),
        (iam.untag_policy, {"TagKeys": ["a"]}),
    ):
        assert refusal(call, PolicyArn=AWS_READ_ONLY, **more) == outside


def test_aws_own_policies_are_every_accounts(iam: "IAMClient", user: str, acting: Callable[..., Any]):
    client = acting(user)
    assert refusal(client.get_policy, PolicyArn=AWS_READ_ONLY)[0] == "AccessDenied"
    iam.put_user_policy(
        UserName=user, PolicyName="p", PolicyDocument=allow("iam:GetPolicy", resource="arn:aws:iam::aws:policy/*")
    )
    assert client.get_policy(PolicyArn=AWS_READ_ONLY)["Policy"]["Arn"] == AWS_READ_ONLY


def test_leave_is_asked_for_the_policys_arn(iam: "IAMClient", user: str, name: str, acting: Callable[..., Any]):
    own = f"arn:aws:iam::{ACCOUNT}:policy/mine/{name}"
    iam.put_user_policy(
        UserName=user, PolicyName="p", PolicyDocument=allow("iam:CreatePolicy", "iam:GetPolicy", resource=own)
    )
    client = acting(user)
    client.create_policy(PolicyName=name, Path="/mine/", PolicyDocument=READ)
    client.get_policy(PolicyArn=own)
    assert refusal(client.create_policy, PolicyName=name, PolicyDocument=READ) == (
        "AccessDenied",
        403,
        f"User: arn:aws:iam::{ACCOUNT}:user/{user} is not authorized to perform: iam:CreatePolicy on resource: "
        f"arn:aws:iam::{ACCOUNT}:policy/{name} because no identity-based policy allows the iam:CreatePolicy action",
    )
    with_tags: Any = {
        "PolicyName": name,
        "Path": "/mine/",
        "PolicyDocument": READ,
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    assert "iam:TagPolicy" in refusal(client.create_policy, **with_tags)[2]
    assert refusal(client.delete_policy, PolicyArn=own)[:2] == ("AccessDenied", 403)

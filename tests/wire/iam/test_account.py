"""The account over the wire: its alias, its summary, its authorization details."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import LiveServer
from tests.wire.iam.conftest import ACCOUNT, not_there, refusal
from tests.wire.iam.documents import allow

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

TRUST = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}'
AWS_READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


@pytest.fixture
def fresh(tmp_path: Any) -> Iterator["IAMClient"]:
    """Root of a server that has nothing yet."""
    with LiveServer(tmp_path, settings={"storage.reserve": "0"}) as running:
        yield running.client("iam")


def test_an_account_has_one_alias(iam: "IAMClient", name: str):
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias=name)
    iam.create_account_alias(AccountAlias=name)
    assert iam.list_account_aliases()["AccountAliases"] == [name]
    iam.create_account_alias(AccountAlias=f"{name}-new")
    assert iam.list_account_aliases()["AccountAliases"] == [f"{name}-new"]
    assert refusal(iam.delete_account_alias, AccountAlias=name) == not_there("account alias", name)
    iam.delete_account_alias(AccountAlias=f"{name}-new")
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_an_alias_is_no_account_number(iam: "IAMClient"):
    assert refusal(iam.create_account_alias, AccountAlias="210987654321")[:2] == ("ValidationError", 400)


def test_the_summary_counts_what_there_is_and_names_the_quotas(fresh: "IAMClient"):
    empty = fresh.get_account_summary()["SummaryMap"]
    assert (empty["Users"], empty["UsersQuota"], empty["AccountAccessKeysPresent"]) == (0, 5000, 1)
    assert (empty["AttachedPoliciesPerRoleQuota"], empty["RolePolicySizeQuota"]) == (20, 10240)
    fresh.create_user(UserName="u")
    fresh.create_group(GroupName="g")
    fresh.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    fresh.create_instance_profile(InstanceProfileName="p")
    arn = fresh.create_policy(PolicyName="m", PolicyDocument=allow("ecr:*"))["Policy"]["Arn"]
    fresh.create_policy_version(PolicyArn=arn, PolicyDocument=allow("ecs:*"))
    fresh.create_open_id_connect_provider(Url="https://issuer.example.test")
    full = fresh.get_account_summary()["SummaryMap"]
    changed = {key: value for key, value in full.items() if empty[key] != value}
    assert changed == {
        "Users": 1,
        "Groups": 1,
        "Roles": 1,
        "InstanceProfiles": 1,
        "Policies": 1,
        "PolicyVersionsInUse": 2,
        "Providers": 1,
    }


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Iterator["IAMClient"]:
    """Root of a server with a user, a group and a role that have a policy of every sort."""
    with LiveServer(tmp_path_factory.mktemp("peopled"), settings={"storage.reserve": "0"}) as running:
        iam = running.client("iam")
        people(iam)
        yield iam


def people(iam: "IAMClient") -> None:
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=allow("*"))["Policy"]["Arn"]
    own = iam.create_policy(PolicyName="own", Description="pushes", PolicyDocument=allow("ecr:PutImage"))
    tags: Any = [{"Key": "team", "Value": "blue"}]
    iam.create_group(GroupName="staff", Path="/all/")
    iam.create_user(UserName="alice", Path="/all/", PermissionsBoundary=limit, Tags=tags)
    iam.create_user(UserName="bob")
    iam.create_role(RoleName="puller", AssumeRolePolicyDocument=TRUST, Tags=tags)
    iam.add_user_to_group(GroupName="staff", UserName="alice")
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="puller")
    for kind, name in (("user", "alice"), ("group", "staff"), ("role", "puller")):
        parameter = {f"{kind.title()}Name": name}
        document = allow("ecr:Get*", Sid=kind)
        getattr(iam, f"put_{kind}_policy")(**parameter, PolicyName="inline", PolicyDocument=document)
        for arn in (AWS_READ_ONLY, own["Policy"]["Arn"]):
            getattr(iam, f"attach_{kind}_policy")(**parameter, PolicyArn=arn)


def test_the_details_tell_everything_that_decides(peopled: "IAMClient"):
    details: Any = peopled.get_account_authorization_details()
    assert not details["IsTruncated"]
    own = f"arn:aws:iam::{ACCOUNT}:policy/own"
    attached = [
        {"PolicyName": "AmazonEC2ContainerRegistryReadOnly", "PolicyArn": AWS_READ_ONLY},
        {"PolicyName": "own", "PolicyArn": own},
    ]
    alice, bob = details["UserDetailList"]
    assert alice["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/all/alice"
    assert alice["GroupList"] == ["staff"]
    assert alice["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert alice["PermissionsBoundary"]["PermissionsBoundaryArn"] == f"arn:aws:iam::{ACCOUNT}:policy/limit"
    assert (bob["GroupList"], bob["AttachedManagedPolicies"], bob["UserPolicyList"]) == ([], [], [])
    (staff,) = details["GroupDetailList"]
    (puller,) = details["RoleDetailList"]
    assert puller["AssumeRolePolicyDocument"]["Statement"]["Principal"] == {"AWS": "*"}
    (machine,) = puller["InstanceProfileList"]
    assert (machine["InstanceProfileName"], machine["Roles"][0]["RoleName"]) == ("machine", "puller")
    for detail, kind in ((alice, "User"), (staff, "Group"), (puller, "Role")):
        assert detail["AttachedManagedPolicies"] == attached
        (inline,) = detail[f"{kind}PolicyList"]
        assert inline["PolicyName"] == "inline"
        assert inline["PolicyDocument"]["Statement"][0]["Sid"] == kind.lower()
    policies = {one["Arn"]: one for one in details["Policies"]}
    assert set(policies) == {own, f"arn:aws:iam::{ACCOUNT}:policy/limit", AWS_READ_ONLY}
    assert (policies[own]["AttachmentCount"], policies[own]["Description"]) == (3, "pushes")
    (version,) = policies[own]["PolicyVersionList"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == ("v1", True)
    assert version["Document"]["Statement"][0]["Action"] == ["ecr:PutImage"]
    assert policies[AWS_READ_ONLY]["PolicyVersionList"][0]["VersionId"] == "v3"


def test_the_details_are_paged_and_filtered(peopled: "IAMClient"):
    whole: Any = peopled.get_account_authorization_details()
    lists = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    for size in (1, 2, 3, 100):
        pages = list(
            peopled.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": size})
        )
        assert all(sum(len(page[name]) for name in lists) <= size for page in pages)
        for name in lists:
            assert [one for page in pages for one in page[name]] == whole[name]
    roles: Any = peopled.get_account_authorization_details(Filter=["Role", "AWSManagedPolicy"])
    assert [len(roles[name]) for name in lists] == [0, 0, 1, 1]
    assert refusal(peopled.get_account_authorization_details, Marker="bm9uc2Vuc2U=") == (
        "ValidationError",
        400,
        "Invalid Marker.",
    )

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.wire.organizations.conftest import CONTROL, FULL, Account, Organization, fresh_name, refusal, statement

NO_ECR = statement("Deny", "ecr:*")


def test_a_policy_is_made_found_changed_and_deleted(organization: Organization):
    client, content = organization.client, json.dumps(NO_ECR)
    made = client.create_policy(Type=CONTROL, Name="No ECR", Description="none", Content=content)["Policy"]
    identifier = made["PolicySummary"]["Id"]
    assert made == {
        "PolicySummary": {
            "Id": identifier,
            "Arn": (
                f"arn:aws:organizations::{organization.management.id}:policy/{organization.id}/"
                f"service_control_policy/{identifier}"
            ),
            "Name": "No ECR",
            "Description": "none",
            "Type": CONTROL,
            "AwsManaged": False,
        },
        "Content": content,
    }
    assert client.describe_policy(PolicyId=identifier)["Policy"] == made
    changed = client.update_policy(PolicyId=identifier, Name="Other", Content=json.dumps(statement("Deny", "sts:*")))
    assert changed["Policy"]["PolicySummary"] == {**made["PolicySummary"], "Name": "Other"}
    listed = client.list_policies(Filter=CONTROL)["Policies"]
    assert [policy["Name"] for policy in listed] == ["FullAWSAccess", "Other"]
    assert client.list_policies(Filter="TAG_POLICY")["Policies"] == []
    client.delete_policy(PolicyId=identifier)
    for operation in ("describe_policy", "update_policy", "delete_policy", "list_targets_for_policy"):
        assert refusal(getattr(client, operation), PolicyId=identifier)[0] == "PolicyNotFound"


def test_full_access_is_awss_own(organization: Organization):
    client = organization.client
    found = client.describe_policy(PolicyId=FULL)["Policy"]
    assert found["PolicySummary"] == {
        "Id": FULL,
        "Arn": f"arn:aws:organizations::aws:policy/service_control_policy/{FULL}",
        "Name": "FullAWSAccess",
        "Description": "Allows access to every operation",
        "Type": CONTROL,
        "AwsManaged": True,
    }
    assert json.loads(found["Content"]) == {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    assert refusal(client.update_policy, PolicyId=FULL, Name="a") == ("InvalidInput", "IMMUTABLE_POLICY")
    assert refusal(client.delete_policy, PolicyId=FULL) == ("InvalidInput", "IMMUTABLE_POLICY")


def test_names_are_unique_in_an_organization(organization: Organization):
    expected = ("DuplicatePolicy", "A policy with the specified name and type already exists.")
    organization.policy(NO_ECR, "a")
    other = organization.policy(NO_ECR, "b")
    for name in ("a", "FullAWSAccess"):
        content = json.dumps(NO_ECR)
        found = refusal(organization.client.create_policy, Type=CONTROL, Name=name, Description="", Content=content)
        assert found == expected
        assert refusal(organization.client.update_policy, PolicyId=other, Name=name) == expected
    organization.client.update_policy(PolicyId=other, Name="b", Description="the same name")


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        "{}",
        json.dumps({**NO_ECR, "Version": "2013-01-01"}),
        json.dumps(statement("Deny", "ecr:*", Principal="*")),
        json.dumps(statement("Maybe", "ecr:*")),
        json.dumps(statement("Deny", "ecr:*", Condition={"StringEqualish": {"aws:username": "a"}})),
    ],
)
def test_what_cannot_be_evaluated_is_refused_when_it_is_written(organization: Organization, content: str):
    usual = "The provided policy document does not meet the requirements of the specified policy type."
    client, kept = organization.client, organization.policy(NO_ECR)
    code, message = refusal(client.create_policy, Type=CONTROL, Name="a", Description="", Content=content)
    assert code == "MalformedPolicyDocument"
    assert message.startswith(usual)
    assert len(message) > len(usual)
    assert refusal(client.update_policy, PolicyId=kept, Content=content) == (code, message)
    assert json.loads(client.describe_policy(PolicyId=kept)["Policy"]["Content"]) == NO_ECR


def test_a_policy_has_10240_characters_at_the_most(organization: Organization):
    content = json.dumps(NO_ECR)
    largest = content + " " * (10_240 - len(content))
    made = organization.client.create_policy(Type=CONTROL, Name="a", Description="", Content=largest)
    assert made["Policy"]["Content"] == largest
    found = refusal(organization.client.create_policy, Type=CONTROL, Name="b", Description="", Content=largest + " ")
    assert found == ("ConstraintViolation", "POLICY_CONTENT_LIMIT_EXCEEDED")


def test_a_target_has_between_one_and_ten_policies(organization: Organization):
    client = organization.client
    for target in (organization.root, organization.unit("a"), organization.account()):
        policies = [organization.policy(NO_ECR) for _ in range(10)]
        client.attach_policy(PolicyId=policies[0], TargetId=target)
        assert refusal(client.attach_policy, PolicyId=policies[0], TargetId=target) == (
            "DuplicatePolicyAttachment",
            "A policy with the specified name and type already exists.",
        )
        for policy in policies[1:9]:
            client.attach_policy(PolicyId=policy, TargetId=target)
        assert refusal(client.attach_policy, PolicyId=policies[9], TargetId=target) == (
            "ConstraintViolation",
            "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
        )
        assert len(organization.attached(target)) == 10
        assert refusal(client.detach_policy, PolicyId=policies[9], TargetId=target)[0] == "PolicyNotAttached"
        for policy in policies[:9]:
            client.detach_policy(PolicyId=policy, TargetId=target)
        assert refusal(client.detach_policy, PolicyId=FULL, TargetId=target) == (
            "ConstraintViolation",
            "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
        )
        assert organization.attached(target) == ["FullAWSAccess"]


def test_what_is_attached_is_found_from_both_ends_and_not_deleted(organization: Organization):
    client, unit, account = organization.client, organization.unit("Team"), organization.account()
    policy = organization.policy(NO_ECR)
    for target in (organization.root, unit, account):
        client.attach_policy(PolicyId=policy, TargetId=target)
    targets = {one["TargetId"]: one for one in client.list_targets_for_policy(PolicyId=policy)["Targets"]}
    arn = f"arn:aws:organizations::{organization.management.id}"
    assert targets == {
        organization.root: {
            "TargetId": organization.root,
            "Arn": f"{arn}:root/{organization.id}/{organization.root}",
            "Name": "Root",
            "Type": "ROOT",
        },
        unit: {
            "TargetId": unit,
            "Arn": f"{arn}:ou/{organization.id}/{unit}",
            "Name": "Team",
            "Type": "ORGANIZATIONAL_UNIT",
        },
        account: {
            "TargetId": account,
            "Arn": f"{arn}:account/{organization.id}/{account}",
            "Name": "member",
            "Type": "ACCOUNT",
        },
    }
    assert refusal(client.delete_policy, PolicyId=policy)[0] == "PolicyInUse"
    for target in targets:
        client.detach_policy(PolicyId=policy, TargetId=target)
    client.delete_policy(PolicyId=policy)
    for operation in ("attach_policy", "detach_policy"):
        assert refusal(getattr(client, operation), PolicyId=policy, TargetId=unit)[0] == "PolicyNotFound"
        assert refusal(getattr(client, operation), PolicyId=FULL, TargetId="999999999999")[0] == "TargetNotFound"
    code, _ = refusal(client.list_policies_for_target, TargetId="r-0000", Filter=CONTROL)
    assert code == "TargetNotFound"


def test_disabling_detaches_everything_and_enabling_begins_with_full_access(organization: Organization):
    client, root, account = organization.client, organization.root, organization.account()
    policy = organization.policy(NO_ECR)
    client.attach_policy(PolicyId=policy, TargetId=account)
    assert client.disable_policy_type(RootId=root, PolicyType=CONTROL)["Root"]["PolicyTypes"] == []
    assert client.list_roots()["Roots"][0]["PolicyTypes"] == []
    assert organization.attached(account) == []
    assert refusal(client.attach_policy, PolicyId=policy, TargetId=account) == (
        "PolicyTypeNotEnabled",
        "This operation can be performed only for enabled policy types.",
    )
    assert refusal(client.disable_policy_type, RootId=root, PolicyType=CONTROL)[0] == "PolicyTypeNotEnabled"
    unit, late = organization.unit("late"), organization.account()
    enabled = client.enable_policy_type(RootId=root, PolicyType=CONTROL)["Root"]
    assert enabled["PolicyTypes"] == [{"Type": CONTROL, "Status": "ENABLED"}]
    for target in (root, unit, account, late, organization.management.id):
        assert organization.attached(target) == ["FullAWSAccess"]
    assert refusal(client.enable_policy_type, RootId=root, PolicyType=CONTROL)[0] == "PolicyTypeAlreadyEnabled"
    assert refusal(client.enable_policy_type, RootId="r-0000", PolicyType=CONTROL)[0] == "RootNotFound"


def test_other_policy_types_there_are_none(organization: Organization):
    client, root = organization.client, organization.root
    code, message = refusal(client.enable_policy_type, RootId=root, PolicyType="RESOURCE_CONTROL_POLICY")
    assert code == "PolicyTypeNotAvailableForOrganization"
    assert "RESOURCE_CONTROL_POLICY" in message
    code, _ = refusal(client.create_policy, Type="TAG_POLICY", Name="a", Description="", Content="{}")
    assert code == "PolicyTypeNotAvailableForOrganization"
    assert refusal(client.disable_policy_type, RootId=root, PolicyType="TAG_POLICY")[0] == "PolicyTypeNotEnabled"
    assert refusal(client.describe_effective_policy, PolicyType="TAG_POLICY")[0] == "EffectivePolicyNotFound"


# -- what they do


def sentence(call: Callable[..., Any], **params: Any) -> str:
    code, message = refusal(call, **params)
    assert code == "AccessDenied"
    return message


def test_a_deny_counts_for_every_account_below_and_its_root_user_and_names_its_kind(
    organization: Organization, account: Account
):
    organization.join(account)
    ecr = account.client("ecr")
    ecr.describe_repositories()
    unit, policy = organization.unit("a"), organization.policy(NO_ECR)
    organization.client.attach_policy(PolicyId=policy, TargetId=unit)
    ecr.describe_repositories()
    organization.client.move_account(AccountId=account.id, SourceParentId=organization.root, DestinationParentId=unit)
    assert "with an explicit deny in a service control policy" in sentence(ecr.describe_repositories)
    organization.client.update_policy(PolicyId=policy, Content=json.dumps(statement("Deny", "ecr:PutImage")))
    ecr.describe_repositories()
    organization.client.update_policy(PolicyId=policy, Content=json.dumps(NO_ECR))
    sentence(ecr.describe_repositories)
    organization.client.detach_policy(PolicyId=policy, TargetId=unit)
    ecr.describe_repositories()


def test_every_level_has_to_allow(organization: Organization, account: Account):
    organization.join(account)
    unit = organization.unit("a")
    organization.client.move_account(AccountId=account.id, SourceParentId=organization.root, DestinationParentId=unit)
    ecr, other = account.client("ecr"), account.organizations
    narrow = organization.policy(statement("Allow", "ecr:*"))
    for level in (organization.root, unit, account.id):
        organization.client.attach_policy(PolicyId=narrow, TargetId=level)
        other.list_handshakes_for_account()
        organization.client.detach_policy(PolicyId=FULL, TargetId=level)
        ecr.describe_repositories()
        refused = sentence(other.list_handshakes_for_account)
        assert refused.endswith(
            "because no service control policy allows the organizations:ListHandshakesForAccount action"
        )
        organization.client.attach_policy(PolicyId=FULL, TargetId=level)
        other.list_handshakes_for_account()


def test_policies_do_not_touch_the_management_account_and_end_with_membership(
    organization: Organization, account: Account
):
    organization.join(account)
    policy = organization.policy(NO_ECR)
    organization.client.attach_policy(PolicyId=policy, TargetId=organization.root)
    organization.client.attach_policy(PolicyId=policy, TargetId=organization.management.id)
    organization.management.client("ecr").describe_repositories()
    ecr = account.client("ecr")
    sentence(ecr.describe_repositories)
    organization.client.disable_policy_type(RootId=organization.root, PolicyType=CONTROL)
    ecr.describe_repositories()
    organization.client.enable_policy_type(RootId=organization.root, PolicyType=CONTROL)
    organization.client.attach_policy(PolicyId=policy, TargetId=account.id)
    sentence(ecr.describe_repositories)
    account.organizations.leave_organization()
    ecr.describe_repositories()


def test_a_policy_can_keep_accounts_from_leaving(organization: Organization, account: Account):
    organization.join(account)
    policy = organization.policy(statement("Deny", "organizations:LeaveOrganization"))
    organization.client.attach_policy(PolicyId=policy, TargetId=organization.root)
    assert "organizations:LeaveOrganization" in sentence(account.organizations.leave_organization)


def test_conditions_know_the_organization_and_the_path_to_the_account(organization: Organization, account: Account):
    """aws:PrincipalOrgPaths ends with the unit that the account is in."""
    organization.join(account)
    unit = organization.unit("a")
    organization.client.move_account(AccountId=account.id, SourceParentId=organization.root, DestinationParentId=unit)
    path = f"{organization.id}/{organization.root}/{unit}/"
    policy = organization.policy(NO_ECR)
    organization.client.attach_policy(PolicyId=policy, TargetId=account.id)
    ecr = account.client("ecr")
    for condition, denied in [
        ({"StringEquals": {"aws:PrincipalOrgID": organization.id}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-0000000000"}}, False),
        ({"ForAnyValue:StringEquals": {"aws:PrincipalOrgPaths": path}}, True),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{organization.id}/{organization.root}/ou-*"}}, True),
        ({"ForAnyValue:StringEquals": {"aws:PrincipalOrgPaths": f"{organization.id}/{organization.root}/"}}, False),
    ]:
        content = json.dumps(statement("Deny", "ecr:*", Condition=condition))
        organization.client.update_policy(PolicyId=policy, Content=content)
        if denied:
            sentence(ecr.describe_repositories)
        else:
            ecr.describe_repositories()


def test_conditions_know_the_organization_of_the_resource(
    organization: Organization, make_account: Callable[[], Account]
):
    """A fence around an organization: nothing outside of it, whatever the other side allows."""
    member, outsider = make_account(), make_account()
    organization.join(member)
    for owner in (member, outsider):
        owner.client("ecr").create_repository(repositoryName="some/images")
    rights = {"Effect": "Allow", "Principal": {"AWS": member.id}, "Action": "ecr:ListImages"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    outsider.client("ecr").set_repository_policy(repositoryName="some/images", policyText=text)
    ecr = member.client("ecr")
    foreign = {"repositoryName": "some/images", "registryId": outsider.id}
    ecr.list_images(**foreign)
    policy = organization.policy(NO_ECR)
    organization.client.attach_policy(PolicyId=policy, TargetId=member.id)
    for condition in (
        {"StringNotEquals": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
        {"ForAllValues:StringNotLike": {"aws:ResourceOrgPaths": f"{organization.id}/*"}},
    ):
        content = json.dumps(statement("Deny", "ecr:*", Condition=condition))
        organization.client.update_policy(PolicyId=policy, Content=content)
        ecr.list_images(repositoryName="some/images")
        assert "with an explicit deny in a service control policy" in sentence(ecr.list_images, **foreign)


def test_users_of_the_management_account_need_leave_for_each_thing(organization: Organization):
    account, unit, other = organization.account(), organization.unit("a"), organization.unit("b")
    organization.client.tag_resource(ResourceId=unit, Tags=[{"Key": "team", "Value": "a"}])
    arn = f"arn:aws:organizations::{organization.management.id}"
    iam, name = organization.management.client("iam"), fresh_name()
    iam.create_user(UserName=name)
    rights = [
        {
            "Effect": "Allow",
            "Action": "organizations:DescribeOrganizationalUnit",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/team": "a"}},
        },
        {
            "Effect": "Allow",
            "Action": "organizations:AttachPolicy",
            "Resource": [f"{arn}:policy/*", f"{arn}:ou/{organization.id}/{unit}"],
        },
        {"Effect": "Allow", "Action": "organizations:CreateOrganizationalUnit", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "organizations:ListPolicies",
            "Resource": "*",
            "Condition": {"StringEquals": {"organizations:PolicyType": CONTROL}},
        },
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": rights})
    iam.put_user_policy(UserName=name, PolicyName="a", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    client = organization.management.client(
        "organizations",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    client.describe_organizational_unit(OrganizationalUnitId=unit)
    sentence(client.describe_organizational_unit, OrganizationalUnitId=other)
    policy = organization.policy(NO_ECR)
    client.attach_policy(PolicyId=policy, TargetId=unit)
    refused = sentence(client.attach_policy, PolicyId=policy, TargetId=account)
    assert refused == (
        f"User: arn:aws:iam::{organization.management.id}:user/{name} is not authorized to perform: "
        f"organizations:AttachPolicy on resource: {arn}:account/{organization.id}/{account} "
        "because no identity-based policy allows the organizations:AttachPolicy action"
    )
    client.create_organizational_unit(ParentId=unit, Name="c")
    tags = [{"Key": "a", "Value": "b"}]
    assert "organizations:TagResource" in sentence(
        client.create_organizational_unit, ParentId=unit, Name="d", Tags=tags
    )
    client.list_policies(Filter=CONTROL)
    sentence(client.list_policies, Filter="TAG_POLICY")
    sentence(client.list_accounts)

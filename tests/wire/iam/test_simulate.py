"""The policy simulator over the wire."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.iam.conftest import ACCOUNT, not_there, refusal
from tests.wire.iam.documents import allow

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

TRUST = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}'
REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository"
TEAM, OTHER = f"{REPOSITORY}/team-a/app", f"{REPOSITORY}/team-b/app"
FOREIGN = "arn:aws:ecr:us-east-1:210987654321:repository/app"
AWS_READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
BOB = f"arn:aws:iam::{ACCOUNT}:user/bob"


@pytest.fixture(scope="module")
def custom(iam: "IAMClient") -> Callable[..., Any]:
    """SimulateCustomPolicy; the only result where there is one action."""

    def call(*policies: str, actions: str | list[str] = "ecr:PutImage", **params: Any) -> Any:
        names = [actions] if isinstance(actions, str) else actions
        answer = iam.simulate_custom_policy(PolicyInputList=list(policies), ActionNames=names, **params)
        return answer["EvaluationResults"][0] if isinstance(actions, str) else answer["EvaluationResults"]

    return call


def sources(result: Any) -> list[tuple[str, str]]:
    return [(one["SourcePolicyId"], one["SourcePolicyType"]) for one in result["MatchedStatements"]]


def decisions(result: Any) -> dict[str, str]:
    return {one["EvalResourceName"]: one["EvalResourceDecision"] for one in result["ResourceSpecificResults"]}


def grant(principal: str, *, effect: str = "Allow", action: str = "ecr:PutImage") -> str:
    statement = {"Effect": effect, "Principal": {"AWS": principal}, "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# -- policies that are given


def test_what_is_allowed_denied_and_not_mentioned(custom: Callable[..., Any]):
    deny = allow("ecr:DeleteRepository", effect="Deny")
    results = custom(allow("ecr:*"), deny, actions=["ecr:PutImage", "ecr:DeleteRepository", "ecs:RunTask"])
    assert [(one["EvalActionName"], one["EvalDecision"], one["EvalResourceName"]) for one in results] == [
        ("ecr:PutImage", "allowed", "*"),
        ("ecr:DeleteRepository", "explicitDeny", "*"),
        ("ecs:RunTask", "implicitDeny", "*"),
    ]
    assert [sources(one) for one in results] == [
        [("PolicyInputList.1", "none")],
        [("PolicyInputList.2", "none")],
        [],
    ]
    assert all(one["MissingContextValues"] == [] for one in results)
    assert all("ResourceSpecificResults" not in one and "EvalDecisionDetails" not in one for one in results)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        # as AWS answered for documents of this form
        ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}', [(1, 38, 1, 88)]),
        (
            '{\n  "Version": "2012-10-17",\n  "Statement": [\n    {\n      "Effect": "Allow",\n'
            '      "Action": "*",\n      "Resource": "*"\n    }\n  ]\n}',
            [(3, 17, 8, 6)],
        ),
        (
            '{\n    "Version": "2012-10-17",\n    "Statement": [\n        {\n            "Effect": "Allow",\n'
            '            "Action": [\n                "ecr:*"\n            ],\n'
            '            "Resource": "*"\n        }\n    ]\n}',
            [(3, 19, 10, 10)],
        ),
        ('{"Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}', [(1, 15, 1, 65)]),
    ],
)
def test_statements_stand_where_aws_says_that_they_do(custom: Callable[..., Any], text: str, places: list[Any]):
    found = [
        (
            one["StartPosition"]["Line"],
            one["StartPosition"]["Column"],
            one["EndPosition"]["Line"],
            one["EndPosition"]["Column"],
        )
        for one in custom(text)["MatchedStatements"]
    ]
    assert found == places


def test_a_later_statement_starts_behind_the_comma(custom: Callable[..., Any]):
    first = '{"Effect":"Allow","Action":"ecs:*","Resource":"*"}'
    second = '{"Effect":"Allow","Action":"ecr:*","Resource":"*"}'
    (matched,) = custom(f'{{"Statement":[{first}, {second}]}}')["MatchedStatements"]
    assert matched["StartPosition"]["Column"] == len(f'{{"Statement":[{first},') + 1
    assert matched["EndPosition"]["Column"] == len(f'{{"Statement":[{first}, {second}') + 1


def test_one_result_an_action_has_the_strictest_decision_of_its_resources(custom: Callable[..., Any]):
    policies = [allow("ecr:PutImage", resource=f"{REPOSITORY}/team-a/*")]
    result = custom(*policies, ResourceArns=[TEAM, OTHER])
    assert result["EvalDecision"] == "implicitDeny"
    assert result["EvalResourceName"] == "arn:${Partition}:ecr:${Region}:${Account}:repository/${RepositoryName}"
    assert sources(result) == []
    assert decisions(result) == {TEAM: "allowed", OTHER: "implicitDeny"}
    assert sources(result["ResourceSpecificResults"][0]) == [("PolicyInputList.1", "none")]
    assert result["EvalDecisionDetails"] == {}
    denied = custom(*policies, allow("ecr:*", resource=OTHER, effect="Deny"), ResourceArns=[TEAM, OTHER])
    assert (denied["EvalDecision"], sources(denied)) == ("explicitDeny", [("PolicyInputList.2", "none")])


def test_keys_that_policies_ask_for_in_vain_are_missing(custom: Callable[..., Any], iam: "IAMClient"):
    inside = allow("ecr:PutImage", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    own = allow("ecr:GetLifecyclePolicy", resource=f"{REPOSITORY}/${{aws:username}}/*")
    result = custom(inside)
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("implicitDeny", ["aws:SourceIp"])
    entry = {"ContextKeyName": "aws:sourceip", "ContextKeyType": "ip"}
    for address, decision in (("10.1.2.3", "allowed"), ("192.0.2.1", "implicitDeny")):
        result = custom(inside, ContextEntries=[{**entry, "ContextKeyValues": [address]}])
        assert (result["EvalDecision"], result["MissingContextValues"]) == (decision, [])
    result = custom(own, actions="ecr:GetLifecyclePolicy", ResourceArns=[f"{REPOSITORY}/bob/app"])
    assert result["MissingContextValues"] == ["aws:username"]
    assert result["ResourceSpecificResults"][0]["MissingContextValues"] == ["aws:username"]
    keys = iam.get_context_keys_for_custom_policy(PolicyInputList=[inside, own, inside])["ContextKeyNames"]
    assert keys == ["aws:SourceIp", "aws:username"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("ip", ["nowhere"]),
        ("numeric", ["many"]),
        ("boolean", ["perhaps"]),
        ("date", ["yesterday"]),
        ("binary", ["%"]),
        ("string", ["a", "b"]),
        ("string", []),
        ("numericList", ["1", "two"]),
    ],
)
def test_a_value_has_to_be_of_its_type(custom: Callable[..., Any], kind: str, values: list[str]):
    entry = {"ContextKeyName": "aws:Something", "ContextKeyType": kind, "ContextKeyValues": values}
    assert refusal(lambda **given: custom(allow("*"), **given), ContextEntries=[entry])[:2] == ("InvalidInput", 400)


def test_a_list_has_several_values(custom: Callable[..., Any]):
    policy = allow("ecr:*", Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}})
    entry = {"ContextKeyName": "aws:TagKeys", "ContextKeyType": "stringList"}
    assert custom(policy, ContextEntries=[{**entry, "ContextKeyValues": ["b", "a"]}])["EvalDecision"] == "allowed"
    assert custom(policy, ContextEntries=[{**entry, "ContextKeyValues": ["a", "c"]}])["EvalDecision"] == "implicitDeny"


def test_a_boundary_limits(custom: Callable[..., Any]):
    result = custom(allow("ecr:*"), PermissionsBoundaryPolicyInputList=[allow("ecr:Get*")])
    assert result["EvalDecision"] == "implicitDeny"
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    result = custom(allow("ecr:*"), PermissionsBoundaryPolicyInputList=[allow("ecr:Put*")])
    assert result["EvalDecision"] == "allowed"
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": True}
    assert "PermissionsBoundaryDecisionDetail" not in custom(allow("ecr:*"))


def test_every_level_of_the_organization_has_to_allow(custom: Callable[..., Any]):
    def levels(*texts: str) -> Any:
        return [{"ServiceControlPolicyInputList": [text]} for text in texts]

    result = custom(allow("ecr:*"), OrderedOrganizationPolicyInputList=levels(allow("*"), allow("ecs:*")))
    assert (result["EvalDecision"], result["OrganizationsDecisionDetail"]) == (
        "implicitDeny",
        {"AllowedByOrganizations": False},
    )
    result = custom(allow("ecr:*"), OrderedOrganizationPolicyInputList=levels(allow("*"), allow("*")))
    assert (result["EvalDecision"], result["OrganizationsDecisionDetail"]) == (
        "allowed",
        {"AllowedByOrganizations": True},
    )
    deny = allow("ecr:Put*", effect="Deny")
    result = custom(
        allow("ecr:*"),
        OrderedOrganizationPolicyInputList=[{"ServiceControlPolicyInputList": [allow("*"), deny]}],
        ResourceArns=[TEAM],
    )
    assert (result["EvalDecision"], result["MatchedStatements"]) == ("explicitDeny", [])
    assert "EvalDecisionDetails" not in result
    assert "OrganizationsDecisionDetail" not in custom(allow("ecr:*"))


def test_a_resource_policy_grants_to_the_caller_it_names(custom: Callable[..., Any]):
    result = custom(allow("ecs:*"), ResourcePolicy=grant(BOB), CallerArn=BOB, ResourceArns=[TEAM])
    assert (result["EvalDecision"], sources(result)) == ("allowed", [("ResourcePolicy", "resource")])
    other = f"arn:aws:iam::{ACCOUNT}:user/eve"
    assert custom(allow("ecs:*"), ResourcePolicy=grant(BOB), CallerArn=other, ResourceArns=[TEAM])["EvalDecision"] == (
        "implicitDeny"
    )
    denied = custom(allow("ecr:*"), ResourcePolicy=grant(BOB, effect="Deny"), CallerArn=BOB, ResourceArns=[TEAM])
    assert (denied["EvalDecision"], sources(denied)) == ("explicitDeny", [("ResourcePolicy", "resource")])


def test_another_accounts_resource_needs_both_and_the_details_say_which_is_missing(custom: Callable[..., Any]):
    def details(identity: str, principal: str) -> tuple[str, Any]:
        result = custom(identity, ResourcePolicy=grant(principal), CallerArn=BOB, ResourceArns=[FOREIGN])
        assert result["EvalDecisionDetails"] == result["ResourceSpecificResults"][0]["EvalDecisionDetails"]
        return result["EvalDecision"], result["EvalDecisionDetails"]

    eve = f"arn:aws:iam::{ACCOUNT}:user/eve"
    assert details(allow("ecr:*"), BOB) == ("allowed", {"IAM Policy": "allowed", "Resource Policy": "allowed"})
    assert details(allow("ecr:*"), ACCOUNT)[0] == "allowed"
    assert details(allow("ecs:*"), BOB) == (
        "implicitDeny",
        {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"},
    )
    assert details(allow("ecr:*"), eve) == (
        "implicitDeny",
        {"IAM Policy": "allowed", "Resource Policy": "implicitDeny"},
    )


def test_the_owner_of_what_names_none_can_be_said(custom: Callable[..., Any]):
    bucket = "arn:aws:s3:::bucket/key"
    given = {"actions": "s3:GetObject", "CallerArn": BOB, "ResourceArns": [bucket]}
    policy = grant(BOB, action="s3:GetObject")
    assert custom(allow("ecr:*"), ResourcePolicy=policy, **given)["EvalDecision"] == "allowed"
    for owner in ("210987654321", "arn:aws:iam::210987654321:root"):
        result = custom(allow("ecr:*"), ResourcePolicy=policy, ResourceOwner=owner, **given)
        assert result["EvalDecision"] == "implicitDeny"
        assert result["EvalDecisionDetails"]["Resource Policy"] == "allowed"
    assert refusal(lambda **more: custom(allow("*"), **more), ResourceOwner="me", **given)[0] == "InvalidInput"


@pytest.mark.parametrize(
    "params",
    [
        {"PolicyInputList": ["{}"]},
        {"PolicyInputList": [grant(BOB)]},
        {"ActionNames": ["ecr:*"]},
        {"ActionNames": ["PutImage"]},
        {"ResourceArns": ["app"]},
        {"ResourcePolicy": grant(BOB)},
        {"ResourcePolicy": "{}", "CallerArn": BOB},
        {"CallerArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s"},
        {"CallerArn": "nobody"},
        {"PermissionsBoundaryPolicyInputList": [allow("*"), allow("*")]},
        {"OrderedOrganizationPolicyInputList": [{"ServiceControlPolicyInputList": ["{}"]}]},
        {"ResourceHandlingOption": "EC2-Something"},
        {"Marker": "eHk="},
    ],
)
def test_what_cannot_be_simulated_is_refused(iam: "IAMClient", params: dict[str, Any]):
    given = {"PolicyInputList": [allow("*")], "ActionNames": ["ecr:PutImage"], **params}
    code, status, message = refusal(iam.simulate_custom_policy, **given)
    assert (code, status) == ("InvalidInput", 400)
    assert message.startswith("Invalid Input ")


def test_a_resource_policy_is_played_for_users_only(custom: Callable[..., Any]):
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    assert refusal(lambda **given: custom(allow("*"), **given), ResourcePolicy=grant(role), CallerArn=role) == (
        "InvalidInput",
        400,
        "Invalid caller - Caller must be an IAM user in this context.",
    )


def test_the_results_are_paged(iam: "IAMClient"):
    actions = [f"ecr:Action{number}" for number in range(7)]
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[allow("*")], ActionNames=actions, PaginationConfig={"PageSize": 3}
    )
    assert [[one["EvalActionName"] for one in page["EvaluationResults"]] for page in pages] == [
        actions[:3],
        actions[3:6],
        actions[6:],
    ]


def test_an_answer_holds_fewer_results_where_each_costs_much(iam: "IAMClient"):
    statement = {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}
    matched = {**statement, "Action": "ecr:*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [*[statement] * 1_998, matched]})
    actions = [f"ecr:Action{number}" for number in range(60)]
    pages: Any = list(
        iam.get_paginator("simulate_custom_policy").paginate(PolicyInputList=[policy], ActionNames=actions)
    )
    assert [len(page["EvaluationResults"]) for page in pages] == [25, 25, 10]
    first = pages[0]["EvaluationResults"][0]
    assert (first["EvalDecision"], len(first["MatchedStatements"])) == ("allowed", 1)
    code, _, message = refusal(
        iam.simulate_custom_policy,
        PolicyInputList=[policy],
        ActionNames=actions,
        ResourceArns=[f"{REPOSITORY}/{number}" for number in range(26)],
    )
    assert (code, message.startswith("Invalid Input ResourceArns")) == ("InvalidInput", True)


def test_patterns_that_take_long_are_played_on_few_resources_at_once(custom: Callable[..., Any]):
    """What a pattern costs grows with its length times that of what it is laid on."""
    name = "arn:aws:ecr:us-east-1:1:repository/" + "a" * 1900
    arns = [f"{name}{number}" for number in range(50)]
    costly = allow("ecr:*", resource="arn:aws:ecr:*:*:repository/*" + "?a*" * 600 + "z")
    plain = allow("ecr:*", resource="arn:aws:ecr:*:*:repository/*" + "a*" * 900 + "z")
    assert custom(costly, ResourceArns=arns[:2])["EvalDecision"] == "implicitDeny"
    assert len(custom(plain, ResourceArns=arns)["ResourceSpecificResults"]) == 50
    code, _, message = refusal(lambda **given: custom(costly, **given), ResourceArns=arns)
    assert (code, message.startswith("Invalid Input ResourceArns")) == ("InvalidInput", True)


# -- policies of somebody


@pytest.fixture
def someone(iam: "IAMClient", name: str) -> str:
    """The ARN of a user with policies of every sort, in a group."""
    iam.create_group(GroupName=f"{name}-g")
    arn = iam.create_user(UserName=name, Path="/p/")["User"]["Arn"]
    iam.add_user_to_group(GroupName=f"{name}-g", UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=allow("ecr:PutImage"))
    iam.put_group_policy(GroupName=f"{name}-g", PolicyName="ours", PolicyDocument=allow("ecr:ListImages"))
    made = iam.create_policy(PolicyName=f"{name}-m", PolicyDocument=allow("ecr:DescribeRegistry"))["Policy"]
    iam.attach_user_policy(UserName=name, PolicyArn=made["Arn"])
    iam.attach_group_policy(GroupName=f"{name}-g", PolicyArn=AWS_READ_ONLY)
    return arn


def simulated(iam: "IAMClient", arn: str, *actions: str, **params: Any) -> dict[str, Any]:
    answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions), **params)
    return {one["EvalActionName"]: one for one in answer["EvaluationResults"]}


def test_each_policy_of_somebody_is_named(iam: "IAMClient", name: str, someone: str):
    results = simulated(
        iam, someone, "ecr:PutImage", "ecr:ListImages", "ecr:DescribeRegistry", "ecr:BatchGetImage", "ecs:RunTask"
    )
    assert {action: sources(result) for action, result in results.items()} == {
        "ecr:PutImage": [(f"user_{name}_own", "user")],
        "ecr:ListImages": [
            (f"group_{name}-g_ours", "group"),
            ("AmazonEC2ContainerRegistryReadOnly", "aws-managed"),
        ],
        "ecr:DescribeRegistry": [(f"{name}-m", "user-managed")],
        "ecr:BatchGetImage": [("AmazonEC2ContainerRegistryReadOnly", "aws-managed")],
        "ecs:RunTask": [],
    }
    assert results["ecs:RunTask"]["EvalDecision"] == "implicitDeny"


def test_groups_and_roles_are_simulated_too(iam: "IAMClient", name: str, someone: str):
    group = f"arn:aws:iam::{ACCOUNT}:group/{name}-g"
    assert sources(simulated(iam, group, "ecr:ListImages")["ecr:ListImages"])[0] == (f"group_{name}-g_ours", "group")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="push", PolicyDocument=allow("ecr:PutImage"))
    result = simulated(iam, role, "ecr:PutImage", ResourceArns=[TEAM])["ecr:PutImage"]
    assert (result["EvalDecision"], sources(result)) == ("allowed", [(f"role_{name}_push", "role")])


def test_the_boundary_of_somebody_counts_and_may_be_replaced_or_left_out(iam: "IAMClient", name: str, someone: str):
    limit = iam.create_policy(PolicyName=f"{name}-limit", PolicyDocument=allow("ecr:List*"))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=limit)
    result = simulated(iam, someone, "ecr:PutImage")["ecr:PutImage"]
    assert (result["EvalDecision"], result["PermissionsBoundaryDecisionDetail"]) == (
        "implicitDeny",
        {"AllowedByPermissionsBoundary": False},
    )
    wider = simulated(iam, someone, "ecr:PutImage", PermissionsBoundaryPolicyInputList=[allow("*")])["ecr:PutImage"]
    assert wider["EvalDecision"] == "allowed"
    without = simulated(iam, someone, "ecr:PutImage", PolicyExclusionList=[{"PolicyType": "permission-boundary"}])
    assert without["ecr:PutImage"]["EvalDecision"] == "allowed"
    assert "PermissionsBoundaryDecisionDetail" not in without["ecr:PutImage"]


def test_policies_are_added_and_left_out(iam: "IAMClient", name: str, someone: str):
    deny = allow("ecr:PutImage", effect="Deny")
    result = simulated(iam, someone, "ecr:PutImage", PolicyInputList=[deny])["ecr:PutImage"]
    assert (result["EvalDecision"], sources(result)) == ("explicitDeny", [("PolicyInputList.1", "none")])
    actions = ("ecr:PutImage", "ecr:ListImages", "ecr:DescribeRegistry", "ecr:BatchGetImage")

    def left(*excluded: Any) -> set[str]:
        results = simulated(iam, someone, *actions, PolicyExclusionList=list(excluded))
        return {action for action, one in results.items() if one["EvalDecision"] == "allowed"}

    def inline(policy: str, kind: str, owner: str) -> Any:
        return {"InlinePolicyIdentifier": {"PolicyName": policy, "AttachmentType": kind, "AttachmentName": owner}}

    put, listing, registry, get = actions
    assert left({"PolicyType": "inline"}) == {listing, registry, get}
    assert left({"PolicyType": "aws-managed"}) == {put, listing, registry}
    assert left({"PolicyType": "user-managed"}, {"PolicyType": "rcp"}) == {put, listing, get}
    assert left({"PolicyArn": AWS_READ_ONLY}, inline("ours", "group", f"{name}-G")) == {put, registry}
    assert left({"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/{name}-?"}) == {put, listing, get}
    assert left({"PolicyArn": "arn:aws:iam::aws:policy/Amazon*ReadOnly"}) == {put, listing, registry}
    assert left(inline("own", "user", name), inline("own", "role", name)) == {listing, registry, get}
    assert left(inline("own", "user", "somebody-else")) == set(actions)
    for bad in ("arn:aws:iam::*:policy/x", "arn:aws:iam::aws:policy/a*b*c", "rubbish, but long enough"):
        given = {"PolicySourceArn": someone, "ActionNames": [put], "PolicyExclusionList": [{"PolicyArn": bad}]}
        assert refusal(iam.simulate_principal_policy, **given)[0] == "InvalidInput"


def test_somebody_may_be_played_as_somebody_else(iam: "IAMClient", someone: str):
    result = simulated(
        iam, someone, "ecr:UploadLayerPart", ResourcePolicy=grant(BOB, action="ecr:UploadLayerPart"), CallerArn=BOB
    )
    assert result["ecr:UploadLayerPart"]["EvalDecision"] == "allowed"
    own = simulated(iam, someone, "ecr:UploadLayerPart", ResourcePolicy=grant(BOB, action="ecr:UploadLayerPart"))
    assert own["ecr:UploadLayerPart"]["EvalDecision"] == "implicitDeny"


def test_the_keys_that_somebodys_policies_read(iam: "IAMClient", name: str, someone: str):
    condition = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    iam.put_group_policy(GroupName=f"{name}-g", PolicyName="tagged", PolicyDocument=allow("ecr:*", Condition=condition))
    given = allow("ecr:*", Condition={"Bool": {"aws:SecureTransport": "true"}})
    keys = iam.get_context_keys_for_principal_policy(PolicySourceArn=someone, PolicyInputList=[given])
    assert keys["ContextKeyNames"] == ["aws:ResourceTag/team", "aws:PrincipalTag/team", "aws:SecureTransport"]


def test_somebody_who_is_not_there(iam: "IAMClient", name: str, someone: str):
    for kind in ("user", "group", "role"):
        for call, more in (
            (iam.simulate_principal_policy, {"ActionNames": ["ecr:PutImage"]}),
            (iam.get_context_keys_for_principal_policy, {}),
        ):
            arn = f"arn:aws:iam::{ACCOUNT}:{kind}/{name}-nobody"
            assert refusal(call, PolicySourceArn=arn, **more) == not_there(kind, f"{name}-nobody")
    without_path = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert refusal(iam.get_context_keys_for_principal_policy, PolicySourceArn=without_path) == not_there("user", name)
    for bad in (f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:policy/x", "rubbish, but long enough"):
        assert refusal(iam.get_context_keys_for_principal_policy, PolicySourceArn=bad)[0] == "InvalidInput"


def test_leave_is_asked_for_whose_policies_are_shown(iam: "IAMClient", name: str, acting: Callable[..., Any]):
    iam.create_user(UserName=name)
    me = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    document = allow("iam:SimulatePrincipalPolicy", "iam:GetContextKeysForPrincipalPolicy", resource=me)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    client = acting(name)
    assert simulated(client, me, "ecr:PutImage")["ecr:PutImage"]["EvalDecision"] == "implicitDeny"
    assert client.get_context_keys_for_principal_policy(PolicySourceArn=me)["ContextKeyNames"] == []
    other = f"arn:aws:iam::{ACCOUNT}:user/{name}-other"
    for call in (
        lambda: simulated(client, other, "ecr:PutImage"),
        lambda: client.simulate_custom_policy(PolicyInputList=[allow("*")], ActionNames=["ecr:PutImage"]),
        lambda: client.get_context_keys_for_custom_policy(PolicyInputList=[allow("*")]),
    ):
        assert refusal(call)[:2] == ("AccessDenied", 403)

"""What the policy simulator says of an account's organization."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.wire.organizations.conftest import Account, Organization, statement


@pytest.fixture
def simulate(organization: Organization, account: Account) -> Callable[..., Any]:
    """Plays an action of a user who may do everything, in a member of the organization whose policy is given."""
    organization.join(account)
    iam = account.client("iam")
    arn = iam.create_user(UserName="admin")["User"]["Arn"]
    iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=json.dumps(statement("Allow", "*")))

    def play(action: str, **more: Any) -> Any:
        answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=[action], **more)
        return answer["EvaluationResults"][0]

    return play


def test_service_control_policies_limit_a_members_users(
    organization: Organization, account: Account, simulate: Callable[..., Any]
):
    allowed = simulate("ecr:DeleteRepository")
    assert (allowed["EvalDecision"], allowed["OrganizationsDecisionDetail"]) == (
        "allowed",
        {"AllowedByOrganizations": True},
    )
    policy = organization.policy(statement("Deny", "ecr:Delete*"))
    organization.client.attach_policy(PolicyId=policy, TargetId=account.id)
    denied = simulate("ecr:DeleteRepository")
    assert (denied["EvalDecision"], denied["OrganizationsDecisionDetail"], denied["MatchedStatements"]) == (
        "explicitDeny",
        {"AllowedByOrganizations": False},
        [],
    )
    assert simulate("ecr:PutImage")["EvalDecision"] == "allowed"


def test_service_control_policies_may_be_left_out(
    organization: Organization, account: Account, simulate: Callable[..., Any]
):
    policy = organization.policy(statement("Deny", "ecr:Delete*"))
    organization.client.attach_policy(PolicyId=policy, TargetId=account.id)
    arn = organization.client.describe_policy(PolicyId=policy)["Policy"]["PolicySummary"]["Arn"]
    without = simulate("ecr:DeleteRepository", PolicyExclusionList=[{"PolicyArn": arn}])
    assert (without["EvalDecision"], without["OrganizationsDecisionDetail"]) == (
        "allowed",
        {"AllowedByOrganizations": True},
    )
    none = simulate("ecr:DeleteRepository", PolicyExclusionList=[{"PolicyType": "scp"}])
    assert none["EvalDecision"] == "allowed"
    assert "OrganizationsDecisionDetail" not in none

"""`longshore policy simulate` beside a live server."""

import json
from typing import Any

import pytest

from tests.live import LiveServer
from tests.wire.principals import allow, arn, deny, make_user, policy


def simulated(server: LiveServer, *arguments: str) -> list[dict[str, Any]]:
    done = server.longshore("policy", "simulate", "--format", "json", *arguments)
    assert done.stderr == "", done.stderr
    found = json.loads(done.stdout)
    assert done.returncode == (0 if all(one["decision"] == "allowed" for one in found) else 1)
    return found


@pytest.fixture(scope="module")
def peopled(server: LiveServer) -> LiveServer:
    """A user in a group, with a boundary, and a repository with a policy."""
    iam = server.client("iam")
    make_user(server, "ci", allow("ecr:PutImage", on=arn("team-a/*")))
    iam.create_group(GroupName="readers")
    iam.put_group_policy(
        GroupName="readers", PolicyName="read", PolicyDocument=policy(allow("ecr:Describe*", "ecr:Delete*"))
    )
    iam.add_user_to_group(GroupName="readers", UserName="ci")
    ceiling = policy(allow("ecr:Describe*", "ecr:Put*", "ecr:Batch*"))
    boundary = iam.create_policy(PolicyName="ceiling", PolicyDocument=ceiling)["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="ci", PermissionsBoundary=boundary)
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName="team-a/app", tags=[{"Key": "stage", "Value": "prod"}])
    statement = deny("ecr:PutImage", Principal={"AWS": "arn:aws:iam::123456789012:user/ci"})
    statement |= {"Condition": {"StringEquals": {"ecr:ResourceTag/stage": "prod"}}}
    ecr.set_repository_policy(repositoryName="team-a/app", policyText=policy(statement))
    return server


def test_everything_that_counts_is_looked_up(peopled: LiveServer):
    ask = ("--principal", "user/ci", "--resource", "team-a/app", "--resource", "team-a/web")
    app, web = simulated(peopled, *ask, "--action", "ecr:PutImage")
    assert (app["decision"], app["kind"]) == ("denied", "repository policy")
    assert web["decision"] == "allowed"
    (deleted,) = simulated(peopled, *ask[:4], "--action", "ecr:DeleteRepository")
    assert deleted["reason"] == "no permissions boundary allows"
    (described,) = simulated(peopled, *ask[:4], "--action", "ecr:DescribeImages")
    assert [one["policy"] for one in described["statements"]] == ["read"]


def test_the_answer_is_the_server_s_own(peopled: LiveServer):
    user = make_user(peopled, "pusher", allow("ecr:DescribeImages", on=arn("team-a/*")))
    (found,) = simulated(peopled, "--principal", user.arn, "--action", "ecr:DescribeImages", "--resource", "team-b/app")
    with pytest.raises(Exception, match="not authorized") as refused:
        user.api().describe_images(repositoryName="team-b/app")
    assert refused.value.response["Error"]["Message"] == found["sentence"]


def test_files_count_beside_what_is_stored(peopled: LiveServer, tmp_path):
    more = tmp_path / "more.json"
    more.write_text(policy(allow("ecr:BatchGetImage")))
    ask = ("--principal", "user/ci", "--resource", "team-a/web", "--action", "ecr:BatchGetImage")
    assert simulated(peopled, *ask)[0]["decision"] == "denied"
    assert simulated(peopled, *ask, "--live", "--policy", str(more))[0]["decision"] == "allowed"
    open_to_all = tmp_path / "open.json"
    open_to_all.write_text(policy({**allow("ecr:PutImage", Principal="*")}))
    ask = ("--principal", "user/ci", "--resource", "team-a/app", "--action", "ecr:PutImage", "--live")
    assert simulated(peopled, *ask, "--repository-policy", str(open_to_all))[0]["decision"] == "allowed"


def test_a_role_is_looked_up_with_its_trust(peopled: LiveServer):
    trust = policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::123456789012:user/ci"}}
    )
    iam = peopled.client("iam")
    iam.create_role(RoleName="pull", AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName="pull", PolicyName="pull", PolicyDocument=policy(allow("ecr:BatchGetImage")))
    ask = ("--action", "sts:AssumeRole", "--resource", "role/pull", "--principal")
    assert simulated(peopled, *ask, "user/ci")[0]["decision"] == "allowed"
    assert simulated(peopled, *ask, "role/pull")[0]["decision"] == "denied"
    (pulled,) = simulated(
        peopled, "--principal", "role/pull", "--action", "ecr:BatchGetImage", "--resource", "team-a/web"
    )
    assert pulled["principal"] == "arn:aws:sts::123456789012:assumed-role/pull/rehearsal"
    assert pulled["decision"] == "allowed"


@pytest.mark.parametrize(
    "who", ["user/nobody", "role/nothing", "oidc-provider/nowhere.test", "arn:aws:iam::999999999999:root"]
)
def test_who_is_not_there_is_told(peopled: LiveServer, who: str):
    done = peopled.longshore("policy", "simulate", "--principal", who, "--action", "push")
    assert done.returncode == 2
    assert "there is no" in done.stderr


def test_what_is_simulated_is_no_decision_on_record(peopled: LiveServer):
    simulated(peopled, "--principal", "user/ci", "--action", "ecr:TagResource", "--resource", "team-a/never-seen")
    done = peopled.longshore("audit", "--resource", "team-a/never-seen")
    assert done.stdout == ""

"""A project whose tests pass: principals of every kind."""

import json
import urllib.request

import pytest
from pytest_longshore import PULL, PUSH


def allow(*actions, resource="*", **more):
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}],
    }


def test_users_with_policies_of_every_kind(longshore):
    puller = longshore.policy(allow(*PULL), name="puller")
    group = longshore.group(managed="AmazonEC2ContainerRegistryReadOnly")
    for user in (
        longshore.user(policy=allow(*PULL)),
        longshore.user(managed=puller),
        longshore.user(groups=group),
        longshore.user("named", policy=json.dumps(allow(*PULL)), tags={"team": "a"}),
    ):
        user.allowed(PULL, "some/images")
        user.denied(PUSH[1:], "some/images", because="no identity-based policy allows")
    limited = longshore.user(managed="AdministratorAccess", boundary=puller)
    limited.allowed(PULL, "some/images")
    limited.denied("ecr:PutImage", "some/images", because="no permissions boundary allows")


def test_sessions(longshore):
    role = longshore.role(policy=allow("ecr:*"))
    session = role.assumed_by(session_name="ci")
    assert session.arn.endswith(":assumed-role/role-1/ci")
    session.allowed(PULL + PUSH, "some/images")
    session.allowed("ecr:DeleteRepository", "some/images")
    narrow = role.assumed_by(policy=allow("ecr:ListImages"))
    narrow.allowed("ecr:ListImages", "some/images")
    narrow.denied("ecr:PutImage", "some/images", because="no session policy allows")
    with pytest.raises(Exception, match="a session with a policy of its own"):
        narrow.allowed("ecr:DeleteRepository", "some/images")
    with narrow.refused("ecr:DeleteRepository") as refusal:
        narrow.client("ecr").delete_repository(repositoryName="some/images")
    assert "no session policy allows" in str(refusal)


def test_a_role_trusts_whom_it_is_told_to(longshore):
    chosen, other = longshore.user(), longshore.user(policy=allow("sts:AssumeRole"))
    role = longshore.role(trust=chosen, policy=allow("ecr:ListImages"))
    role.assumed_by(chosen).allowed("ecr:ListImages", "some/images")
    with other.refused():
        role.assumed_by(other)


def test_another_account(longshore):
    partner = longshore.account()
    repository = longshore.repository(
        "shared/images",
        policy={
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": partner.id}, "Action": list(PULL)}],
        },
    )
    user = partner.user(policy=allow("ecr:*"))
    user.allowed(PULL, repository)
    user.denied("ecr:PutImage", repository, because="no resource-based policy allows")
    user.allowed("ecr:PutImage", "shared/images")  # of its own account
    partner.root.denied("ecr:PutImage", repository)


def test_addresses_and_context_keys(longshore):
    office = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    user = longshore.user(policy=allow("ecr:*", Condition=office))
    user.at("203.0.113.7").allowed("ecr:ListImages", "some/images")
    user.at("198.51.100.7").denied("ecr:ListImages", "some/images")
    user.denied("ecr:ListImages", "some/images")
    user.allowed("ecr:ListImages", "some/images", context={"aws:SourceIp": "203.0.113.7"})
    user.denied("ecr:CreateRepository", "some/images", context={"aws:SourceIp": "198.51.100.7"})


def test_organizations(longshore):
    organizations = longshore.client("organizations")
    organizations.create_organization()
    partner = longshore.account()
    sent = organizations.invite_account_to_organization(Target={"Id": partner.id, "Type": "ACCOUNT"})
    partner.client("organizations").accept_handshake(HandshakeId=sent["Handshake"]["Id"])
    made = organizations.create_policy(
        Type="SERVICE_CONTROL_POLICY",
        Name="a",
        Description="",
        Content=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "ecr:PutImage", "Resource": "*"}}
        ),
    )
    organizations.attach_policy(PolicyId=made["Policy"]["PolicySummary"]["Id"], TargetId=partner.id)
    partner.root.denied("ecr:PutImage", "some/images", because="explicit deny in a service control policy")
    partner.root.allowed("ecr:ListImages", "some/images")


def test_docker_is_logged_in(longshore, tmp_path):
    user = longshore.user(policy=allow("ecr:GetAuthorizationToken"))
    login = user.docker_login()
    assert login.username == "AWS"
    assert login.password not in repr(login)
    config = json.loads((user.docker_config(tmp_path / "docker") / "config.json").read_text())
    pair = config["auths"][login.registry]["auth"]
    request = urllib.request.Request(f"{longshore.server.url}/v2/", headers={"Authorization": f"Basic {pair}"})
    with urllib.request.urlopen(request) as response:
        assert response.status == 200
    with longshore.user().refused("ecr:GetAuthorizationToken"):
        longshore.user().docker_login()


def test_environment(longshore):
    user = longshore.user()
    assert user.environment["AWS_ENDPOINT_URL"] == longshore.server.url
    assert user.client("sts").get_caller_identity()["Arn"] == user.arn


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_begins_with_nothing(longshore, turn):
    assert longshore.client("ecr").describe_repositories()["repositories"] == []
    assert longshore.client("iam").list_users()["Users"] == []
    user = longshore.user("same")
    longshore.user(groups=longshore.group("same"))
    longshore.repository("same/name", tags={"a": "b"})
    longshore.role("same", managed=longshore.policy(allow("ecr:*"), "same"))
    longshore.client("ecr").put_registry_policy(
        policyText=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": user.arn},
                        "Action": "ecr:CreateRepository",
                        "Resource": "*",
                    }
                ],
            }
        )
    )

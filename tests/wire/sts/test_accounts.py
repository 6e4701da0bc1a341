"""Roles across accounts: both sides have to want it, and an account that is closed takes its sessions with it."""

import subprocess
import sys
import time

import pytest

from tests.live import LiveServer
from tests.wire.principals import Owner, make_account, make_user
from tests.wire.sts.conftest import ACCOUNT, House, allow, credentials, policy, refusal, trust

PROMISED = 2.0
"""Seconds: the one within which a change counts everywhere, and one for a machine with too much to do."""


@pytest.fixture(scope="module")
def other(server: LiveServer) -> Owner:
    return make_account(server, "other")


def set_account(server: LiveServer, command: str, account: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "server", "account", command, account, "--data", str(server.data)],
        env=server.environment(), cwd=server.directory, capture_output=True, check=True,
    )  # fmt: skip


def test_a_role_for_another_account_takes_leave_on_both_sides(house: House, other: Owner, name: str):
    may = make_user(house.server, f"{name}-may", allow("sts:AssumeRole"), iam=other.api("iam"))
    may_not = make_user(house.server, f"{name}-not", iam=other.api("iam"))
    trusts_account = house.role(f"{name}-account", trust({"AWS": other.account}))
    trusts_users = house.role(f"{name}-users", trust({"AWS": [may.arn, may_not.arn]}))
    trusts_nobody_there = house.role(f"{name}-nobody", trust({"AWS": ACCOUNT}))
    for role in (trusts_account, trusts_users):
        assumed = may.api("sts").assume_role(RoleArn=role, RoleSessionName="job-7")
        assert assumed["AssumedRoleUser"]["Arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}-")
    missing = f"arn:aws:iam::{ACCOUNT}:role/{name}-missing"
    for person, role in (
        (may_not, trusts_account), (may_not, trusts_users), (may, trusts_nobody_there), (may, missing), (may_not, missing),
    ):  # fmt: skip
        assert refusal(person.api("sts").assume_role, RoleArn=role, RoleSessionName="job-7") == (
            403, "AccessDenied",
            f"User: {person.arn} is not authorized to perform: sts:AssumeRole on resource: {role}",
        )  # fmt: skip


def test_a_second_account_pulls_by_a_role_with_its_external_id(house: House, other: Owner, name: str):
    house.server.client("ecr").create_repository(repositoryName=f"{name}/app")
    pull = allow(
        ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}/*"
    )
    role = house.role(
        name,
        trust({"AWS": other.account}, Condition={"StringEquals": {"sts:ExternalId": "secret-42"}}),
        grants=(pull, allow("ecr:GetAuthorizationToken")),
    )
    sts = make_user(house.server, name, allow("sts:AssumeRole"), iam=other.api("iam")).api("sts")
    call = {"RoleArn": role, "RoleSessionName": "job-7"}
    assert refusal(sts.assume_role, **call)[:2] == (403, "AccessDenied")
    assert refusal(sts.assume_role, **call, ExternalId="secret-43")[:2] == (403, "AccessDenied")
    session = credentials(sts.assume_role(**call, ExternalId="secret-42")["Credentials"])
    assert house.client("sts", session).get_caller_identity()["Account"] == ACCOUNT
    with house.docker({"aws_access_key_id": house.server.access_key_id,
                       "aws_secret_access_key": house.server.secret_access_key}) as root:  # fmt: skip
        root.push_image(f"{name}/app", "latest")
    with house.docker(session) as docker:
        assert docker("GET", f"/v2/{name}/app/manifests/latest").status == 200
        assert docker("POST", f"/v2/{name}/app/blobs/uploads/").said == (403, "DENIED")


def test_a_closed_account_takes_its_keys_sessions_and_passwords_with_it(house: House, name: str):
    owner = make_account(house.server, name)
    user = make_user(house.server, name, allow("*"), iam=owner.api("iam"))
    trusted = policy(trust({"AWS": [owner.account, ACCOUNT]}))
    role = owner.api("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    from_home = house.client("sts", house.user(name, allow("sts:*")))
    issued = user.api("sts").assume_role(RoleArn=role, RoleSessionName="job-7")["Credentials"]
    sessions = [
        credentials(issued), credentials(owner.api("sts").get_session_token()["Credentials"]),
        {"aws_access_key_id": user.key_id, "aws_secret_access_key": user.secret},
    ]  # fmt: skip
    docker = user.docker(host=f"{owner.account}.dkr.ecr.us-east-1.registry.test:{house.server.port}")
    assert docker("GET", "/v2/").status == 200
    for command, expected in (("close", False), ("reopen", True)):
        set_account(house.server, command, owner.account)
        status, begun = (200 if expected else 401), time.monotonic()
        while docker("GET", "/v2/").status != status:  # another process made the change
            assert time.monotonic() - begun < PROMISED
        for session in sessions:
            sts = house.client("sts", session)
            if expected:
                sts.get_caller_identity()
            else:
                assert refusal(sts.get_caller_identity)[:2] == (403, "InvalidClientTokenId")
        if expected:
            from_home.assume_role(RoleArn=role, RoleSessionName="job-7")
        else:
            assert refusal(from_home.assume_role, RoleArn=role, RoleSessionName="job-7")[:2] == (403, "AccessDenied")
    docker.close()

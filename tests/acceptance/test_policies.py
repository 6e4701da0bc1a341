"""Who may push and pull, set up by the AWS CLI and tried with docker: each refusal shows AWS's own sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import AWS_CLIS, aws_cli
from tests.acceptance.programs import Program
from tests.acceptance.test_docker import forget, run
from tests.acceptance.test_organizations import account_of
from tests.live import LiveServer

HOME = "123456789012"
DENIED = "denied: User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"


class Office:
    """An account's administrator at the AWS CLI, who writes policies into files."""

    def __init__(self, aws: Program, directory: Path) -> None:
        self.aws = aws
        self._directory = directory

    def __call__(self, *arguments: str) -> Any:
        printed = self.aws(*arguments, "--output", "json")
        return json.loads(printed) if printed.strip() else None

    def document(self, *statements: dict[str, Any]) -> str:
        path = self._directory / f"policy-{len(list(self._directory.iterdir()))}.json"
        path.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
        return f"file://{path}"

    def as_user(self, name: str) -> Program:
        """The CLI with a new key of that user."""
        key = self("iam", "create-access-key", "--user-name", name)["AccessKey"]
        return self.aws.using(AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])


def log_in(docker: Program, aws: Program, server: LiveServer) -> None:
    docker("logout", server.address)
    password = aws("ecr", "get-login-password").strip()
    docker("login", "--username", "AWS", "--password-stdin", server.address, stdin=password)


@pytest.mark.parametrize("docker_path", ["debian"], indirect=True)
@pytest.mark.parametrize("version", AWS_CLIS)
def test_the_story_of_a_team(
    version: str,
    server: LiveServer,
    docker: Program,
    build: Callable[..., str],
    scratch: Path,
    tmp_path: Path,
) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    cli = aws_cli(version, server, scratch)
    admin = Office(cli, documents)
    partner = Office(cli.using(**account_of(server, f"partner-{version}")), documents)
    partner_account = partner("sts", "get-caller-identity")["Account"]
    ours, others = f"team-a-{version}/app", f"team-b-{version}/app"
    for name in (ours, others):
        admin("ecr", "create-repository", "--repository-name", name)
    arn = {name: f"arn:aws:ecr:us-east-1:{HOME}:repository/{name}" for name in (ours, others)}
    image = {name: f"{server.address}/{name}:v1" for name in (ours, others)}
    for name, uri in image.items():
        build(uri, says=f"made for {name}")

    # a user for CI, who may push to the repositories of one team and to no other
    user = f"ci-{version}"
    admin("iam", "create-user", "--user-name", user)
    admin(
        "iam", "put-user-policy", "--user-name", user, "--policy-name", "push", "--policy-document",
        admin.document(
            {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": [
                    "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
                    "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage",
                ],
                "Resource": f"arn:aws:ecr:*:{HOME}:repository/team-a-{version}/*",
            },
        ),
    )  # fmt: skip
    ci = admin.as_user(user)
    ci_arn = f"arn:aws:iam::{HOME}:user/{user}"
    log_in(docker, ci, server)
    docker("push", image[ours])
    refused = docker.fails("push", image[others])
    assert (
        DENIED.format(
            arn=ci_arn, action="ecr:InitiateLayerUpload", resource=arn[others],
            why="because no identity-based policy allows the ecr:InitiateLayerUpload action",
        )
        in refused
    )  # fmt: skip
    forget(docker, image[ours])
    refused = docker.fails("pull", image[ours])  # the manifest it may read, for its own pushes; layers it may not
    assert "ecr:GetDownloadUrlForLayer" in refused

    # a role for pulling, which the partner's account assumes
    role = f"puller-{version}"
    role_arn = f"arn:aws:iam::{HOME}:role/{role}"
    admin(
        "iam", "create-role", "--role-name", role, "--assume-role-policy-document",
        admin.document(
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{partner_account}:root"}, "Action": "sts:AssumeRole"}
        ),
    )  # fmt: skip
    admin(
        "iam", "attach-role-policy", "--role-name", role,
        "--policy-arn", "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly",
    )  # fmt: skip
    partner("iam", "create-user", "--user-name", "deployer")
    deployer = partner.as_user("deployer")
    deployer_arn = f"arn:aws:iam::{partner_account}:user/deployer"
    assuming = ("sts", "assume-role", "--role-arn", role_arn, "--role-session-name", "deploy", "--output", "json")
    refused = deployer.fails(*assuming)
    assert f"User: {deployer_arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}" in refused
    partner(
        "iam", "put-user-policy", "--user-name", "deployer", "--policy-name", "assume", "--policy-document",
        partner.document({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn}),
    )  # fmt: skip
    session = json.loads(deployer(*assuming))["Credentials"]
    puller = cli.using(
        AWS_ACCESS_KEY_ID=session["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=session["SecretAccessKey"],
        AWS_SESSION_TOKEN=session["SessionToken"],
    )
    log_in(docker, puller, server)
    docker("pull", image[ours])
    assert run(docker, image[ours]) == f"made for {ours}"
    docker("tag", image[ours], f"{server.address}/{ours}:v2")
    refused = docker.fails("push", f"{server.address}/{ours}:v2")
    session_arn = f"arn:aws:sts::{HOME}:assumed-role/{role}/deploy"
    assert f"denied: User: {session_arn} is not authorized to perform: ecr:" in refused

    # the partner's own user comes in by the repository's policy, once both accounts allow it
    partner(
        "iam", "put-user-policy", "--user-name", "deployer", "--policy-name", "pull", "--policy-document",
        partner.document(
            {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
            {"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], "Resource": arn[ours]},
        ),
    )  # fmt: skip
    log_in(docker, deployer, server)
    forget(docker, image[ours], f"{server.address}/{ours}:v2")
    refused = docker.fails("pull", image[ours])
    assert (
        DENIED.format(
            arn=deployer_arn, action="ecr:BatchGetImage", resource=arn[ours],
            why="because no resource-based policy allows the ecr:BatchGetImage action",
        ).removeprefix("denied: ")
        in refused
    )  # fmt: skip
    let_in = {
        "Sid": "PartnerPulls",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{partner_account}:root"},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }

    def set_policy(*statements: dict[str, Any]) -> None:
        text = admin.document(*statements)
        admin("ecr", "set-repository-policy", "--repository-name", ours, "--policy-text", text)

    set_policy(let_in)
    docker("pull", image[ours])
    assert run(docker, image[ours]) == f"made for {ours}"

    # nobody pulls from anywhere but the office
    def only_from(network: str) -> dict[str, Any]:
        return {
            "Sid": "OnlyFromTheOffice",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "ecr:BatchGetImage",
            "Condition": {"NotIpAddress": {"aws:SourceIp": network}},
        }

    set_policy(let_in, only_from("203.0.113.0/24"))
    forget(docker, image[ours])
    refused = docker.fails("pull", image[ours])
    assert (
        DENIED.format(
            arn=deployer_arn, action="ecr:BatchGetImage", resource=arn[ours],
            why="with an explicit deny in a resource-based policy",
        ).removeprefix("denied: ")
        in refused
    )  # fmt: skip
    set_policy(let_in, only_from("127.0.0.0/8"))
    docker("pull", image[ours])

    # a key that is deleted takes its tokens with it
    key = ci.environment["AWS_ACCESS_KEY_ID"]
    log_in(docker, ci, server)
    admin("iam", "delete-access-key", "--user-name", user, "--access-key-id", key)
    docker.fails("push", image[ours])
    admin("iam", "delete-user-policy", "--user-name", user, "--policy-name", "push")
    admin("iam", "delete-user", "--user-name", user)

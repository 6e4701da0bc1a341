"""`longshore policy simulate` with files."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.cli import main

REPOSITORIES = "arn:aws:ecr:us-east-1:123456789012:repository"
CI = "arn:aws:iam::123456789012:user/ci"


def statement(action: Any, resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    named = {} if resource is None else {"Resource": resource}
    return {"Effect": effect, "Action": action, **named, **more}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *statements: dict[str, Any]) -> str:
    Path(name).write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=1))
    return name


@pytest.fixture
def push() -> str:
    return write(
        "push.json",
        statement("ecr:GetAuthorizationToken"),
        statement(["ecr:PutImage", "ecr:*Layer*"], f"{REPOSITORIES}/team-a/*", Sid="Push"),
    )


def simulate(*arguments: str) -> int:
    return main(["policy", "simulate", *arguments])


def decided(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    code = simulate("--format", "json", *arguments)
    said = capsys.readouterr()
    assert said.err == ""
    found = json.loads(said.out)
    assert code == (0 if all(one["decision"] == "allowed" for one in found) else 1)
    return found


def test_an_answer_is_explained_statement_by_statement(push: str, capsys):
    assert (
        simulate("--policy", push, "--principal", "user/ci", "--action", "ecr:PutImage", "--resource", "team-a/app")
        == 0
    )
    assert (
        capsys.readouterr().out
        == f"""\
ALLOWED
  {CI}
  ecr:PutImage on {REPOSITORIES}/team-a/app
  It is allowed, and nothing denies it.

identity-based policies: allow
  push.json
    statement 1 (line 4), Allow: does not apply
      - Action: ecr:GetAuthorizationToken does not cover ecr:PutImage
      + Resource: * covers {REPOSITORIES}/team-a/app
    statement 2 Push (line 9), Allow: applies
      + Action: ecr:PutImage covers ecr:PutImage
      + Resource: {REPOSITORIES}/team-a/* covers {REPOSITORIES}/team-a/app
"""
    )


def test_a_denial_ends_with_1_and_shows_the_sentence_that_docker_shows(push: str, capsys):
    assert (
        simulate("--policy", push, "--principal", "user/ci", "--action", "ecr:PutImage", "--resource", "team-b/app")
        == 1
    )
    assert (
        f"  User: {CI} is not authorized to perform: ecr:PutImage on resource: {REPOSITORIES}/team-b/app because no "
        "identity-based policy allows the ecr:PutImage action\n"
    ) in capsys.readouterr().out


def test_several_actions_and_resources_are_each_decided_and_summed_up(push: str, capsys):
    arguments = (
        "--policy",
        push,
        "--action",
        "push",
        "--action",
        "login",
        "--resource",
        "team-a/app",
        "--resource",
        "b",
    )
    assert simulate(*arguments, "--brief") == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert lines[5] == "ALLOWED ecr:GetAuthorizationToken on *"
    assert f"DENIED  ecr:PutImage on {REPOSITORIES}/b (no identity-based policy allows)" in lines
    assert simulate(*arguments) == 1
    assert capsys.readouterr().out.splitlines()[-11:] == lines


def test_conditions_are_held_against_the_context_that_is_given(capsys):
    inside = write("in.json", statement("ecr:*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    ask = ("--policy", inside, "--action", "ecr:PutImage", "--resource", "a")
    (without,) = decided(capsys, *ask)
    assert (without["decision"], without["missing"]) == ("denied", ["aws:SourceIp"])
    (given,) = decided(capsys, *ask, "--context", "AWS:sourceip=10.1.2.3")
    assert given["decision"] == "allowed"
    (other,) = decided(capsys, *ask, "--context", "aws:SourceIp=192.0.2.1")
    assert other["decision"] == "denied"


def test_a_key_can_be_absent(capsys):
    named = write("named.json", statement("ecr:*", Condition={"StringEquals": {"aws:username": "ci"}}))
    ask = ("--policy", named, "--principal", "user/ci", "--action", "ecr:PutImage", "--resource", "a")
    assert decided(capsys, *ask)[0]["decision"] == "allowed"
    assert decided(capsys, *ask, "--without", "aws:username")[0]["missing"] == ["aws:username"]


def test_the_time_can_be_another(capsys):
    until = write("until.json", statement("ecr:*", Condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01"}}))
    ask = ("--policy", until, "--action", "ecr:PutImage", "--resource", "a")
    assert decided(capsys, *ask, "--at", "2025-12-31T23:59:59Z")[0]["decision"] == "allowed"
    assert decided(capsys, *ask, "--at", "2026-01-01T00:00:00Z")[0]["decision"] == "denied"


def test_what_is_not_known_of_a_request_is_missing_and_not_made_up(capsys):
    safe = write("safe.json", statement("ecr:*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    ask = ("--policy", safe, "--action", "ecr:PutImage", "--resource", "a")
    assert decided(capsys, *ask)[0]["missing"] == ["aws:SecureTransport"]
    assert decided(capsys, *ask, "--context", "aws:SecureTransport=true")[0]["decision"] == "allowed"


@pytest.mark.parametrize(
    ("option", "kind", "reason"),
    [
        ("--boundary", "permissions boundary", "no permissions boundary allows"),
        ("--session", "session policy", "no session policy allows"),
    ],
)
def test_a_ceiling_takes_away_what_it_does_not_allow(option: str, kind: str, reason: str, push: str, capsys):
    ceiling = write("ceiling.json", statement("ecr:Get*"))
    ask = ("--policy", push, "--action", "ecr:PutImage", "--resource", "team-a/app", option, ceiling)
    (found,) = decided(capsys, *ask, "--principal", "role/ci")
    assert (found["decision"], found["kind"], found["reason"]) == ("denied", kind, reason)


def test_service_control_policies_are_levels_each_of_which_must_allow(push: str, capsys):
    only_get = write("get.json", statement("ecr:Get*"))
    no_delete = write("no-delete.json", statement("ecr:Delete*", effect="Deny"))
    ask = ("--policy", push, "--action", "ecr:PutImage", "--resource", "team-a/app")
    assert decided(capsys, *ask, "--scp", no_delete)[0]["decision"] == "allowed"
    (found,) = decided(capsys, *ask, "--scp", no_delete, "--scp", only_get)
    assert found["reason"] == "no service control policy allows"
    assert [layer["title"] for layer in found["layers"]][1:] == [
        "service control policies, level 1 of 2",
        "service control policies, level 2 of 2",
    ]
    assert [one["name"] for one in found["layers"][1]["policies"]] == ["FullAWSAccess", "no-delete.json"]


def test_a_repository_policy_lets_another_account_in_that_allows_it_itself(push: str, capsys):
    stranger = "arn:aws:iam::111122223333:role/pull"
    pull = write("pull.json", statement("ecr:BatchGetImage"))
    policy = write("repository.json", statement("ecr:BatchGetImage", None, Principal={"AWS": stranger}))
    ask = ("--principal", stranger, "--action", "ecr:BatchGetImage", "--resource", "team-a/app")
    assert decided(capsys, *ask, "--policy", pull)[0]["reason"] == "no resource-based policy allows"
    assert decided(capsys, *ask, "--repository-policy", policy)[0]["reason"] == "no identity-based policy allows"
    assert decided(capsys, *ask, "--policy", pull, "--repository-policy", policy)[0]["decision"] == "allowed"


def test_a_registry_policy_counts_for_every_repository(capsys):
    policy = write("registry.json", statement("ecr:CreateRepository", f"{REPOSITORIES}/*", Principal={"AWS": CI}))
    ask = ("--principal", "user/ci", "--registry-policy", policy, "--action", "ecr:CreateRepository")
    assert decided(capsys, *ask, "--resource", "any")[0]["decision"] == "allowed"


def test_a_role_is_assumed_by_whom_its_trust_policy_names(capsys):
    trust = write("trust.json", statement("sts:AssumeRole", None, Principal={"AWS": CI}))
    ask = ("--action", "sts:AssumeRole", "--resource", "role/pull", "--principal")
    assert decided(capsys, *ask, "user/ci", "--trust", trust)[0]["decision"] == "allowed"
    assert decided(capsys, *ask, "user/bob", "--trust", trust)[0]["reason"] == "no role trust policy allows"
    everything = write("all.json", statement("*"))
    assert decided(capsys, *ask, "user/bob", "--policy", everything)[0]["reason"] == "no role trust policy allows"


def test_a_token_of_an_identity_provider_is_trusted_by_its_claims(capsys):
    provider = "arn:aws:iam::123456789012:oidc-provider/ci.example.test"
    trust = write(
        "trust.json",
        statement(
            "sts:AssumeRoleWithWebIdentity",
            None,
            Principal={"Federated": provider},
            Condition={"StringLike": {"ci.example.test:sub": "repo:team-a/*"}},
        ),
    )
    ask = ("--principal", "oidc-provider/ci.example.test", "--action", "sts:AssumeRoleWithWebIdentity")
    ask = (*ask, "--resource", "role/push", "--trust", trust, "--context")
    assert decided(capsys, *ask, "ci.example.test:sub=repo:team-a/app")[0]["decision"] == "allowed"
    assert decided(capsys, *ask, "ci.example.test:sub=repo:team-b/app")[0]["decision"] == "denied"


def test_the_root_user_may_what_nothing_denies(capsys):
    deny = write("deny.json", statement("ecr:*", None, "Deny", Principal="*"))
    ask = ("--principal", "root", "--action", "ecr:PutImage", "--resource", "a")
    allow = write("allow.json", statement("ecr:Get*", None, Principal="*"))
    assert decided(capsys, *ask, "--repository-policy", allow)[0]["reason"] == "root"
    assert decided(capsys, *ask, "--repository-policy", deny)[0]["reason"] == "explicit deny"


def test_an_aws_policy_is_named_by_its_arn(capsys):
    arn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
    ask = ("--policy", arn, "--action", "ecr:BatchGetImage", "--resource", "a")
    (found,) = decided(capsys, *ask)
    assert found["decision"] == "allowed"
    assert found["statements"][0]["policy"] == arn


def test_json_has_every_element(push: str, capsys):
    (found,) = decided(capsys, "--policy", push, "--action", "ecr:PutImage", "--resource", "team-a/app")
    (layer,) = found["layers"]
    assert layer["policies"][0]["statements"][1] == {
        "number": 2,
        "sid": "Push",
        "line": 9,
        "effect": "Allow",
        "applies": True,
        "elements": [
            {
                "name": "Action",
                "written": ["ecr:PutImage", "ecr:*Layer*"],
                "matched": True,
                "why": "ecr:PutImage covers ecr:PutImage",
            },
            {
                "name": "Resource",
                "written": [f"{REPOSITORIES}/team-a/*"],
                "matched": True,
                "why": f"{REPOSITORIES}/team-a/* covers {REPOSITORIES}/team-a/app",
            },
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "x", "--action", "ecr:Nope"), "there is no action `ecr:Nope`"),
        (("--action", "push", "--principal", "ci"), "`ci` is nobody who asks"),
        (("--policy", "x", "--action", "push", "--resource", "Upper"), "`Upper` is no resource"),
        (
            ("--policy", "good.json", "--action", "push", "--context", "aws:SourceIP4=1"),
            "there is no context key `aws:SourceIP4`: did you mean aws:SourceIp?",
        ),
        (("--action", "push", "--policy", "missing.json"), "`missing.json` cannot be read: No such file or directory"),
        (("--action", "push", "--policy", "bad.json"), "bad.json:1:2: it is no identity-based policy: "),
        (("--action", "push", "--policy", "arn:aws:iam::aws:policy/Nope"), "none of the policies that AWS keeps"),
        (("--action", "push"), "say who asks, with --principal; or name policies"),
        (("--action", "push", "--principal", "root", "--data", "nowhere"), "nowhere/longshore.db`: say where"),
    ],
)
def test_what_cannot_be_tried_is_the_code_2_and_one_line(arguments: tuple[str, ...], said: str, capsys):
    Path("bad.json").write_text("{")
    write("good.json", statement("ecr:*"))
    assert simulate(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"longshore: {said}") or said in shown.err
    assert shown.err.count("\n") == 1

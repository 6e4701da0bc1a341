"""`longshore policy test` as a person runs it, with files."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from server.cli import main

REPOSITORIES = "arn:aws:ecr:us-east-1:123456789012:repository"
PUSHES = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "Login", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Sid": "Push",
            "Effect": "Allow",
            "Action": ["ecr:*Layer*", "ecr:PutImage"],
            "Resource": f"{REPOSITORIES}/team-a/*",
        },
        {
            "Sid": "Inside",
            "Effect": "Deny",
            "Action": "ecr:PutImage",
            "Resource": "*",
            "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        },
    ],
}
HEAD = """\
principals:
  user/ci: {policies: push.json}
defaults: {principal: user/ci, context: {aws:SourceIp: 10.1.2.3}}
cases:
"""
WHOLE = """\
  - {action: login, expect: allow}
  - {action: push, resource: [team-a/app, team-a/web], expect: allow}
  - {action: push, resource: team-b/app, expect: deny, reason: no identity-based policy allows}
  - {action: ecr:PutImage, resource: team-a/app, context: {aws:SourceIp: 192.0.2.1}, expect: deny, statement: Inside}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("push.json", PUSHES)
    return tmp_path


def write(name: str, document: Any) -> None:
    Path(name).write_text(json.dumps(document, indent=1))


def run(table: str, *options: str, name: str = "cases.yaml") -> int:
    Path(name).write_text(table)
    return main(["policy", "test", name, *options])


def said(capsys: pytest.CaptureFixture[str], table: str, *options: str) -> tuple[int, list[str]]:
    code = run(table, *options)
    shown = capsys.readouterr()
    assert shown.err == ""
    return code, shown.out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], table: str) -> str:
    assert run(table) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err.strip()


def test_cases_that_are_as_expected_are_counted(capsys):
    code, lines = said(capsys, HEAD + WHOLE)
    assert code == 0
    assert lines == [
        "push.json (identity-based policy): 3 of 3 statements exercised (100%)",
        "coverage: 3 of 3 statements exercised (100%)",
        "17 passed, 0 failed",
    ]


def test_a_case_that_is_not_is_shown_with_its_explanation(capsys):
    code, lines = said(capsys, HEAD + "  - {name: Wrong, action: ecr:PutImage, resource: team-b/app, expect: allow}\n")
    assert code == 1
    assert lines[:4] == [
        "FAILED cases.yaml:5 Wrong: user/ci ecr:PutImage on team-b/app",
        "  denied, expected allowed",
        "    DENIED",
        "      arn:aws:iam::123456789012:user/ci",
    ]
    assert f"          - Resource: {REPOSITORIES}/team-a/* does not cover {REPOSITORIES}/team-b/app" in lines
    assert lines[-1] == "0 passed, 1 failed"


def test_verbose_shows_the_others_too(capsys):
    _, lines = said(capsys, HEAD + "  - {action: login, expect: allow}\n", "-v")
    assert lines[0] == "passed cases.yaml:5 user/ci ecr:GetAuthorizationToken on *: allowed"


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        (
            "{action: ecr:PutImage, resource: team-b/app, expect: deny, reason: explicit deny}",
            "denied as expected, but not because of `explicit deny`: no identity-based policy allows",
        ),
        (
            "{action: ecr:PutImage, resource: team-a/app, expect: allow, statement: Login}",
            "allowed as expected, but not by Login: push.json#Push",
        ),
        (
            "{action: ecr:PutImage, resource: team-b/app, expect: deny, statement: Inside}",
            "denied as expected, but not by Inside: no statement",
        ),
        ("{action: ecr:PutImage, resource: team-a/app, expect: deny}", "allowed, expected denied"),
    ],
)
def test_the_reason_has_to_be_the_expected_one(case: str, problem: str, capsys):
    code, lines = said(capsys, f"{HEAD}  - {case}\n")
    assert code == 1
    assert lines[1].strip() == problem


@pytest.mark.parametrize("statement", ["Push", "push.json#Push", "push.json#2", "[Push]"])
def test_a_statement_is_named_by_sid_or_by_policy_and_number(statement: str, capsys):
    code, _ = said(
        capsys, f"{HEAD}  - {{action: ecr:PutImage, resource: team-a/a, expect: allow, statement: {statement}}}\n"
    )
    assert code == 0


def test_a_reason_may_be_a_part_of_the_sentence(capsys):
    reason = "not authorized to perform: ecr:PutImage"
    code, _ = said(capsys, f"{HEAD}  - {{action: ecr:PutImage, resource: b, expect: deny, reason: '{reason}'}}\n")
    assert code == 0


def test_statements_that_no_case_exercises_are_named(capsys):
    code, lines = said(capsys, HEAD + "  - {action: login, expect: allow}\n")
    assert code == 0
    assert lines == [
        "push.json (identity-based policy): 1 of 3 statements exercised (33%)",
        "  no case exercises statement 2 Push (line 10)",
        "  no case exercises statement 3 Inside (line 19)",
        "coverage: 1 of 3 statements exercised (33%)",
        "1 passed, 0 failed",
    ]


def test_too_little_exercised_fails(capsys):
    table = HEAD + "  - {action: login, expect: allow}\n"
    assert said(capsys, table, "--fail-under", "33")[0] == 0
    code, lines = said(capsys, table, "--fail-under", "34")
    assert code == 1
    assert "coverage: 1 of 3 statements exercised (33%), fewer than 34%" in lines


def test_a_policy_that_no_case_meets_counts(capsys):
    write("other.json", PUSHES)
    table = HEAD.replace("policies: push.json}", "policies: push.json}\n  role/other: {policies: other.json}") + WHOLE
    code, lines = said(capsys, table)
    assert code == 0
    assert "other.json (identity-based policy): 0 of 3 statements exercised (0%)" in lines


def test_aws_s_own_policies_do_not_count(capsys):
    arn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    case = "  - {principal: role/r, action: pull, resource: a, expect: allow}\n"
    table = f"principals:\n  role/r: {{policies: '{arn}'}}\ncases:\n{case}"
    assert said(capsys, table) == (0, ["3 passed, 0 failed"])


def test_several_files_are_one_run(capsys):
    Path("other.yaml").write_text(HEAD + "  - {action: login, expect: deny}\n")
    assert run(HEAD + WHOLE, "other.yaml") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "17 passed, 1 failed"


def test_files_lie_beside_their_table(capsys, here: Path, monkeypatch):
    (here / "elsewhere").mkdir()
    (here / "cases.yaml").write_text(HEAD + WHOLE.replace("statement: Inside", "statement: push.json#Inside"))
    monkeypatch.chdir(here / "elsewhere")
    assert main(["policy", "test", "../cases.yaml"]) == 0
    assert capsys.readouterr().out.startswith("../push.json (identity-based policy)")


def test_a_table_may_be_json(capsys):
    table = {
        "principals": {"user/ci": {"policies": ["push.json"]}},
        "cases": [{"principal": "user/ci", "action": "login", "expect": "allow"}],
    }
    assert run(json.dumps(table), name="cases.json") == 0
    assert run("{", name="cases.json") == 2
    assert capsys.readouterr().err.startswith("longshore: cases.json:1:2: it is no JSON: ")


def test_lists_are_every_combination(capsys):
    table = """\
principals: {user/a: {policies: push.json}, user/b: {policies: push.json}}
cases:
  - principal: [user/a, user/b]
    action: [ecr:PutImage, ecr:ListImages]
    resource: [x, y, z]
    expect: deny
    contexts: [{aws:SourceIp: 10.1.2.3}, {aws:SourceIp: null}]
"""
    _, lines = said(capsys, table, "-v")
    assert sum(line.startswith("passed") for line in lines) == 24
    assert "passed cases.yaml:3 user/b ecr:PutImage on z (aws:SourceIp=10.1.2.3): denied" in lines
    assert "passed cases.yaml:3 user/a ecr:ListImages on x (without aws:SourceIp): denied" in lines


def test_everything_that_counts_can_be_said(capsys):
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}
    pull = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*Get*", "Resource": "*"}]}
    write("all.json", allow)
    write("pull.json", pull)
    write(
        "scp.json", {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "ecr:Delete*", "Resource": "*"}}
    )
    stranger = "arn:aws:iam::111122223333:role/other"
    lets_in = {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Principal": {"AWS": stranger}}
    write("repository.json", {"Version": "2012-10-17", "Statement": lets_in})
    registry = {"Effect": "Deny", "Action": "ecr:PutImage", "Principal": "*", "Resource": "*"}
    registry["Condition"] = {"StringEquals": {"ecr:ResourceTag/frozen": "yes"}}
    write("registry.json", {"Version": "2012-10-17", "Statement": registry})
    trusted = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "123456789012"}}
    trusted["Condition"] = {"StringEquals": {"aws:PrincipalTag/team": "a"}}
    write("trust.json", {"Version": "2012-10-17", "Statement": trusted})
    write(
        "assume.json", {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}}
    )
    table = f"""\
account: "123456789012"
region: eu-central-1
registry: registry.json
organization: [scp.json]
principals:
  user/admin: {{policies: [all.json, assume.json], tags: {{team: a}}}}
  user/bound: {{policies: all.json, boundary: pull.json}}
  role/session: {{policies: all.json, session: pull.json}}
  {stranger}: {{policies: pull.json}}
resources:
  team-a/app: {{policy: repository.json}}
  repository/frozen: {{tags: {{frozen: "yes"}}}}
  role/puller: {{trust: trust.json}}
cases:
  - {{principal: user/admin, action: ecr:PutImage, resource: team-a/app, expect: allow}}
  - {{principal: user/admin, action: ecr:DeleteRepository, resource: team-a/app, expect: deny, reason: service control policy}}
  - {{principal: user/admin, action: ecr:PutImage, resource: frozen, expect: deny, reason: resource-based policy}}
  - {{principal: user/bound, action: ecr:PutImage, resource: team-a/app, expect: deny, reason: no permissions boundary allows}}
  - {{principal: role/session, action: ecr:PutImage, resource: team-a/app, expect: deny, reason: no session policy allows}}
  - {{principal: {stranger}, action: ecr:BatchGetImage, resource: team-a/app, expect: allow}}
  - {{principal: {stranger}, action: ecr:BatchGetImage, resource: b, expect: deny, reason: no resource-based policy allows}}
  - {{principal: user/admin, action: sts:AssumeRole, resource: role/puller, expect: allow}}
  - {{principal: user/bound, action: sts:AssumeRole, resource: role/puller, expect: deny, reason: no role trust policy allows}}
  - {{principal: root, action: ecr:PutImage, resource: team-a/app, expect: allow, reason: root}}
  - {{principal: anonymous, action: ecr:BatchGetImage, resource: team-a/app, expect: deny}}
  - {{principal: user/admin, action: sts:AssumeRole, resource: role/puller, without: aws:PrincipalTag/team, expect: deny}}
"""
    code, lines = said(capsys, table)
    assert (code, lines[-1]) == (0, "12 passed, 0 failed"), "\n".join(lines)


def test_the_time_can_be_said(capsys):
    condition = {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}
    write("push.json", {"Version": "2012-10-17", "Statement": {**PUSHES["Statement"][0], "Condition": condition}})
    table = (
        HEAD
        + "  - {action: login, at: '2025-12-31T23:00:00Z', expect: allow}\n  - {action: login, at: 2026-01-02, expect: deny}\n"
    )
    assert said(capsys, table)[0] == 0


def test_the_report_is_junit(capsys, here: Path):
    run(
        HEAD + WHOLE + "  - {name: 'a \"<b>\" & \\x01c', action: login, expect: deny}\n".replace("'", "''"),
        "--junit",
        "r.xml",
    )
    case = '  - {name: "a <b> & \\x01c", action: login, expect: deny}\n'
    assert run(HEAD + WHOLE + case, "--junit", "r.xml") == 1
    root = ET.parse("r.xml").getroot()
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "18", "1")
    (suite,) = root
    assert (suite.get("name"), len(suite)) == ("cases.yaml", 18)
    failed = suite[-1]
    assert failed.get("name") == "a <b> & �c: user/ci ecr:GetAuthorizationToken on *"
    assert (failed.get("file"), failed.get("line"), failed.get("classname")) == ("cases.yaml", "9", "cases.yaml")
    (failure,) = failed
    assert failure.get("message") == "allowed, expected denied"
    assert failure.text is not None
    assert failure.text.startswith("ALLOWED\n")


def test_json_has_cases_and_coverage(capsys):
    assert run(HEAD + WHOLE, "--format", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["cases"]) == 17
    first = shown["cases"][0]
    assert (first["file"], first["line"], first["expect"], first["passed"]) == ("cases.yaml", 5, "allow", True)
    assert (first["decision"], first["action"]) == ("allowed", "ecr:GetAuthorizationToken")
    assert shown["coverage"]["percent"] == 100.0
    assert shown["coverage"]["policies"][0]["missed"] == []


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            "{acton: push, expect: deny}",
            "cases.yaml:5:6: cases[1].acton: there is no such key; there are name, principal, ",
        ),
        ("{action: push}", "cases.yaml:5:5: cases[1]: expect is wanted, here or in the defaults"),
        ("{expect: deny}", "cases.yaml:5:5: cases[1]: action is wanted, here or in the defaults"),
        ("{action: ecr:Nope, expect: deny}", "cases.yaml:5:14: cases[1].action: there is no action `ecr:Nope`"),
        (
            "{action: push, expect: denied}",
            "cases.yaml:5:28: cases[1].expect: one of allow, deny is wanted, not `denied`",
        ),
        ("{action: push, expect: [deny]}", "cases.yaml:5:28: cases[1].expect: a text is wanted, not a list"),
        ("{action: push, resource: Team, expect: deny}", "cases.yaml:5:30: cases[1].resource: `Team` is no resource"),
        ("{action: push, resource: [], expect: deny}", "cases.yaml:5:30: cases[1].resource: at least one is wanted"),
        (
            "{principal: user/bob, action: push, expect: deny}",
            "cases.yaml:5:17: cases[1].principal: `user/bob` is not among the principals of this file",
        ),
        (
            "{principal: bob, action: push, expect: deny}",
            "cases.yaml:5:17: cases[1].principal: `bob` is nobody who asks",
        ),
        (
            "{action: push, context: {aws:SourceIP4: x}, expect: deny}",
            "cases.yaml:5:45: cases[1].context.aws:SourceIP4: there is no context key `aws:SourceIP4`: did you mean aws:SourceIp?",
        ),
        (
            "{action: push, context: x, expect: deny}",
            "cases.yaml:5:29: cases[1].context: names and their values are wanted",
        ),
        ("{action: push, at: soon, expect: deny}", "cases.yaml:5:24: cases[1].at: `soon` is no time as in 2026-"),
        (
            "{action: push, without: SourceIp, expect: deny}",
            "cases.yaml:5:29: cases[1].without: `SourceIp` is no context key",
        ),
        ("push", "cases.yaml:5:5: cases[1]: names and their values are wanted, not `push`"),
    ],
)
def test_a_wrong_case_is_told_with_file_line_key_and_what_was_expected(case: str, message: str, capsys):
    assert refused(capsys, f"{HEAD}  - {case}\n").startswith(f"longshore: {message}")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("case: []\n", "cases.yaml:1:1: case: there is no such key; there are account, region, live, principals, "),
        ("{}\n", "cases.yaml:1:1: cases are wanted: "),
        ("cases: []\n", "cases.yaml:1:8: cases: at least one is wanted"),
        ("[1]\n", "cases.yaml:1:1: names and their values are wanted, not a list"),
        ("account: 12\ncases: []\n", "cases.yaml:1:10: account: an account has 12 digits, not `12`"),
        ("live: maybe\ncases: []\n", "cases.yaml:1:7: live: one of true, false is wanted, not `maybe`"),
        ("principals: {ci: {}}\ncases: []\n", "cases.yaml:1:18: principals.ci: `ci` is nobody who asks"),
        (
            "principals: {root: {policies: push.json}}\ncases: []\n",
            "cases.yaml:1:31: principals.root.policies: root has no",
        ),
        (
            "principals: {user/a: {session: push.json}}\ncases: []\n",
            "cases.yaml:1:32: principals.user/a.session: a user has no",
        ),
        (
            "principals: {user/a: {policy: push.json}}\ncases: []\n",
            "cases.yaml:1:23: principals.user/a.policy: there is no such key",
        ),
        (
            "principals: {role/a: {}, assumed-role/A/b: {}}\ncases: []\n",
            "cases.yaml:1:44: principals.assumed-role/A/b: the same principal stands twice",
        ),
        (
            "principals: {user/a: {policies: [push.json, gone.json]}}\ncases: []\n",
            "cases.yaml:1:45: principals.user/a.policies[2]: `gone.json` cannot be read: No such file or directory",
        ),
        (
            "resources: {app: {policy: push.json}}\ncases: []\n",
            "cases.yaml:1:27: resources.app.policy: push.json:4:3: it is no repository policy: Principal is missing",
        ),
        (
            "resources: {app: {trust: t}}\ncases: []\n",
            "cases.yaml:1:26: resources.app.trust: only a role has a trust policy",
        ),
        (
            "resources: {role/a: {policy: p}}\ncases: []\n",
            "cases.yaml:1:30: resources.role/a.policy: only a repository has a policy",
        ),
        (
            "resources: {app: {}, repository/app: {}}\ncases: []\n",
            "cases.yaml:1:38: resources.repository/app: the same resource",
        ),
        ("cases: [\n", "cases.yaml:2:1: it is no YAML: "),
    ],
)
def test_a_wrong_table_is_told_so_too(table: str, message: str, capsys):
    assert refused(capsys, table).startswith(f"longshore: {message}")


def test_a_table_that_is_not_there_is_told(capsys):
    assert main(["policy", "test", "nowhere.yaml"]) == 2
    assert capsys.readouterr().err == "longshore: `nowhere.yaml` cannot be read: No such file or directory\n"


def test_a_report_that_cannot_be_written_is_told(capsys):
    assert run(HEAD + WHOLE, "--junit", "no/such/place.xml") == 2
    assert "`no/such/place.xml` cannot be written" in capsys.readouterr().err


def test_what_is_live_needs_a_store(capsys):
    assert run("live: true\ncases: [{principal: user/ci, action: push, expect: deny}]\n", "--data", "nowhere") == 2
    assert "there is no database" in capsys.readouterr().err


def test_combinations_without_number_are_refused(capsys):
    many = ", ".join(f"r{number}" for number in range(3000))
    table = f"{HEAD}  - {{action: 'iam:*', resource: [{many}], expect: deny}}\n"
    assert "more than 100000 decisions are too many" in refused(capsys, table)

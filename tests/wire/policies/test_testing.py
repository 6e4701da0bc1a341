"""`longshore policy test` beside a live server."""

from pathlib import Path

from tests.live import LiveServer
from tests.wire.principals import allow, arn, make_user, policy

TABLE = """\
live: true
defaults: {principal: user/tested, resource: team-t/app}
cases:
  - {action: ecr:PutImage, expect: allow, statement: inline#1}
  - {action: ecr:DeleteRepository, expect: deny, reason: no identity-based policy allows}
"""


def test_a_table_is_held_against_what_is_stored(server: LiveServer, tmp_path: Path):
    make_user(server, "tested", allow("ecr:PutImage", on=arn("team-t/*")), allow("ecr:ListImages"))
    cases = tmp_path / "cases.yaml"
    cases.write_text(TABLE)
    done = server.longshore("policy", "test", str(cases))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "inline (identity-based policy): 1 of 2 statements exercised (50%)",
        "  no case exercises statement 2 (line 1)",
        "coverage: 1 of 2 statements exercised (50%)",
        "2 passed, 0 failed",
    ]


def test_what_a_table_says_counts_beside_what_is_stored(server: LiveServer, tmp_path: Path):
    make_user(server, "widened", allow("ecr:PutImage", on=arn("team-t/*")))
    (tmp_path / "more.json").write_text(policy(allow("ecr:DeleteRepository")))
    cases = tmp_path / "cases.yaml"
    head = "principals: {user/widened: {policies: more.json}}\n"
    table = TABLE.replace("user/tested", "user/widened").replace(
        "expect: deny, reason: no identity-based policy allows", "expect: allow"
    )
    cases.write_text(head + table)
    done = server.longshore("policy", "test", str(cases), "--fail-under", "100")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_who_is_not_stored_is_told_with_the_case(server: LiveServer, tmp_path: Path):
    cases = tmp_path / "cases.yaml"
    cases.write_text(TABLE.replace("user/tested", "user/nobody-at-all"))
    done = server.longshore("policy", "test", str(cases))
    assert done.returncode == 2
    assert done.stderr == f"longshore: {cases}:4:5: there is no user nobody-at-all in account 123456789012\n"

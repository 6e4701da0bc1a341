"""`longshore policy replay` on what a live server decided."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveServer
from tests.wire.audit.conftest import ACCOUNT, PUSH, PUSHES, REFUSED, Past, asked

APP = "team-a/app"
EVERY = (PUSH + REFUSED).total()


def write(directory: Path, name: str, document: Any) -> str:
    path = directory / f"{name}.json"
    path.write_text(json.dumps(document))
    return str(path)


def statement(effect: str, action: str, **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": {"Sid": "New", "Effect": effect, "Action": action, **more}}


def replay(server: LiveServer, *arguments: str) -> tuple[int, list[dict[str, Any]], dict[str, int]]:
    """(exit code, the requests that would change, the summary)."""
    done = server.longshore("policy", "replay", "--since", "1h", "--format", "json", *arguments)
    assert done.stderr == ""
    *changed, last = map(json.loads, done.stdout.splitlines())
    return done.returncode, changed, last["summary"]


def test_a_proposed_deny_shows_exactly_the_requests_that_would_change(past: Past, tmp_path: Path):
    deny = write(tmp_path, "no-push", statement("Deny", "ecr:PutImage", Resource="*"))
    code, changed, summary = replay(past.server, "--policy", deny, "--for", "user/ci")
    assert code == 1
    assert asked(changed) == {("ecr:PutImage", APP, "allowed"): 1}
    assert changed[0]["would"]["decision"] == "denied"
    assert changed[0]["would"]["statements"] == [
        {"policy": "no-push", "kind": "identity-based policy", "sid": "New", "number": 0}
    ]
    assert (summary["allowed_to_denied"], summary["denied_to_allowed"], summary["undecidable"]) == (1, 0, 0)
    assert summary["concerned"] == EVERY


def test_the_same_in_words(past: Past, tmp_path: Path):
    deny = write(tmp_path, "no-push", statement("Deny", "ecr:PutImage", Resource="*"))
    done = past.server.longshore("policy", "replay", "--policy", deny)
    assert (done.returncode, done.stderr) == (1, "")
    line, last = done.stdout.splitlines()
    assert (
        f" allowed -> denied arn:aws:iam::{ACCOUNT}:user/ci ecr:PutImage arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{APP} "
        in line
    )
    assert "(explicit deny: no-push#New)" in line
    assert last.endswith("1 allowed would be denied, 0 denied would be allowed, 0 undecidable")


def test_a_new_text_of_a_policy_that_is_in_force(past: Past, tmp_path: Path):
    wider = json.loads(json.dumps(PUSHES).replace("team-a/*", "team-*"))
    code, changed, summary = replay(past.server, "--replace", "push=" + write(tmp_path, "v2", wider))
    assert code == 1
    assert asked(changed) == REFUSED
    assert summary["denied_to_allowed"] == 2
    code, changed, summary = replay(past.server, "--replace", "push=" + write(tmp_path, "v1", PUSHES))
    assert (code, changed, summary["concerned"]) == (0, [], EVERY)
    code, changed, _ = replay(past.server, "--remove", "push", "--until", "0s")
    assert (code, len(changed)) == (1, PUSH.total())


def test_a_repository_policy(past: Past, tmp_path: Path):
    document = statement("Allow", "ecr:BatchGetImage", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/ci"})
    pull = write(tmp_path, "pull", document)
    code, changed, _ = replay(past.server, "--policy", pull, "--for", "repository/team-b/*")
    assert code == 1
    assert asked(changed) == REFUSED
    code, changed, _ = replay(past.server, "--add", f"repository/{APP}={pull}", "--principal", "ci")
    assert (code, changed) == (0, [])


def test_what_the_record_lacks_makes_it_undecidable(past: Past, tmp_path: Path):
    condition = {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}
    deny = write(tmp_path, "vpce", statement("Deny", "ecr:PutImage", Resource="*", Condition=condition))
    code, changed, summary = replay(past.server, "--policy", deny, "--for", "user/ci")
    assert code == 1
    assert summary["undecidable"] == len(changed) == 1
    assert changed[0]["would"] == {
        "decision": "undecidable",
        "why": "the record lacks aws:SourceVpce",
        "missing": ["aws:SourceVpce"],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what would be different: --policy, --add, --replace or --remove"),
        (["--policy", "nowhere.json"], "`nowhere.json` cannot be read: No such file or directory"),
        (["--for", "user/ci"], "--for goes with --policy FILE"),
        (["--replace", "push"], "--replace wants POLICY=FILE, not `push`"),
        (["--add", "group/x={file}"], "`group/x` is nothing that a policy can be put on: say everyone, user/NAME"),
        (
            ["--policy", "{file}", "--for", "repository/a"],
            "is no repository policy: Principal is missing (line 1, column",
        ),
        (["--policy", "{file}", "--for", "user/nobody"], "none has to do with that change"),
        (["--remove", "nothing"], "none has to do with that change"),
    ],
)
def test_what_cannot_be_tried_is_said_in_one_line(past: Past, tmp_path: Path, arguments: list[str], message: str):
    file = write(tmp_path, "file", statement("Deny", "ecr:*", Resource="*"))
    done = past.server.longshore("policy", "replay", *[one.format(file=file) for one in arguments])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("longshore: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1

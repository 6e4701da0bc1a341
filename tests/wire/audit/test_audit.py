"""Decisions of a live server on record."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from auth.authorize import KEYS
from tests.live import LiveServer
from tests.wire.audit.conftest import ACCOUNT, PUSH, REFUSED, Past, asked, decisions
from tests.wire.client import eventually


def test_each_decision_of_a_push_is_there_once_beside_the_server_and_after_it(past: Past):
    found = decisions(past.server, "--principal", "ci")  # the fixture has waited for as many while the server was up
    assert asked(found) == PUSH + REFUSED
    assert found == sorted(found, key=lambda one: str(one["time"]))


def test_a_record_says_who_what_why_and_under_which_policies(past: Past):
    *_, allowed, _, denied = decisions(past.server, "--principal", "ci")
    assert denied["request_id"] == past.last_request
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", denied["time"])
    who = denied["principal"]
    assert (who["arn"], who["type"], who["account"]) == (f"arn:aws:iam::{ACCOUNT}:user/ci", "User", ACCOUNT)
    assert who["access_key"] == past.ci.key
    assert (denied["decision"], denied["reason"]) == ("denied", "no identity-based policy allows")
    assert [one["policy"] for one in denied["policies"]["identity-based policy"]] == ["push"]
    assert denied["source"] == denied["context"]["aws:sourceip"] == "127.0.0.1"
    assert denied["context"]["aws:useragent"] == "a client"
    assert denied["context"]["aws:principaltag/team"] == "a"
    assert (allowed["action"], allowed["decision"], allowed["reason"]) == ("ecr:PutImage", "allowed", "allowed")
    assert [(one["policy"], one["sid"], one["number"]) for one in allowed["statements"]] == [("push", "Push", 1)]


def test_every_key_that_a_decision_had_is_one_that_the_gate_is_known_to_give(past: Past):
    for one in decisions(past.server):
        for key in one["context"]:
            assert key in KEYS or f"{key.partition('/')[0]}/" in KEYS, key


def test_nothing_secret_is_on_record(past: Past):
    shown = past.server.longshore("audit", "--format", "json", "--limit", "0").stdout
    assert "ecr:ListImages" in shown
    for secret in (past.server.secret_access_key, past.ci.secret, past.token):
        assert secret not in shown


def test_text_is_for_people_and_the_latest_comes_first(past: Past):
    done = past.server.longshore("audit", "--principal", "ci", "--limit", "3")
    assert (done.returncode, done.stderr) == (0, "")
    latest, _, before = done.stdout.splitlines()
    assert " denied  " in latest
    assert "team-b/app from 127.0.0.1 (no identity-based policy allows)" in latest
    assert " allowed " in before
    assert "(allowed: push#Push)" in before


def test_what_is_asked_for_is_shown_and_no_more(past: Past):
    for arguments, count in (
        (("--until", "1h"), 0),
        (("--since", "2d", "--action", "ecr:batchgetimage", "--decision", "denied"), 2),
        (("--resource", "team-a/*", "--principal", "ci"), PUSH.total()),
        (("--request-id", past.last_request), 1),
    ):
        assert len(decisions(past.server, *arguments)) == count, arguments


def test_who_asks_for_what_is_not_on_record_is_told_so(past: Past):
    done = past.server.longshore("audit", "--principal", "nobody-like-that")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "longshore: no decision on record is like that\n")


def test_whoever_reads_may_stop_reading(past: Past):
    command = shlex.join([sys.executable, "-m", "server", "audit", "--limit", "0", "--data", str(past.server.data)])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -c 10"],
        env=past.server.environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, b"", 10)


def test_a_time_that_is_none_and_a_place_without_a_database_are_refused(past: Past, tmp_path: Path):
    done = past.server.longshore("audit", "--since", "yesterday")
    assert done.returncode == 2
    assert "`yesterday` is not a time: say 15m, 1h or 2d (ago)" in done.stderr
    nowhere = LiveServer(tmp_path)
    nowhere.settings.clear()
    done = nowhere.longshore("audit")
    assert done.returncode == 1
    assert re.fullmatch(r"longshore: there is no database at `.*`: say where .*\n", done.stderr)
    assert not nowhere.data.exists()


def test_decisions_are_counted(past: Past):
    assert re.search(r"^longshore_decisions_denied_total 2.0$", past.metrics, flags=re.MULTILINE)
    assert re.search(r"^longshore_audit_records_dropped_total 0.0$", past.metrics, flags=re.MULTILINE)


def test_decisions_are_not_kept_where_the_settings_say_so(tmp_path: Path):
    settings = {"storage.reserve": "0", "audit.enabled": "false"}
    with LiveServer(tmp_path / "server", settings=settings) as server:
        server.client("ecr").describe_repositories()
        server.stop()
        assert decisions(server) == []


def test_a_crash_takes_no_more_than_the_last_moment(tmp_path: Path):
    with LiveServer(tmp_path / "server", settings={"storage.reserve": "0"}) as server:
        server.client("ecr").describe_repositories()
        eventually(lambda: len(decisions(server)) == 1)
        server.kill()
        server.start()
        server.client("ecr").describe_repositories()
        server.stop()
        assert len(decisions(server)) == 2


def test_a_server_forgets_what_is_old(tmp_path: Path):
    with LiveServer(tmp_path / "server", settings={"storage.reserve": "0"}) as server:
        server.client("ecr").describe_repositories()
        server.stop()
        assert len(decisions(server)) == 1
        server.settings["audit.keep_days"] = "0.0000001"
        server.start()
        eventually(lambda: decisions(server) == [])

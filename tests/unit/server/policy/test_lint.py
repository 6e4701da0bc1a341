"""`longshore policy lint` as a person runs it."""

import io
import json
from pathlib import Path

import pytest

from auth.lint.rules import RULES
from server.cli import main

GOOD = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:ListImages", "Resource": "*"}}'
WIDE = GOOD.replace("ListImages", "*")
WRONG = GOOD.replace("ListImages", "ListImage")
NOTED = GOOD.replace("ListImages", "listImages")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("good", GOOD), ("wide", WIDE), ("wrong", WRONG), ("noted", NOTED)):
        (tmp_path / f"{name}.json").write_text(text)
    return tmp_path


def test_a_clean_file_has_no_lines_and_the_code_0(capsys):
    assert main(["policy", "lint", "good.json"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "1 file (identity): 0 errors, 0 warnings, 0 notes\n"


def test_a_finding_is_one_line_and_the_code_is_1(capsys):
    assert main(["policy", "lint", "good.json", "wrong.json"]) == 1
    said = capsys.readouterr()
    assert said.out == (
        "wrong.json:1:70 error unknown-action 'ecr:ListImage' is no action of ecr; did you mean ecr:ListImages?\n"
    )
    assert said.err == "2 files (identity): 1 error, 0 warnings, 0 notes\n"


@pytest.mark.parametrize(
    ("file", "least", "code"),
    [
        ("wrong.json", "error", 1),
        ("wide.json", "error", 0),
        ("wide.json", "warning", 1),
        ("noted.json", "warning", 0),
        ("noted.json", "note", 1),
    ],
)
def test_fail_on_says_what_counts(file: str, least: str, code: int):
    assert main(["policy", "lint", "--fail-on", least, file]) == code


def test_warnings_count_where_nothing_is_said():
    assert main(["policy", "lint", "wide.json"]) == 1
    assert main(["policy", "lint", "noted.json"]) == 0


def test_a_file_that_cannot_be_read_is_the_code_2_and_the_others_are_linted(capsys, here: Path):
    (here / "bytes.json").write_bytes(b"\xff\xfe")
    assert main(["policy", "lint", "missing.json", "bytes.json", "wrong.json"]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("wrong.json:1:70 ")
    assert said.err.splitlines()[:2] == [
        "longshore: `missing.json` cannot be read: No such file or directory",
        "longshore: `bytes.json` cannot be read: it is not UTF-8",
    ]


def test_no_file_is_the_code_2(capsys):
    assert main(["policy", "lint"]) == 2
    assert "FILE" in capsys.readouterr().err


def test_a_dash_is_the_standard_input(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WRONG.encode())))
    assert main(["policy", "lint", "-"]) == 1
    assert capsys.readouterr().out.startswith("-:1:70 error unknown-action ")


def test_the_kind_can_be_said(capsys, here: Path):
    (here / "deny.json").write_text(GOOD.replace("Allow", "Deny"))
    assert main(["policy", "lint", "deny.json"]) == 0
    assert main(["policy", "lint", "--kind", "boundary", "deny.json"]) == 1
    assert "allows-nothing" in capsys.readouterr().out


def test_ignored_rules_are_left_out():
    assert main(["policy", "lint", "--ignore", "far-reaching-action", "--ignore", "every-resource", "wide.json"]) == 0


def test_a_rule_that_there_is_not_cannot_be_ignored(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["policy", "lint", "--ignore", "everything", "wide.json"])
    assert ended.value.code == 2
    assert "--rules" in capsys.readouterr().err


def test_the_rules_are_listed(capsys):
    assert main(["policy", "lint", "--rules"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(RULES)


def test_json_says_the_same(capsys):
    assert main(["policy", "lint", "--format", "json", "good.json", "wrong.json"]) == 1
    good, wrong = json.loads(capsys.readouterr().out)
    assert good == {"file": "good.json", "kind": "identity", "findings": []}
    (finding,) = wrong["findings"]
    assert finding == {
        "rule": "unknown-action",
        "level": "error",
        "message": "'ecr:ListImage' is no action of ecr; did you mean ecr:ListImages?",
        "line": 1,
        "column": 70,
        "end_line": 1,
        "end_column": 85,
        "statement": 1,
    }


def test_sarif_names_rules_places_and_files(capsys, here: Path):
    (here / "a b.json").write_text(WRONG)
    assert main(["policy", "lint", "--format", "sarif", "a b.json", "missing.json"]) == 2
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    (result,) = run["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "unknown-action"
    assert result["level"] == "error"
    (location,) = result["locations"]
    physical = location["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "a%20b.json", "uriBaseId": "WORKDIR"}
    assert run["originalUriBaseIds"]["WORKDIR"]["uri"] == f"{here.as_uri()}/"
    assert physical["region"] == {"startLine": 1, "startColumn": 70, "endLine": 1, "endColumn": 85}
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "missing.json" in invocation["toolExecutionNotifications"][0]["message"]["text"]


# (required, further) members of the objects that the log has (SARIF 2.1.0, sections 3.13 to 3.58)
OBJECTS = {
    "sarifLog": ({"version", "runs"}, {"$schema", "inlineExternalProperties", "properties"}),
    "run": ({"tool"}, {"results", "invocations", "columnKind", "originalUriBaseIds", "artifacts", "properties"}),
    "toolComponent": ({"name"}, {"version", "rules", "informationUri", "properties"}),
    "reportingDescriptor": (
        {"id"},
        {"shortDescription", "fullDescription", "defaultConfiguration", "helpUri", "properties"},
    ),
    "invocation": ({"executionSuccessful"}, {"toolExecutionNotifications", "commandLine", "exitCode"}),
    "notification": ({"message"}, {"level", "locations"}),
    "result": ({"message"}, {"ruleId", "ruleIndex", "level", "locations", "partialFingerprints", "properties"}),
    "physicalLocation": (set(), {"artifactLocation", "region"}),
    "artifactLocation": (set(), {"uri", "uriBaseId", "index"}),
    "region": (set(), {"startLine", "startColumn", "endLine", "endColumn"}),
}
LEVELS = {"none", "note", "warning", "error"}


def check(kind: str, thing: dict) -> dict:
    required, further = OBJECTS[kind]
    assert required <= thing.keys() <= required | further, (kind, thing)
    return thing


def test_sarif_has_what_its_specification_wants_and_nothing_else(capsys, here: Path):
    assert main(["policy", "lint", "--format", "sarif", str(here / "wide.json"), "wrong.json", "missing.json"]) == 2
    log = check("sarifLog", json.loads(capsys.readouterr().out))
    (run,) = log["runs"]
    check("run", run)
    assert run["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    driver = check("toolComponent", run["tool"]["driver"])
    for rule in driver["rules"]:
        check("reportingDescriptor", rule)
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["defaultConfiguration"]["level"] in LEVELS
    for invocation in run["invocations"]:
        for notification in check("invocation", invocation)["toolExecutionNotifications"]:
            assert check("notification", notification)["level"] in LEVELS
    assert len(run["results"]) >= 3
    for result in run["results"]:
        assert check("result", result)["level"] in LEVELS
        assert result["message"]["text"]
        for location in result["locations"]:
            assert location.keys() == {"physicalLocation"}
            physical = check("physicalLocation", location["physicalLocation"])
            place = check("artifactLocation", physical["artifactLocation"])
            assert place.get("uriBaseId", "WORKDIR") in run["originalUriBaseIds"]
            assert place["uri"].startswith("file:///") is ("uriBaseId" not in place)
            region = check("region", physical["region"])
            assert min(region.values()) >= 1

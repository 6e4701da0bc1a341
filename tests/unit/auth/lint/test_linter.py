"""Where findings stand, what is read of broken documents, and that long documents end."""

import json
from pathlib import Path

import pytest

from auth.iam.managed import CATALOGUE
from auth.lint.linter import without
from auth.lint.reading import guess_kind
from auth.lint.rules import Level
from auth.policy.catalogue import catalogue
from auth.policy.document import Kind
from tests.unit.auth.lint.documents import (
    PROVIDER,
    REGISTRY,
    REPOSITORY,
    ROLE,
    deny,
    linted,
    of_resource,
    rules_of,
    statement,
    trust,
    written,
)


def places(text: str, kind: Kind = Kind.IDENTITY) -> list[tuple[str, int, int]]:
    report = linted(text, kind)
    return [(one.rule.id, report.place(one).line, report.place(one).column) for one in report.findings]


def test_a_finding_stands_where_the_value_stands():
    text = """{"Version": "2012-10-17",
 "Statement": {"Effect": "Allow",
  "Action": ["ecr:ListImages", "ecr:Nope"], "Resource": "*"}}"""
    report = linted(text)
    (finding,) = report.findings
    place = report.place(finding)
    assert (place.line, place.column, place.end_line, place.end_column) == (3, 32, 3, 42)
    assert text.split("\n")[2][31:41] == '"ecr:Nope"'


def test_a_key_s_place_is_its_name_s():
    text = """{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:ListImages", "Resource": "*",
"Condition": {"StringEquals":
 {"aws:Nope": "x"}}}}"""
    assert places(text) == [("unknown-key", 3, 3)]


def test_findings_come_in_the_order_of_the_text():
    text = written(statement("ecr:Nope"), statement("ecr:Nopes", f"{REGISTRY}:repository/Upper"))
    found = [(line, column) for _, line, column in places(text)]
    assert found == sorted(found)
    assert len(found) == 3


def test_json_that_ends_early_is_one_finding_where_it_ends():
    assert places('{"Version": "2012-10-17",\n "Statement": [') == [("malformed", 2, 16)]


def test_each_broken_statement_is_told_and_the_good_ones_are_read():
    text = written(
        {"Effect": "Allow", "Action": "ecr:ListImages"},
        statement("ecr:Nope"),
        {"Effect": "Maybe", "Action": "ecr:ListImages", "Resource": "*"},
    )
    found = places(text)
    assert [rule for rule, _, _ in found] == ["malformed", "unknown-action", "malformed"]
    assert [line for _, line, _ in found] == [4, 10, 14]


def test_the_sids_that_a_service_refuses_are_told_once_each():
    text = written(statement(Sid="A"), deny(Sid="A"))
    assert rules_of(text).count("malformed") == 1
    assert rules_of(text).count("duplicate-sid") == 1


def test_what_is_refused_is_told_with_the_service_s_words():
    (finding,) = linted(written({"Effect": "Allow", "Action": "ecr:ListImages"})).findings
    assert finding.message == "Resource or NotResource must name something (Policy statement must contain resources)"


def test_rules_can_be_left_out_altogether_or_in_one_statement():
    text = written(statement("ecr:ListImages", "*", Sid="A", when={}), deny("ecr:ListImages", "*", Sid="B", when={}))
    report = linted(text)
    assert [one.sid for one in report.findings if one.rule.id == "empty-condition"] == ["A", "B"]
    assert [one.sid for one in without(report, ["empty-condition@A"]).findings if one.rule.id == "empty-condition"] == [
        "B"
    ]
    assert "empty-condition" not in {one.rule.id for one in without(report, ["empty-condition"]).findings}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.IDENTITY, written(statement())),
        (Kind.IDENTITY, "no JSON"),
        (Kind.REPOSITORY, written(of_resource("*"))),
        (Kind.REGISTRY, written(statement("ecr:ReplicateImage", f"{REGISTRY}:repository/*", Principal="*"))),
        (Kind.TRUST, written(trust({"AWS": ROLE}))),
        (Kind.TRUST, written(trust({"Federated": PROVIDER}, "sts:AssumeRoleWithWebIdentity"))),
    ],
)
def test_what_a_document_is_can_be_seen(kind: Kind, text: str):
    assert guess_kind(text) is kind


def test_a_policy_that_does_what_it_says_has_no_findings():
    push = ["ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart"]
    pull = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    text = written(
        statement("ecr:GetAuthorizationToken", "*"),
        statement([*push, *pull, "ecr:CompleteLayerUpload", "ecr:PutImage"], f"{REGISTRY}:repository/team-a/*"),
        deny("ecr:PutImage", "*", when={"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}),
    )
    assert linted(text).findings == ()


def test_a_repository_policy_that_lets_one_role_in_has_no_findings():
    text = written(of_resource({"AWS": ROLE}, ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]))
    assert linted(text, Kind.REPOSITORY).findings == ()


def test_a_service_control_policy_may_allow_everything():
    text = written(statement("*", "*"), deny("ecr:DeleteRepository", "*"))
    assert linted(text, Kind.CONTROL).findings == ()


def test_statements_that_are_not_alike_are_never_said_to_be():
    text = written(
        statement(when={"StringEquals": {"aws:username": "a"}}),
        statement(when={"StringEquals": {"aws:username": "b"}}),
        statement(when={"StringLike": {"aws:username": "a"}}),
        statement("ecr:Get*"),
        statement(resource=f"{REPOSITORY}-x"),
    )
    assert not {"shadowed", "duplicate-statement", "partly-shadowed"} & set(rules_of(text))


def test_fewer_values_of_a_condition_are_within_more():
    narrow = statement(when={"StringEquals": {"aws:username": ["a"]}}, Sid="Narrow")
    wide = statement(when={"StringEquals": {"aws:username": ["a", "b"]}}, Sid="Wide")
    found = {one.sid for one in linted(written(narrow, wide)).findings if one.rule.id == "shadowed"}
    assert found == {"Narrow"}


def test_more_values_of_a_negated_condition_are_within_fewer():
    narrow = deny(when={"StringNotEquals": {"aws:username": ["a", "b"]}}, Sid="Narrow")
    wide = deny(when={"StringNotEquals": {"aws:username": ["a"]}}, Sid="Wide")
    found = {one.sid for one in linted(written(narrow, wide)).findings if one.rule.id == "shadowed"}
    assert found == {"Narrow"}


def test_of_statements_with_one_meaning_the_later_is_told():
    same = [statement("ecr:List*", Sid="A"), statement("ecr:LIST*", Sid="B"), statement("ecr:List**", Sid="C")]
    found = {one.sid: one.rule.id for one in linted(written(*same)).findings if one.rule.level is Level.WARNING}
    assert found == {"B": "duplicate-statement", "C": "shadowed"}


def test_statements_that_are_too_many_to_compare_are_told():
    many = [statement(resource=f"{REGISTRY}:repository/*x{number}*") for number in range(400)]
    assert "unfinished" in rules_of(written(*many))


def test_a_long_document_of_statements_that_differ_is_read_to_its_end():
    many = [statement(resource=f"{REGISTRY}:repository/{number}/app") for number in range(1500)]
    found = rules_of(written(*many, statement("ecr:List*", f"{REGISTRY}:repository/7/*")))
    assert "unfinished" not in found
    assert found.count("shadowed") == 1


def test_patterns_of_any_length_are_read():
    assert "too-long" in rules_of(
        written(statement(resource=f"{REGISTRY}:repository/{'*a?' * 5000}", Sid="A"), statement())
    )


def test_a_policy_of_every_service_of_the_catalogue_is_known():
    known = catalogue()
    for service in known.services:
        for action in known.actions_of(service):
            assert known.action(action.full) is action
            assert action in known.matching(f"{service}:{action.name[:3]}*")


def test_the_document_need_not_be_an_object():
    for text in ("[]", "3", '"x"', "null", '{"Statement": 3}', '{"Statement": [3]}', '{"Version": 3}', ""):
        assert "malformed" in rules_of(text), text


def test_awkward_documents_are_read():
    for text in (
        json.dumps({"Version": "2012-10-17", "Statement": statement("ecr:ListImages", [])}),
        written(statement([])),
        written(statement(when={"StringEquals": {"aws:username": []}})),
        written(statement("ecr:*${aws:username}", "arn:aws:ecr:${aws:PrincipalAccount}")),
    ):
        assert linted(text).findings


DOCUMENTS = Path(__file__).parents[3] / "vectors" / "policies"


@pytest.mark.parametrize("name", ["malformed", "wellformed"])
def test_what_the_grammar_refuses_is_malformed_and_nothing_else(name: str):
    for case in json.loads((DOCUMENTS / f"{name}.json").read_text()):
        found = rules_of(case["text"], Kind[case["kind"]])
        assert ("malformed" in found) is (name == "malformed"), case


def test_every_policy_that_aws_keeps_is_read_without_a_fault():
    """They are long, and name services and keys by the thousand."""
    for policy in CATALOGUE.values():
        found = [one for one in linted(policy.document).findings if one.rule.level is Level.ERROR]
        assert {one.rule.id for one in found} <= {"too-long"}, (policy.name, [one.message for one in found])

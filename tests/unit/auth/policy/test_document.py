import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.policy.document import Kind, Place, PolicyMalformed, Source, parse_policy, resource_problem
from tests.unit.auth.policy import made
from tests.unit.auth.policy.made import ROLE, STEADY, allow, document, named, policy

IDENTITY_LIKE = [Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION]


def fault(text: str, kind: Kind = Kind.IDENTITY, **rest: Any) -> PolicyMalformed:
    with pytest.raises(PolicyMalformed) as error:
        parse_policy(text, kind, **rest)
    return error.value


TEXT = """{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Push",
      "Effect": "Allow",
      "Action": "ecr:PutImage",
      "Resource": "arn:aws:ecr:*:*:repository/${aws:username}"
    }, {"Effect": "Deny", "NotAction": ["ecr:Get*"], "NotResource": "*",
      "Condition": {"StringNotEquals": {"AWS:PrincipalTag/Team": ["${aws:RequestTag/Team, 'blue'}"]}}}
  ]
}"""


def test_a_document_becomes_its_statements_with_where_they_stand():
    found = parse_policy(TEXT, Kind.IDENTITY, name="push", arn="arn:aws:iam::1:policy/push", source=Source.USER_MANAGED)
    first, second = found.statements
    assert (found.version, found.identifier, found.name) == ("2012-10-17", "", "push")
    assert (first.policy, first.number, first.sid, first.effect) == ("arn:aws:iam::1:policy/push", 0, "Push", "Allow")
    assert (first.start, first.end) == (Place(4, 5), Place(9, 6))
    assert (second.start, second.end) == (Place(9, 8), Place(10, 103))
    assert [second.text] == json.loads(TEXT)["Statement"][1:]
    assert (second.actions.written, second.actions.excluded) == (("ecr:Get*",), True)
    assert second.resources is not None
    assert (second.resources.written, second.resources.excluded) == (("*",), True)


def test_a_policy_knows_the_keys_that_it_reads():
    found = parse_policy(TEXT, Kind.IDENTITY)
    assert found.keys == {"aws:username", "aws:principaltag/team", "aws:requesttag/team"}
    assert found.statements[1].asks == (
        ("aws:principaltag/team", "AWS:PrincipalTag/Team"),
        ("aws:requesttag/team", "aws:RequestTag/Team"),
    )


def test_the_older_version_is_the_default_and_has_no_variables():
    found = parse_policy(
        json.dumps({"Statement": allow(resource="arn:aws:ecr:r:a:repository/${aws:username}")}), Kind.IDENTITY
    )
    assert (found.version, found.keys) == ("2008-10-17", frozenset())
    resources = found.statements[0].resources
    assert resources is not None
    assert resources.cover("arn:aws:ecr:r:a:repository/${aws:username}", {"aws:username": "nora"})


def test_managed_and_service_control_policies_must_have_the_newer_version():
    text = json.dumps({"Statement": allow()})
    assert fault(text, managed=True).message == "Policy document must be version 2012-10-17 or greater."
    assert fault(text, Kind.CONTROL).detail == "the version must be 2012-10-17"
    assert parse_policy(text, Kind.IDENTITY).version == "2008-10-17"


@pytest.mark.parametrize(
    ("text", "line", "column", "detail"),
    [
        ('{"Version": "2012-10-17",\n "Statement": [}', 2, 16, "a value is missing"),
        ('{"Version": "2012-10-17",\n "Version": "2012-10-17"}', 2, 2, "'Version' stands twice in one object"),
        ('{"Version": 2012}', 1, 13, "Version must be '2012-10-17' or '2008-10-17'"),
        ('{"Statements": []}', 1, 2, "'Statements' is no element of a policy"),
        ('{"Statement":\n [{"Effect": "Allow", "Condition": {\n"StringEqual": {"a": "b"}}}]}', 3, 1,
         "'StringEqual' is no condition operator"),
        ('{"Statement": {"Effect": "Allow", "Action": ["a:b", 7], "Resource": "*"}}', 1, 53,
         "Action and each of its values must be a string"),
        ('{"Statement": {"Effect": "Allow", "Action": ["a:b", "ab"], "Resource": "*"}}', 1, 53,
         "'ab' names no service, as in ecr:PutImage"),
        ('{"Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "x"}}', 1, 64, 'Resource x must be in ARN format or "*".'),
        ('{"Statement": {"Effect": "Allow", "Action": "a:b"}}', 1, 15, "Resource or NotResource must name something"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_where(text: str, line: int, column: int, detail: str):
    error = fault(text)
    assert (error.line, error.column, error.detail) == (line, column, detail)


def test_an_explanation_has_message_and_place_in_one_line():
    assert fault('{"Statements": []}').explained == (
        "Syntax errors in policy. (line 1, column 2: 'Statements' is no element of a policy)"
    )


def test_of_several_faults_the_one_is_named_that_iam_names():
    bad_resource = allow(resource="x", Sid="a")
    assert (
        fault(document(bad_resource, {"Effect": "Allow", "Sid": "b"})).message
        == "Policy statement must contain actions."
    )
    assert fault(document(bad_resource, allow(Sid="a"))).message.startswith("Statement IDs (SID)")
    assert fault(document(bad_resource, allow() | {"Effect": "allow"})).message == "The policy failed legacy parsing"
    assert fault(document(bad_resource, allow() | {"Effect": "x"})).message == "Syntax errors in policy."
    assert fault(document(bad_resource, allow(action="x"))).message == 'Resource x must be in ARN format or "*".'


@pytest.mark.parametrize("kind", IDENTITY_LIKE)
def test_only_policies_of_resources_name_principals(kind: Kind):
    assert fault(document(named("*", Resource="*")), kind).message == "Policy document should not specify a principal."


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({"Principal": "*"}, "Missing required field Effect"),
        ({"Effect": "Allow", "Action": "sts:AssumeRole"}, "Missing required field Principal"),
        ({"Effect": "allow", "Principal": "*", "Action": "sts:AssumeRole"}, "Invalid effect: allow"),
        (named({}, action="sts:AssumeRole"), "Missing required field Principal cannot be empty!"),
        (named({"AWS": []}, action="sts:AssumeRole"), "Missing required field Principal cannot be empty!"),
        (named({"AWS": "arn:aws:iam::*:root"}, action="sts:AssumeRole"),
         'Invalid principal in policy: "AWS":"arn:aws:iam::*:root"'),
        (named({"Service": "*"}, action="sts:AssumeRole"), 'Invalid principal in policy: "SERVICE":"*"'),
        (named({"Federated": "x y"}, action="sts:AssumeRole"), 'Invalid principal in policy: "FEDERATED":"x y"'),
        ({"Effect": "Allow", "Principal": "*"}, "Missing required field Action"),
        (named("*", action="sts:GetCallerIdentity"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (named("*", action="*"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (named("*", action="sts:AssumeRole", Resource=ROLE), "Has prohibited field Resource"),
        (named("*", action="sts:AssumeRole", NotResource=ROLE), "AssumeRole policy must not contain resources."),
        ({"Effect": "Deny", "NotPrincipal": "*", "Action": "sts:AssumeRole"},
         "AssumeRole policy must not contain NotPrincipal field."),
        ({"Effect": "Allow", "NotPrincipal": "*", "Action": "sts:AssumeRole"}, "Allow with NotPrincipal is not allowed."),
    ],
)  # fmt: skip
def test_a_trust_policy_has_its_own_messages(statement: dict[str, Any], message: str):
    assert fault(document(statement), Kind.TRUST).message == message


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Kind.IDENTITY, "Syntax errors in policy."),
        (Kind.BOUNDARY, "Syntax errors in policy."),
        (Kind.SESSION, "The policy is not in the valid JSON format."),
        (Kind.TRUST, "This policy contains invalid Json"),
        (Kind.REPOSITORY, "Invalid repository policy provided"),
        (Kind.REGISTRY, "Invalid registry policy provided"),
        (Kind.CONTROL, "The provided policy document does not meet the requirements of the specified policy type."),
    ],
)
def test_each_kind_says_in_its_own_words_that_a_text_is_no_json(kind: Kind, message: str):
    error = fault("{", kind)
    assert (error.message, error.line, error.column) == (message, 1, 2)


def test_repository_policies_may_leave_out_the_resource_and_repeat_sids_but_speak_of_ecr_only():
    assert policy(named("*", Sid="a b"), named("*", Sid="a b"), kind=Kind.REPOSITORY).statements[0].resources is None
    assert fault(document(named("*", action="s3:*")), Kind.REPOSITORY).detail == "'s3:*' is no action of ecr"
    assert fault(document(named("*")), Kind.REGISTRY).detail == "Resource or NotResource must name something"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("*", ""),
        ("arn:aws:ecr:*:*:repository/*", ""),
        ("arn:aws-cn:ecr:*:*:repository/*", ""),
        ("arn:*:ecr:*:*:repository/*", ""),
        ("arn:aws:ecr", ""),
        ("arn:aws:s3:::bucket", ""),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint/a", ""),
        ("arn:aws:s3:us-east-1::bucket", "Resource arn:aws:s3:us-east-1::bucket can not contain region information."),
        ("arn:aws:iam::1:user/nora", ""),
        ("arn:aws:iam::1:*", ""),
        ("arn:aws:iam:r:1:user/nora", "IAM resource arn:aws:iam:r:1:user/nora cannot contain region information."),
        ("nothing", 'Resource nothing must be in ARN format or "*".'),
        ("urn:aws:ecr:a:b:c", 'Resource urn:aws:ecr:a:b:c must be in ARN format or "*".'),
        ("a:bad", 'Partition "bad" is not valid for resource "arn:bad:*:*:*:*".'),
        ("a:b:c", 'Partition "b" is not valid for resource "arn:b:c:*:*:*".'),
        ("a:b:c:d:e:f:g:h", 'Partition "b" is not valid for resource "arn:b:c:d:e:f:g:h".'),
        ("aws:s3:::bucket", 'Partition "s3" is not valid for resource "arn:s3:::bucket:*".'),
        ("arn:aws", "Resource vendor must be fully qualified and cannot contain regexes."),
        ("arn:aws:*:::x", "Resource vendor must be fully qualified and cannot contain regexes."),
    ],
)
def test_a_resource_is_refused_in_iams_words(written: str, problem: str):
    assert resource_problem(written) == problem


@pytest.mark.parametrize("written", ["arn:aws:ecr", "arn:aws:ecr:*", "arn:aws:ecr:us-east-1:123456789012"])
def test_a_session_policy_has_whole_arns(written: str):
    text = document({"Effect": "Allow", "Action": "ecr:*", "Resource": written})
    assert fault(text, Kind.SESSION).message == f'Resource {written} must be in ARN format or "*".'
    parse_policy(text, Kind.IDENTITY)


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["Allow", "*", "ecr:*", "2012-10-17", "StringEquals", ""])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["Version", "Id", "Statement", "Sid", "Effect", "Action", "NotAction", "Resource", "Principal", "NotPrincipal",
                 "Condition", "StringEquals", "AWS", "aws:key"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=20,
)  # fmt: skip


@STEADY
@given(_JSON, st.sampled_from(Kind))
def test_any_document_is_compiled_or_refused(value: Any, kind: Kind):
    try:
        parse_policy(json.dumps(value), kind)
    except PolicyMalformed as error:
        assert (error.message and error.detail and error.line > 0 and error.column > 0) is True  # noqa: PT017


@STEADY
@given(st.integers(0, 1000), st.sampled_from(Kind), st.integers(0, 4), _JSON)
def test_any_element_of_a_good_document_may_be_of_any_type(seed: int, kind: Kind, element: int, value: Any):
    """The document is refused, or good; nothing else happens."""
    statement = made.statement(seed, kind)
    statement[list(statement)[element % len(statement)]] = value
    try:
        policy(statement, kind=kind)
    except PolicyMalformed as error:
        assert error.message  # noqa: PT017


def test_a_megabyte_of_catastrophic_patterns_is_compiled_and_evaluated():
    text = document(allow(resource=["arn:aws:ecr:*:*:repository/" + "*a?" * 6_000 + "b"] * 50))
    assert len(text) > 900_000
    (statement,) = parse_policy(text, Kind.IDENTITY).statements
    assert statement.resources is not None
    assert not statement.resources.cover("arn:aws:ecr:us-east-1:123456789012:repository/" + "a" * 256, {})


def test_ten_thousand_statements_are_compiled():
    text = document(*(allow(resource=f"arn:aws:ecr:*:*:repository/team-{number}/*") for number in range(10_000)))
    assert len(text) > 900_000
    assert parse_policy(text, Kind.IDENTITY).statements[-1].number == 9_999

"""Whatever a document holds, it is read to its end."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from auth.policy.document import Kind
from tests.unit.auth.lint.documents import linted

WORDS = st.sampled_from(
    [
        "", "*", "*:*", "ecr:*", "ecr:PutImage", "ecr:Nope", "iam:PassRole", "sts:AssumeRole", "Allow", "Deny", "a", "123456789012",
        "arn:aws:ecr:us-east-1:123456789012:repository/a*", "arn:aws:iam::123456789012:role/r", "arn:aws:ecr", "arn", ":::::",
        "${aws:username}", "${", "${aws:TagKeys, 'x'}", "2012-10-17", "2020-01-01", "10.0.0.0/8", "true", "1e999", "é\u0000",
    ]
)  # fmt: skip
VALUES = st.one_of(WORDS, st.booleans(), st.integers(-5, 5), st.none(), st.lists(WORDS, max_size=3))
OPERATORS = st.sampled_from(
    ["StringEquals", "StringNotLikeIfExists", "ForAllValues:ArnLike", "NumericLessThan", "DateGreaterThan", "Bool", "Null",
     "IpAddress", "NotIpAddress", "BinaryEquals", "Nope", "ForAnyValue:StringLike"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["aws:SourceIp", "aws:TagKeys", "aws:RequestTag/a", "aws:ResourceTag", "ecr:Nope", "aws:EpochTime", "aws:PrincipalArn", "x", "",
     "aws:CurrentTime", "AWS:sourceip", "token.example.test:sub", "s3:prefix", ":"]
)  # fmt: skip
CONDITION = st.dictionaries(OPERATORS, st.one_of(st.dictionaries(KEYS, VALUES, max_size=3), VALUES), max_size=3)
TYPES = st.sampled_from(["AWS", "Service", "Federated", "CanonicalUser", "X"])
PRINCIPAL = st.one_of(st.just("*"), VALUES, st.dictionaries(TYPES, VALUES, max_size=2))
ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "Sid": VALUES,
    "Principal": PRINCIPAL,
    "NotPrincipal": PRINCIPAL,
    "Action": VALUES,
    "NotAction": VALUES,
    "Resource": VALUES,
    "NotResource": VALUES,
    "Condition": st.one_of(CONDITION, VALUES),
}
STATEMENT = st.fixed_dictionaries({"Effect": st.sampled_from(["Allow", "Deny", "Maybe"])}, optional=ELEMENTS)
DOCUMENT = st.fixed_dictionaries(
    {"Statement": st.lists(st.one_of(STATEMENT, VALUES), max_size=4)}, optional={"Version": WORDS}
)


@settings(max_examples=400, deadline=None)
@given(DOCUMENT, st.sampled_from(Kind))
def test_no_document_breaks_the_linter(document: Any, kind: Kind):
    text = json.dumps(document, indent=1)
    report = linted(text, kind)
    for finding in report.findings:
        place = report.place(finding)
        assert 1 <= place.line <= text.count("\n") + 1
        assert (place.line, place.column) <= (place.end_line, place.end_column)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.sampled_from(Kind))
def test_no_text_does(text: str, kind: Kind):
    report = linted(text, kind)
    assert [finding.rule.id for finding in report.findings] == ["malformed"]

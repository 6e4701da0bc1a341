import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws.arn import Arn

_WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", max_size=12)


def test_an_arn_has_its_parts():
    arn = Arn.parse("arn:aws:ecr:eu-central-1:123456789012:repository/team/app")
    assert arn == Arn("aws", "ecr", "eu-central-1", "123456789012", "repository/team/app")


def test_the_resource_keeps_its_colons():
    assert Arn.parse("arn:aws:logs:us-east-1:1:log-group:a:*").resource == "log-group:a:*"


@settings(derandomize=True, deadline=None)
@given(service=_WORD.filter(bool), region=_WORD, account=_WORD, resource=st.text(min_size=1, max_size=50))
def test_an_arn_is_what_it_was_parsed_from(service: str, region: str, account: str, resource: str):
    text = f"arn:aws:{service}:{region}:{account}:{resource}"
    assert str(Arn.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arn",
        "arn:aws:iam::1",
        "ARN:aws:iam::1:root",
        "arn::iam::1:root",
        "arn:aws:::1:root",
        "arn:aws:iam::1:",
        "arn:aws iam:iam::1:root",
        "arn:aws:iam::1:" + "r" * 2048,
    ],
)
def test_what_is_no_arn_is_refused(text: str):
    with pytest.raises(ValueError, match="ARN"):
        Arn.parse(text)

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.names import (
    NAME_PATTERN,
    NameMalformed,
    RegistryId,
    TagMalformed,
    parse_name,
    parse_tag,
    partition_of,
)

NAMES = [
    "ab", "a1", "library/alpine", "a/b/c/d", "a-b", "a--b", "a---b", "a_b", "a__b", "a.b", "0", "a/0", "x" * 256,
    "a/" * 127 + "ab",
]  # fmt: skip
NO_NAMES = [
    "", "a", "x" * 257, "A", "aB", "a/B", "/a", "a/", "a//b", "-a", "a-", "_a", "a_", ".a", "a.", "a..b", "a___b", "a._b",
    "a.-b", "a-_b", "..", "../etc", "a/../b", "a/./b", "a%2fb", "a b", "a\n", "a/b\n", "\u00e4b", "a\u0300b", "a:b", "a@b",
    "a\0b", "\udc80\udc80", "a,b", "a+b", "a~b",
]  # fmt: skip


@pytest.mark.parametrize("text", [name for name in NAMES if len(name) > 1])
def test_a_name_of_the_grammar_is_taken_as_it_is(text: str):
    assert parse_name(text) == text


@pytest.mark.parametrize("text", NO_NAMES)
def test_any_other_name_is_refused(text: str):
    with pytest.raises(NameMalformed, match="is not a repository name: expected 2 to 256"):
        parse_name(text)


@given(st.from_regex(re.compile(NAME_PATTERN, re.ASCII), fullmatch=True))
def test_what_the_grammar_makes_is_a_name_if_its_length_is_right(text: str):
    if 2 <= len(text) <= 256:
        assert parse_name(text) == text
    else:
        with pytest.raises(NameMalformed):
            parse_name(text)


@pytest.mark.parametrize(
    "text", ["a" * 255 + "!", "a-" * 127 + "!", "a/" * 127 + "/", "-" * 256, "a" + "-" * 254 + "!"]
)
def test_a_hostile_name_is_refused_quickly(text: str):
    started = time.perf_counter()
    for _ in range(20):
        with pytest.raises(NameMalformed):
            parse_name(text)
    assert time.perf_counter() - started < 1.0


def test_a_refusal_shows_no_more_than_a_few_lines():
    for parse, error in ((parse_name, NameMalformed), (parse_tag, TagMalformed)):
        with pytest.raises(error) as refused:
            parse("!" * 100_000)
        assert len(str(refused.value)) < 600


@pytest.mark.parametrize("text", ["a", "A", "_", "0", "1.2.3-rc_1", "latest", "x" * 128, "_.-", "sha256-" + "a" * 64])
def test_a_tag_of_the_grammar_is_taken_as_it_is(text: str):
    assert parse_tag(text) == text


@pytest.mark.parametrize(
    "text", ["", "x" * 129, ".a", "-a", "a b", "a/b", "a:b", "a\n", "\u00e4", "a%20", "a@b", "a+b", "\0"]
)
def test_any_other_tag_is_refused(text: str):
    with pytest.raises(TagMalformed, match="is not a tag: expected 1 to 128"):
        parse_tag(text)


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_an_arn_has_the_partition_of_its_region(region: str, partition: str):
    assert partition_of(region) == partition
    expected = f"arn:{partition}:ecr:{region}:123456789012:repository/a/b"
    assert RegistryId("123456789012", region).arn("a/b") == expected

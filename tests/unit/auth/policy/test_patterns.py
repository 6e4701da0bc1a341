import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.policy.patterns import (
    Fixed,
    Wild,
    compile_actions,
    compile_arn,
    compile_match,
    compile_resources,
    literal_tail,
    plain_tokens,
    resource_tokens,
)
from tests.unit.auth.policy.made import STEADY


def slowly(pattern: list[str | Wild], text: str) -> bool:
    """The definition: try each length for each star."""
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    match first:
        case Wild.MANY:
            return any(slowly(rest, text[length:]) for length in range(len(text) + 1))
        case Wild.MANY_WITHIN:
            within = text.split(":", 1)[0]
            return any(slowly(rest, text[length:]) for length in range(len(within) + 1))
        case Wild.ONE:
            return bool(text) and slowly(rest, text[1:])
        case Wild.ONE_WITHIN:
            return bool(text) and text[0] != ":" and slowly(rest, text[1:])
    return text.startswith(str(first)) and slowly(rest, text[len(str(first)) :])


_TEXT = st.text(st.sampled_from("ab:"), max_size=7)
_TOKENS = st.lists(st.one_of(st.sampled_from(["a", "b", ":", "ab"]), st.sampled_from(list(Wild))), max_size=7)


@STEADY
@given(_TOKENS, _TEXT)
def test_a_pattern_matches_what_its_definition_matches(pattern: list[Fixed], text: str):
    assert compile_match(pattern)(text) is slowly(pattern, text)


@STEADY
@given(st.text(st.sampled_from("ab:/*"), max_size=20), _TEXT)
def test_a_resource_pattern_matches_what_its_definition_matches(written: str, text: str):
    found = compile_resources([written], excluded=False, variables=True)
    assert found.cover(text, {}) is slowly(list(resource_tokens(written, variables=False)), text)


@STEADY
@given(
    st.lists(st.text(st.sampled_from("ab*?"), max_size=3), min_size=6, max_size=7),
    st.lists(_TEXT, min_size=5, max_size=7),
)
def test_an_arn_pattern_meets_segment_by_segment(written: list[str], given_segments: list[str]):
    text = ":".join(given_segments)
    segments, texts = ":".join(written).split(":", 5), text.split(":", 5)
    expected = len(texts) == 6 and all(slowly(list(plain_tokens(a)), b) for a, b in zip(segments, texts, strict=True))
    assert compile_arn(plain_tokens(":".join(written)))(text) is expected


@STEADY
@given(
    st.text(st.sampled_from("ab:*?/"), max_size=14),
    st.lists(st.text(st.sampled_from("ab/"), max_size=3), min_size=6, max_size=6),
)
def test_a_pattern_that_matches_six_segments_begins_the_last_as_its_literal_tail_says(
    written: str, segments: list[str]
):
    pattern = resource_tokens(written, variables=False)
    tail = literal_tail(pattern)
    if tail is not None and slowly(list(pattern), ":".join(segments)):
        beginning, whole = tail
        assert segments[5] == beginning if whole else segments[5].startswith(beginning)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("arn:aws:ecr:*", "arn:aws:ecr:us-east-1:123456789012:repository/a", True),
        ("arn:aws:ecr:us-east-1:*", "arn:aws:ecr:us-east-1:123456789012:repository/a", True),
        ("arn:aws:ecr:us-*", "arn:aws:ecr:us-east-1:123456789012:repository/a", True),
        ("arn:aws:ecr:us-*-1:123456789012:repository/a", "arn:aws:ecr:us-east-1:123456789012:repository/a", True),
        (
            "arn:aws:ecr:u*1:123456789012:repository/a",
            "arn:aws:ecr:us-east-1:123456789011:123456789012:repository/a",
            False,
        ),
        ("arn:aws:ecr:u*12:repository/a", "arn:aws:ecr:us-east-1:123456789012:repository/a", False),
        ("arn:aws:ecr:us-east-?:123456789012:repository/?", "arn:aws:ecr:us-east-1:123456789012:repository/a", True),
        ("arn:aws:ecr:us-east-1?123456789012:repository/a", "arn:aws:ecr:us-east-1:123456789012:repository/a", False),
        ("arn:aws:logs:*:*:log-group:*:stream", "arn:aws:logs:r:a:log-group:b:c:stream", True),
        ("arn:aws:ecr:*:*:repository/a*", "arn:aws:ecr:us-east-1:123456789012:repository/b", False),
        ("arn:aws:ecr", "arn:aws:ecr:us-east-1:123456789012:repository/a", True),
        ("arn:aws:ecr", "arn:aws:ecs:us-east-1:123456789012:cluster/a", False),
        ("arn:aws:ecr", "arn:aws:ecr", False),
        ("arn:aws:ecr:us-east-1", "arn:aws:ecr:us-east-1:123456789012:repository/a", True),
        ("arn:aws:ecr:us-east", "arn:aws:ecr:us-east-1:123456789012:repository/a", False),
        ("arn:aws:ecr:*:123456789012", "arn:aws:ecr:us-east-1:123456789012:repository/a", True),
        ("arn:aws:ecr:*:12345678901", "arn:aws:ecr:us-east-1:123456789012:repository/a", False),
        ("*", "", True),
        ("*", "*", True),
    ],
)
def test_wildcards_stay_in_their_segment_but_for_a_star_that_ends_it(pattern: str, text: str, matches: bool):
    assert compile_resources([pattern], excluded=False, variables=True).cover(text, {}) is matches
    assert compile_resources([pattern], excluded=True, variables=True).cover(text, {}) is not matches


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 2000 + "b", "*?a" * 1500 + "b", "*" * 5000 + "b", "?" * 2000 + "*" + "a?" * 2000, "*" + "a" * 4000 + "b*"],
    ids=["stars", "stars and question marks", "stars only", "question marks", "nearly found"],
)
def test_catastrophic_patterns_take_no_time(pattern: str):
    text = "a" * 8000
    assert compile_match(plain_tokens(pattern))(text) is ("b" not in pattern)
    assert compile_resources([pattern], excluded=False, variables=True).cover(text, {}) is ("b" not in pattern)


@pytest.mark.parametrize(
    ("resource", "username", "covers"),
    [
        ("arn:aws:ecr:r:a:repository/${aws:username}", "nora", True),
        ("arn:aws:ecr:r:a:repository/${AWS:UserName}", "nora", True),
        ("arn:aws:ecr:r:a:repository/${ aws:username }", "nora", True),
        ("arn:aws:ecr:r:a:repository/${aws:username}", "no*", False),
        ("arn:aws:ecr:r:a:repository/${aws:username}", None, False),
        ("arn:aws:ecr:r:a:repository/${aws:username, 'nora'}", None, True),
        ("arn:aws:ecr:r:a:repository/${aws:username, 'nora'}", "paul", False),
        ("arn:aws:ecr:r:a:repository/${aws:username", "nora", False),
        ("arn:aws:ecr:${aws:username}:a:repository/nora", "r", False),
    ],
)
def test_variables_stand_for_texts_after_the_fifth_colon(resource: str, username: str | None, covers: bool):
    context = {} if username is None else {"aws:username": username}
    found = compile_resources([resource], excluded=False, variables=True)
    assert found.cover("arn:aws:ecr:r:a:repository/nora", context) is covers


def test_escapes_are_the_characters_themselves():
    found = compile_resources(["arn:aws:ecr:r:a:repository/${*}${?}${$}"], excluded=False, variables=True)
    assert found.cover("arn:aws:ecr:r:a:repository/*?$", {})
    assert not found.cover("arn:aws:ecr:r:a:repository/abc", {})


def test_actions_match_in_any_case_and_their_wildcards_anywhere():
    found = compile_actions(["ecr:Get*Layer", "IAM:?etUser"], excluded=False)
    assert [found.cover(action) for action in ("ECR:getdownloadurlforLAYER", "iam:GetUser", "iam:GetUsers")] == [
        True,
        True,
        False,
    ]
    assert not compile_actions(["*"], excluded=True).cover("ecr:PutImage")

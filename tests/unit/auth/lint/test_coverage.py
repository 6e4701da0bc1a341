"""Patterns beside each other, held against the matching that decides."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from auth.lint.coverage import Shape
from auth.policy.patterns import compile_match, plain_tokens, resource_tokens, tokens

TEXTS = ["".join(signs) for length in range(6) for signs in product("ab:", repeat=length)]
PATTERNS = st.text("ab:*?", max_size=4)


def shape(pattern: str, *, segments: bool) -> tuple[Shape, set[str]]:
    """The pattern, and which of the texts it matches."""
    parts = resource_tokens(pattern, variables=False) if segments else plain_tokens(pattern)
    match = compile_match(parts)
    return Shape(parts), {text for text in TEXTS if match(text)}


@settings(max_examples=300, deadline=None)
@given(PATTERNS, PATTERNS, st.booleans())
def test_a_pattern_that_covers_another_matches_all_that_it_does(wide: str, narrow: str, segments: bool):
    one, its = shape(wide, segments=segments)
    other, others = shape(narrow, segments=segments)
    assert not one.covers(other) or others <= its


@settings(max_examples=300, deadline=None)
@given(PATTERNS, PATTERNS, st.booleans())
def test_patterns_that_match_the_same_text_meet(left: str, right: str, segments: bool):
    one, its = shape(left, segments=segments)
    other, others = shape(right, segments=segments)
    if its & others:
        assert one.meets(other)
        assert other.meets(one)


@settings(max_examples=300, deadline=None)
@given(PATTERNS.map(lambda text: text[:3]), PATTERNS.map(lambda text: text[:2]))
def test_patterns_that_meet_match_a_text_together(left: str, right: str):
    one, its = shape(left, segments=False)
    other, others = shape(right, segments=False)
    assert one.meets(other) == bool(its & others)


@settings(max_examples=200, deadline=None)
@given(PATTERNS)
def test_a_pattern_covers_itself_and_everything_covers_it(pattern: str):
    one, _ = shape(pattern, segments=False)
    assert one.covers(one)
    assert Shape(plain_tokens("*")).covers(one)


def test_a_variable_is_covered_by_itself_and_by_a_star_and_meets_anything():
    of_name, of_tag, star, fixed = (
        Shape(tokens(text, variables=True)) for text in ("a/${aws:username}", "a/${aws:PrincipalTag/t}", "a/*", "a/b")
    )
    assert of_name.covers(of_name)
    assert star.covers(of_name)
    assert not of_name.covers(star)
    assert not of_name.covers(of_tag)
    assert not of_name.covers(fixed)
    assert of_name.meets(fixed)
    assert of_name.meets(of_tag)


def test_an_escaped_character_is_itself():
    assert Shape(tokens("a${*}", variables=True)).covers(Shape(("a*",)))
    assert not Shape(tokens("a${*}", variables=True)).covers(Shape(("ab",)))

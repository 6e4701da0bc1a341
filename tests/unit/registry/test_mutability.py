import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.mutability import Mutability, MutabilityInvalid, TagPolicy, covers, make_tag_policy

LETTERS = "ab.*"


@given(st.text("ab.", max_size=8), st.text(LETTERS, min_size=1, max_size=6))
def test_a_filter_covers_what_its_wildcards_say(tag: str, pattern: str):
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), tag) is not None
    assert covers(pattern, tag) is expected


@pytest.mark.parametrize(
    ("pattern", "tag", "covered"),
    [("*", "", True), ("*", "anything", True), ("v*", "v", True), ("*v", "xv", True), ("a*a", "a", False),
     ("a*a", "aa", True), ("ab*ba", "aba", False), ("*mid*", "a-mid-b", True), ("latest", "latest", True),
     ("latest", "Latest", False), ("lat", "latest", False), ("v.*", "vx1", False)],
)  # fmt: skip
def test_a_filter_covers_a_whole_tag_and_letters_mean_themselves(pattern: str, tag: str, covered: bool):
    assert covers(pattern, tag) is covered


@pytest.mark.parametrize(
    ("mode", "filters", "immutable"),
    [
        ("MUTABLE", (), {"v1": False, "dev-1": False}),
        ("IMMUTABLE", (), {"v1": True, "dev-1": True}),
        ("MUTABLE_WITH_EXCLUSION", ("v*",), {"v1": True, "dev-1": False}),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*", "latest"), {"v1": True, "dev-1": False, "latest": False}),
    ],
)
def test_exclusions_turn_the_mode_around(mode: str, filters: tuple[str, ...], immutable: dict[str, bool]):
    policy = make_tag_policy(mode, filters)
    assert {tag: policy.is_immutable(tag) for tag in immutable} == immutable


def test_a_repository_is_mutable_unless_it_says_so():
    assert TagPolicy() == make_tag_policy("MUTABLE", ())
    assert not TagPolicy().is_immutable("latest")


@pytest.mark.parametrize(
    ("mode", "filters", "reason"),
    [
        ("MUTABLE_WITH_EXCLUSION", (), "are required"),
        ("IMMUTABLE_WITH_EXCLUSION", (), "are required"),
        ("MUTABLE", ("a",), "cannot be given"),
        ("IMMUTABLE", ("a",), "cannot be given"),
        ("MUTABLE_WITH_EXCLUSION", ("a", "b", "c", "d", "e", "f"), "at most 5"),
        ("MUTABLE_WITH_EXCLUSION", ("",), "has to be of"),
        ("MUTABLE_WITH_EXCLUSION", ("a" * 129,), "has to be of"),
        ("MUTABLE_WITH_EXCLUSION", ("a*b*c*d",), "two wildcards"),
        ("MUTABLE_WITH_EXCLUSION", ("a/b",), "has to be of"),
        ("MUTABLE_WITH_EXCLUSION", ("a\n",), "has to be of"),
    ],
)
def test_modes_and_filters_that_do_not_go_together_are_refused(mode: str, filters: tuple[str, ...], reason: str):
    with pytest.raises(MutabilityInvalid, match=reason):
        make_tag_policy(mode, filters)


def test_the_modes_are_those_of_ecr():
    from botocore.session import Session

    shape = Session().get_service_model("ecr").shape_for("ImageTagMutability")
    assert sorted(shape.enum) == sorted(Mutability)

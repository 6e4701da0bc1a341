"""Tokens of pages."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.ecr.paging import DEFAULT, read_page, refuse_paging, write_token
from registry.errors import ParameterInvalid


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=3))
def test_a_token_leads_to_the_position_that_it_was_made_of(position: list[str]) -> None:
    token = write_token("things", *position)
    assert read_page({"nextToken": token}, "things", len(position)) == (DEFAULT, tuple(position))
    for listing, width in (("others", len(position)), ("things", len(position) + 1)):
        with pytest.raises(ParameterInvalid):
            read_page({"nextToken": token}, listing, width)


def encoded(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


@given(st.text(min_size=1) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(encoded))
@example(encoded(["things", "\ud800"]))
@example(encoded(["things", 1]))
@example(base64.urlsafe_b64encode(b"[" * 100_000).decode())
def test_whatever_is_sent_for_a_token_is_read_or_refused(token: str) -> None:
    with contextlib.suppress(ParameterInvalid):
        limit, (after,) = read_page({"nextToken": token, "maxResults": 7}, "things")
        assert limit == 7
        assert after.encode()


def test_without_a_token_a_listing_begins_at_its_start() -> None:
    assert read_page({"maxResults": 3}, "things", 2) == (3, ("", ""))


@pytest.mark.parametrize("member", ["nextToken", "maxResults"])
def test_a_page_of_things_named_is_refused(member: str) -> None:
    refuse_paging({}, "imageIds")
    with pytest.raises(ParameterInvalid, match=f"'{member}'.*imageIds"):
        refuse_paging({member: 1}, "imageIds")

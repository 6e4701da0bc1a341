"""What the grammar of the policy language refuses is refused when it is written, and what it takes is taken."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from auth.policy.document import Kind, PolicyMalformed, parse_policy

Case = dict[str, Any]


def _load(name: str) -> list[Case]:
    return json.loads(Path(__file__).with_name(name).read_text())


_MALFORMED = _load("malformed.json")
_WELLFORMED = _load("wellformed.json")


@pytest.mark.parametrize("case", _MALFORMED, ids=lambda case: case["name"])
def test_a_malformed_document_is_refused_in_awss_words_and_told_where(case: Case):
    with pytest.raises(PolicyMalformed) as raised:
        parse_policy(case["text"], Kind[case["kind"]])
    error = raised.value
    assert error.message == case.get("message", error.message)
    assert 1 <= error.line <= case["text"].count("\n") + 1
    assert 1 <= error.column <= len(case["text"]) + 1


@pytest.mark.parametrize("case", _WELLFORMED, ids=lambda case: case["name"])
def test_a_wellformed_document_is_taken(case: Case):
    parse_policy(case["text"], Kind[case["kind"]])


def test_every_document_says_where_its_rule_is():
    every = _MALFORMED + _WELLFORMED
    assert [case["name"] for case in every if not re.fullmatch(r"[A-Z][^,]+(, .+)+", case["source"])] == []

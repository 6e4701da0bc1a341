"""What the documentation says of a request and its policies is what the engine and the naive evaluator answer."""

import re

import pytest

from auth.policy.evaluate import Reason, sentence
from tests.naive import evaluator
from tests.vectors.policies import cases

_CASES = dict(cases.load())
_EVERY = pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)


@_EVERY
def test_the_engine_decides_as_documented(case: cases.Case):
    verdict = cases.judge(case)
    expected = case["expected"]
    assert (verdict.allowed, verdict.reason.value) == (expected["allowed"], expected["reason"])
    if "sentence" in expected:
        assert sentence(cases.request(case), verdict) == expected["sentence"]


@_EVERY
def test_the_naive_evaluator_decides_as_documented(case: cases.Case):
    answer = evaluator.evaluate(case)
    assert (answer.allowed, answer.reason) == (case["expected"]["allowed"], case["expected"]["reason"])


def test_every_case_says_where_it_is_documented():
    assert [name for name, case in _CASES.items() if not re.fullmatch(r"[A-Z][^,]+(, .+)+", case["source"])] == []


def test_there_are_cases_for_every_reason():
    assert {case["expected"]["reason"] for case in _CASES.values()} == {reason.value for reason in Reason}

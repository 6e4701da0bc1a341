import json

import pytest

from auth.policy.document import Kind, parse_policy
from auth.policy.evaluate import InForce, PolicySet, evaluate
from bench.authorization import NUMBERS, POLICIES, Times, documents, questions, request_of


@pytest.mark.parametrize("number", NUMBERS)
def test_so_many_statements_in_ten_policies_and_half_of_them_with_conditions(number: int):
    made = [json.loads(text)["Statement"] for text in documents(number)]
    assert (len(made), sum(map(len, made))) == (POLICIES, number)
    assert sum("Condition" in one for statements in made for one in statements) == number // 2


def test_no_two_questions_are_about_the_same():
    asked = list(questions(2000, 100, users=2000, repositories=2000))
    for part in ("principal", "access", "circumstances"):
        assert len({repr(getattr(one, part)) for one in asked}) == 2000


def test_some_questions_are_allowed_and_some_are_not():
    identity = PolicySet(parse_policy(text, Kind.IDENTITY) for text in documents(100))
    answers = [
        evaluate(request_of(one), InForce(identity=identity)).allowed
        for one in questions(1000, 100, users=1000, repositories=1000)
    ]
    assert 100 < sum(answers) < 900


def test_times_are_in_microseconds():
    assert Times.of([1000 * number for number in range(100, 0, -1)]) == Times(51.0, 100.0)

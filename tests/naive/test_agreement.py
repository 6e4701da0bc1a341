"""Two evaluators of policies, written apart, agree: on the answer, on the reason, and on who denied."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from auth.policy.document import Kind
from auth.policy.evaluate import InForce, Reason, Verdict, evaluate
from tests.naive import evaluator, generator
from tests.vectors.policies import cases

Case = dict[str, Any]

_ORDINARY = [(seed, 500) for seed in range(1, 11)]
_LONG = [pytest.param(seed, 50_000, marks=pytest.mark.long) for seed in range(101, 121)]  # a million


@pytest.mark.parametrize(("seed", "count"), [*_ORDINARY, *_LONG])
def test_the_engine_and_the_naive_evaluator_agree(seed: int, count: int):
    for policies, requests in generator.cases(seed, count):
        force = cases.in_force(policies)
        for request in requests:
            case = _case(policies, request)
            if not _agree(evaluator.evaluate(case), _judge(case, force)):
                pytest.fail(f"seed {seed}: {_told(_least(case))}", pytrace=False)


def test_every_reason_and_its_opposite_is_generated():
    """A generator that only ever made denials, or never met a boundary, would agree with anything."""
    answers = [
        evaluator.evaluate(_case(policies, request)).reason
        for policies, requests in generator.cases(0, 3_000)
        for request in requests
    ]
    assert set(answers) == {reason.value for reason in Reason}
    assert answers.count("allowed") > len(answers) / 10
    assert answers.count("explicit deny") > len(answers) / 20


def test_a_disagreement_is_told_by_its_least_case():
    """Of a case that two evaluators answer differently, what does not matter is left out."""
    statement = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*", "Condition": {"Bool": {"a:b": "true"}}}
    document = {"Version": "2012-10-17", "Statement": [statement, statement | {"Effect": "Deny"}]}
    case = {"context": {"a:b": "true", "a:c": "1"}, "policies": {"identity": [document, document], "boundary": []}}

    def denies(it: Case) -> bool:
        return '"Deny"' in json.dumps(it)

    assert _least(case, denies) == {
        "context": {},
        "policies": {
            "identity": [
                {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "ecr:*", "Resource": "*"}]}
            ]
        },
    }


# --- asking both

_NAMES = {
    Kind.IDENTITY: "identity",
    Kind.BOUNDARY: "boundary",
    Kind.SESSION: "session",
    Kind.CONTROL: "controls",
    Kind.REPOSITORY: "repository",
    Kind.REGISTRY: "registry",
    Kind.TRUST: "trust",
}


def _case(policies: Case, request: Case) -> Case:
    return request | {"policies": policies | {"owner": request["owner"]}}


def _judge(case: Case, force: InForce) -> Verdict:
    return evaluate(cases.request(case), replace(force, owner=case["policies"]["owner"]))


def _agree(answer: evaluator.Answer, verdict: Verdict) -> bool:
    if (answer.allowed, answer.reason) != (verdict.allowed, verdict.reason.value):
        return False
    return not answer.denied_by or (verdict.kind is not None and _NAMES[verdict.kind] in answer.denied_by)


def _disagree(case: Case) -> bool:
    return not _agree(evaluator.evaluate(case), _judge(case, cases.in_force(case["policies"])))


# --- telling what they disagree about


def _least(case: Case, fails: Callable[[Case], bool] = _disagree) -> Case:
    """Leaves out policies, documents, statements, conditions and context keys for as long as it fails without them."""
    for smaller in _smaller(case):
        if fails(smaller):
            return _least(smaller, fails)
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """The case without one of its parts, the largest first."""
    for policies in _without_policy(case["policies"]):
        yield case | {"policies": policies}
    for key in case["context"]:
        yield case | {"context": {it: value for it, value in case["context"].items() if it != key}}


def _without_policy(policies: Case) -> Iterator[Case]:
    for name, documents in policies.items():
        if name == "controls":
            for number, level in enumerate(documents):
                for fewer in _without_document(level):
                    yield policies | {name: [*documents[:number], fewer, *documents[number + 1 :]]}
        elif isinstance(documents, list):
            for fewer in _without_document(documents):
                yield policies | {name: fewer}
        if name in {"boundary", "session", "controls", "repository", "registry"}:
            yield {it: value for it, value in policies.items() if it != name}


def _without_document(documents: list[Case]) -> Iterator[list[Case]]:
    for number, document in enumerate(documents):
        before, after = documents[:number], documents[number + 1 :]
        if before or after:
            yield [*before, *after]
        statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
        for place, statement in enumerate(statements):
            if len(statements) > 1:
                yield [*before, document | {"Statement": statements[:place] + statements[place + 1 :]}, *after]
            for fewer in _without_condition(statement):
                changed = [*statements[:place], fewer, *statements[place + 1 :]]
                yield [*before, document | {"Statement": changed}, *after]


def _without_condition(statement: Case) -> Iterator[Case]:
    for operator in statement.get("Condition", {}):
        condition = {it: keys for it, keys in statement["Condition"].items() if it != operator}
        rest = {it: value for it, value in statement.items() if it != "Condition"}
        yield rest | ({"Condition": condition} if condition else {})


def _told(case: Case) -> str:
    verdict = _judge(case, cases.in_force(case["policies"]))
    answer = evaluator.evaluate(case)
    return (
        "the evaluators disagree\n"
        f"naive:  {answer.reason} {sorted(answer.denied_by) or ''}\n"
        f"engine: {verdict.reason.value} {verdict.kind.value if verdict.kind else ''}\n"
        f"case:   {json.dumps(case, indent=2)}"
    )

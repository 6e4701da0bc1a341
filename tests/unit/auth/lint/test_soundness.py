"""What the linter says of statements is so: without those that say nothing more, every answer stays what it was."""

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from auth.lint.linter import lint
from auth.policy.document import Kind
from auth.policy.evaluate import Verdict, evaluate
from tests.naive import generator
from tests.unit.auth.lint.documents import NOW
from tests.vectors.policies import cases

Document = dict[str, Any]

IDLE = frozenset({"shadowed", "duplicate-statement", "denied", "contradiction"})
"""Rules about statements that change no answer."""
KINDS = {
    "identity": Kind.IDENTITY,
    "boundary": Kind.BOUNDARY,
    "session": Kind.SESSION,
    "repository": Kind.REPOSITORY,
    "registry": Kind.REGISTRY,
    "trust": Kind.TRUST,
}
NOTHING = {
    "Effect": "Allow",
    "Action": "ecr:NothingOfTheSort",
    "Resource": "arn:aws:ecr:us-east-1:123456789012:repository/-",
}


def without_idle(document: Document, kind: Kind) -> tuple[Document, int]:
    """The document without the statements that are said to be idle, and how many these are."""
    report = lint(json.dumps(document), kind, now=NOW, given=frozenset())
    idle = {finding.statement for finding in report.findings if finding.rule.id in IDLE}
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    kept = [statement for number, statement in enumerate(statements) if number not in idle]
    if not kept:  # a document has a statement
        kept = [filler(kind)]
    return document | {"Statement": kept}, len(idle)


def filler(kind: Kind) -> Document:
    statement = dict(NOTHING)
    if kind in {Kind.REPOSITORY, Kind.REGISTRY, Kind.TRUST}:
        statement["Principal"] = {"AWS": "999999999999"}
    if kind is Kind.TRUST:
        statement["Action"] = "sts:SetContext"
    if kind in {Kind.REPOSITORY, Kind.TRUST}:
        del statement["Resource"]
    return statement


def lessened(policies: Document) -> tuple[Document, int]:
    smaller, count = dict(policies), 0
    for name, kind in KINDS.items():
        documents = []
        for document in policies.get(name) or ():
            kept, idle = without_idle(document, kind)
            documents.append(kept)
            count += idle
        if policies.get(name):
            smaller[name] = documents
    return smaller, count


def answers(policies: Document, requests: list[Document]) -> Iterator[Verdict]:
    force = cases.in_force(policies)
    for request in requests:
        asked = cases.request(request | {"policies": policies | {"owner": request["owner"]}})
        yield evaluate(asked, replace(force, owner=request["owner"]))


def crowded(seed: int, count: int) -> Iterator[tuple[Document, list[Document]]]:
    """Generated cases whose documents have statements of those before them, too, so that many resemble each other."""
    random = Random(seed)
    seen: dict[str, list[Document]] = {}
    for policies, requests in generator.cases(seed, count):
        for name in KINDS:
            for document in policies.get(name) or ():
                own = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
                others = seen.setdefault(name, [])
                document["Statement"] = own + random.sample(others, min(len(others), 12))
                others += own
        yield policies, requests


@pytest.mark.parametrize("seed", range(8))
def test_statements_that_are_said_to_be_idle_change_no_answer(seed: int):
    idle = 0
    for policies, requests in crowded(seed, 200):
        smaller, count = lessened(policies)
        idle += count
        if count:
            for request, before, after in zip(
                requests, answers(policies, requests), answers(smaller, requests), strict=True
            ):
                told = json.dumps({"policies": policies, "without": smaller, "request": request})
                assert (before.allowed, before.reason) == (after.allowed, after.reason), told
    assert idle > 5, "too little was tried"

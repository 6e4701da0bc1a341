from collections.abc import Iterator

from hypothesis import given

from auth.policy.document import Kind, Statement
from auth.policy.evaluate import InForce, Reason, Request, evaluate, sentence
from auth.policy.explain import Explanation, Finding, explain
from tests.unit.auth.policy.made import (
    ACCOUNT,
    MANY,
    NORA,
    OTHER,
    REPOSITORY,
    STEADY,
    allow,
    deny,
    forces,
    named,
    policies,
    request,
    requests,
)


def findings(explanation: Explanation) -> Iterator[Finding]:
    for layer in explanation.layers:
        for examined in layer.policies:
            yield from examined.findings


def decisive(explanation: Explanation, effect: str) -> list[Statement]:
    return [one.statement for one in findings(explanation) if one.applies and one.statement.effect == effect]


@MANY
@given(requests, forces)
def test_an_explanation_agrees_with_the_decision(asked: Request, force: InForce):
    verdict, explanation = evaluate(asked, force), explain(asked, force)
    assert (explanation.verdict.allowed, explanation.verdict.reason) == (verdict.allowed, verdict.reason)
    denies = decisive(explanation, "Deny")
    assert bool(denies) is (verdict.reason is Reason.EXPLICIT_DENY)
    if denies:
        assert list(explanation.verdict.statements) == denies
    else:
        assert set(explanation.verdict.statements) <= set(decisive(explanation, "Allow"))
    assert explanation.denial == ("" if verdict.allowed else sentence(asked, verdict))


@STEADY
@given(requests, forces)
def test_every_statement_in_force_is_explained_once(asked: Request, force: InForce):
    sets = (
        force.identity,
        force.repository,
        force.registry,
        force.trust,
        force.boundary,
        force.session,
        *force.controls,
    )
    there = [one for found in sets if found is not None for each in found.policies for one in each.statements]
    assert [one.statement for one in findings(explain(asked, force))] == there


@STEADY
@given(requests, forces)
def test_every_statement_and_element_has_its_line(asked: Request, force: InForce):
    explanation = explain(asked, force)
    lines = explanation.text().splitlines()
    assert sum(line.startswith("    statement ") for line in lines) == len(list(findings(explanation)))
    assert sum(line.startswith(("      + ", "      - ")) for line in lines) == sum(
        len(one.elements) for one in findings(explanation)
    )


def test_an_explanation_reads_well():
    identity = policies(
        allow(["ecr:Get*", "ecr:Put*"], "arn:aws:ecr:*:*:repository/${aws:username}/*", Sid="Own"),
        allow("ecr:BatchGetImage"),
        allow(
            Condition={
                "NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8"]},
                "StringEquals": {"aws:PrincipalTag/team": ["blue", "${aws:RequestTag/team}"]},
            }
        ),
        allow(
            Condition={
                "ForAllValues:StringLike": {"aws:TagKeys": "t*"},
                "StringLikeIfExists": {"aws:UserAgent": "docker*"},
            }
        ),
        name="daily",
    )
    repository = policies(named({"AWS": ACCOUNT}), named({"AWS": OTHER}, "Deny"), kind=Kind.REPOSITORY, name="web")
    force = InForce(
        identity=identity, repository=repository, boundary=policies(allow("s3:*"), kind=Kind.BOUNDARY, name="b")
    )
    asked = request(context={"aws:username": "nora", "aws:sourceip": "10.1.2.3"})
    assert (
        explain(asked, force).text()
        == f"""\
DENIED
  {NORA.arn}
  ecr:PutImage on {REPOSITORY}
  User: {NORA.arn} is not authorized to perform: ecr:PutImage on resource: {REPOSITORY} \
because no permissions boundary allows the ecr:PutImage action
  Something allows it, but the permissions boundary does not.
  Asked for and absent: aws:PrincipalTag/team, aws:RequestTag/team, aws:TagKeys, aws:UserAgent

identity-based policies: allow
  daily
    statement 1 Own (line 1), Allow: does not apply
      + Action: ecr:Put* covers ecr:PutImage
      - Resource: arn:aws:ecr:*:*:repository/${{aws:username}}/* (arn:aws:ecr:*:*:repository/nora/*) does not cover {REPOSITORY}
    statement 2 (line 1), Allow: does not apply
      - Action: ecr:BatchGetImage does not cover ecr:PutImage
      + Resource: * covers {REPOSITORY}
    statement 3 (line 1), Allow: does not apply
      + Action: ecr:* covers ecr:PutImage
      + Resource: * covers {REPOSITORY}
      - NotIpAddress aws:SourceIp 10.0.0.0/8: the request's is '10.1.2.3'
      - StringEquals aws:PrincipalTag/team blue, ${{aws:RequestTag/team}}: the request's is absent, \
which matches nothing; no value for aws:RequestTag/team
    statement 4 (line 1), Allow: applies
      + Action: ecr:* covers ecr:PutImage
      + Resource: * covers {REPOSITORY}
      + ForAllValues:StringLike aws:TagKeys t*: the request's is absent, which ForAllValues takes for true
      + StringLikeIfExists aws:UserAgent docker*: the request's is absent, which IfExists takes for true

repository policy: allow
  web
    statement 1 (line 1), Allow: applies
      + Principal: names the caller's account, which leaves it to identity-based policies
      + Action: ecr:* covers ecr:PutImage
    statement 2 (line 1), Deny: does not apply
      - Principal: does not name the caller
      + Action: ecr:* covers ecr:PutImage

permissions boundary: say nothing
  b
    statement 1 (line 1), Allow: does not apply
      - Action: s3:* does not cover ecr:PutImage
      + Resource: * covers {REPOSITORY}
"""
    )


def test_a_level_of_the_organisation_that_does_not_allow_is_named():
    everything = policies(allow("*"), kind=Kind.CONTROL)
    force = InForce(identity=everything, controls=(everything, policies(allow("s3:*"), kind=Kind.CONTROL)))
    assert explain(request(), force).conclusion == (
        "Each level of the organisation must allow it, and this does not: service control policies, level 2 of 2."
    )


def test_an_explicit_deny_says_which_kind_of_policy_it_stands_in():
    force = InForce(identity=policies(allow()), boundary=policies(deny(), kind=Kind.BOUNDARY))
    assert explain(request(), force).conclusion == (
        "A statement of a permissions boundary denies it, and an explicit deny outweighs every allow."
    )

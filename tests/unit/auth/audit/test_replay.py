"""Which answers change, on decisions made by the real evaluation."""

import json
from dataclasses import replace
from typing import Any

import pytest

from auth.access import Principal, PrincipalKind, SessionKind, Value
from auth.audit.record import Record
from auth.audit.replay import FULL_ACCESS, Exchange, Outcome, Put, Replay, Target
from auth.audit.segment import Cases, Digests, Segment, read_records
from auth.authorize import answer
from auth.policy.document import Kind, Policy, PolicyMalformed, Source, parse_policy
from auth.policy.evaluate import InForce, Reason
from tests.unit.auth.audit.decisions import ACCOUNT, NOON, REPOSITORY, SESSION, USER, decision, sets

ROOT = Principal(PrincipalKind.ROOT, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, identity_id=ACCOUNT)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/puller"


def write(effect: str = "Allow", action: Any = "ecr:*", resource: Any = "*", **more: Any) -> str:
    statement = {"Sid": "One", "Effect": effect, "Action": action, "Resource": resource, **more}
    if resource is None:
        del statement["Resource"]
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def made(text: str, kind: Kind = Kind.IDENTITY, name: str = "old", arn: str = "") -> Policy:
    return parse_policy(text, kind, name=name, arn=arn, source=Source.USER)


ALLOW = made(write())
DENY = write("Deny")
PUSHES = InForce(identity=sets(ALLOW))


class Past:
    """Decisions as they were made and read back."""

    def __init__(self) -> None:
        self.segment = Segment(Digests())

    def decide(self, force: InForce, **given: Any) -> "Past":
        judgement = decision(force=force, **given)
        self.segment.add(replace(judgement, verdict=answer(judgement.request, force)))
        return self

    def records(self) -> list[Record]:
        self.segment.end_round()
        cases, records = self.segment.encode(self.segment.extent)
        found = Cases(cases).cases
        return list(read_records(records, found, set(range(len(found)))))

    def replay(self, *changes: Any, texts: dict[str, str] | None = None) -> list[Outcome | None]:
        replay = Replay(changes, (self.segment.documents if texts is None else texts).get)
        return [replay.outcome(record) for record in self.records()]


def words(past: Past, *changes: Any) -> list[str]:
    """What would be answered: `-` where the change has nothing to do with it."""
    found = []
    for outcome in past.replay(*changes):
        if outcome is None:
            found.append("-")
        elif outcome.verdict is None:
            found.append("undecidable")
        else:
            found.append("allowed" if outcome.verdict.allowed else "denied")
    return found


def put(text: str, target: Target | None = None, name: str = "new") -> Put:
    target = target or Target(Kind.IDENTITY)
    return Put(target, parse_policy(text, target.kind, name=name))


def test_a_proposed_deny_changes_exactly_what_it_covers():
    past = (
        Past()
        .decide(PUSHES)
        .decide(PUSHES, action="ecr:BatchGetImage")
        .decide(PUSHES, resource=f"{REPOSITORY}-2")
        .decide(PUSHES, principal=SESSION)
    )
    proposed = put(write("Deny", "ecr:PutImage", REPOSITORY), Target(Kind.IDENTITY, "alice", PrincipalKind.USER))
    outcomes = past.replay(proposed)
    records = past.records()
    changed = [bool(found and found.changes(record.case)) for found, record in zip(outcomes, records, strict=True)]
    assert changed == [True, False, False, False]
    first = outcomes[0]
    assert first is not None
    assert first.verdict is not None
    assert (first.verdict.reason, first.verdict.kind) == (Reason.EXPLICIT_DENY, Kind.IDENTITY)
    assert [(one.policy, one.sid) for one in first.verdict.statements] == [("new", "One")]
    assert (first.before, outcomes[3]) == (True, None)


def test_an_allow_changes_what_nothing_allowed():
    past = Past().decide(InForce(identity=sets()))
    assert words(past, put(write())) == ["allowed"]


def test_an_inline_policy_takes_the_place_of_the_one_of_its_name_and_of_no_managed_one():
    past = Past().decide(PUSHES)
    assert words(past, put(write(action="ecr:ListImages"), name="old")) == ["denied"]
    managed = made(write(), arn=f"arn:aws:iam::{ACCOUNT}:policy/old")
    past = Past().decide(InForce(identity=sets(managed)))
    assert words(past, put(write(action="ecr:ListImages"), name="old")) == ["allowed"]


@pytest.mark.parametrize(
    ("target", "covered"),
    [
        (Target(Kind.IDENTITY), (True, True, False)),
        (Target(Kind.IDENTITY, "alice"), (True, False, False)),
        (Target(Kind.IDENTITY, "alice", PrincipalKind.ROLE_SESSION), (False, False, False)),
        (Target(Kind.IDENTITY, "puller", PrincipalKind.ROLE_SESSION), (False, True, False)),
        (Target(Kind.IDENTITY, ROLE), (False, True, False)),
        (Target(Kind.IDENTITY, "*/build-?"), (False, True, False)),
        (Target(Kind.IDENTITY, USER.arn), (True, False, False)),
        (Target(Kind.BOUNDARY, "al*"), (True, False, False)),
        (Target(Kind.CONTROL), (True, True, True)),
        (Target(Kind.CONTROL, "210987654321"), (False, False, False)),
        (Target(Kind.REPOSITORY, "team-a/*"), (True, True, True)),
        (Target(Kind.REPOSITORY, REPOSITORY), (True, True, True)),
        (Target(Kind.REPOSITORY, "team-a"), (False, False, False)),
        (Target(Kind.REGISTRY), (True, True, True)),
        (Target(Kind.REGISTRY, "210987654321"), (False, False, False)),
        (Target(Kind.TRUST), (False, False, False)),
    ],
)
def test_a_target_covers_whom_and_what_it_names(target: Target, covered: tuple[bool, ...]):
    past = Past().decide(PUSHES).decide(PUSHES, principal=SESSION).decide(InForce(), principal=ROOT)
    assert tuple(target.covers(record.case) for record in past.records()) == covered


def test_each_kind_of_policy_is_put_as_its_operation_does_it():
    everyone = {"Principal": "*"}
    at_home = InForce(identity=sets(), repository=sets(), registry=sets())
    for force, target, text, expected in (
        (PUSHES, Target(Kind.BOUNDARY), write(action="ecr:ListImages"), "denied"),
        (PUSHES, Target(Kind.CONTROL), DENY, "denied"),
        (PUSHES, Target(Kind.CONTROL), write(action="ecr:ListImages"), "allowed"),  # beside FullAWSAccess
        (at_home, Target(Kind.REPOSITORY), write(resource=None, **everyone), "allowed"),
        (at_home, Target(Kind.REGISTRY), write(**everyone), "allowed"),
        (at_home, Target(Kind.REPOSITORY), write("Deny", resource=None, **everyone), "denied"),
    ):
        assert words(Past().decide(force), put(text, target)) == [expected], target


def test_a_service_control_policy_joins_those_of_the_account():
    full, deny = made(FULL_ACCESS, Kind.CONTROL), made(DENY, Kind.CONTROL)
    force = replace(PUSHES, controls=(sets(full), sets(full)))
    assert words(Past().decide(force), put(DENY, Target(Kind.CONTROL))) == ["denied"]
    force = replace(PUSHES, controls=(sets(full, deny), sets(full)))
    assert words(Past().decide(force), put(FULL_ACCESS, Target(Kind.CONTROL))) == ["denied"]


def test_a_trust_policy_counts_for_the_role_that_is_assumed():
    trust = made(write(action="sts:AssumeRole", resource=None, Principal={"AWS": USER.arn}), Kind.TRUST)
    past = Past().decide(InForce(identity=sets(), trust=sets(trust)), action="sts:AssumeRole", resource=ROLE)
    other = write(action="sts:AssumeRole", resource=None, Principal={"AWS": f"{USER.arn}-2"})
    assert words(past, put(other, Target(Kind.TRUST, "puller"))) == ["denied"]
    assert words(past, put(other, Target(Kind.TRUST, "pusher"))) == ["-"]
    assert words(past, Exchange("old", None)) == ["denied"]


def test_a_policy_is_exchanged_wherever_it_counted():
    managed = made(write(), arn=f"arn:aws:iam::{ACCOUNT}:policy/ci", name="ci")
    past = (
        Past()
        .decide(InForce(identity=sets(managed)))
        .decide(InForce(identity=sets(ALLOW), boundary=sets(made(write(), Kind.BOUNDARY, "ci"))))
        .decide(InForce(identity=sets(ALLOW), controls=(sets(made(write(), Kind.CONTROL, "ci")),)))
        .decide(PUSHES)
    )
    assert words(past, Exchange("ci", DENY)) == ["denied", "denied", "denied", "-"]
    assert words(past, Exchange(managed.arn, DENY)) == ["denied", "-", "-", "-"]
    assert words(past, Exchange("ci", write())) == ["allowed", "allowed", "allowed", "-"]
    assert words(past, Exchange("ci", None)) == ["denied", "allowed", "denied", "-"]


def test_changes_work_together():
    past = Past().decide(PUSHES)
    assert words(past, Exchange("old", None), put(write())) == ["allowed"]
    assert words(past, Exchange("old", None), put(write(), Target(Kind.CONTROL))) == ["denied"]


def test_an_exchanged_policy_has_to_fit_its_place():
    past = Past().decide(
        InForce(identity=sets(), repository=sets(made(write(resource=None, Principal="*"), Kind.REPOSITORY)))
    )
    with pytest.raises(PolicyMalformed):
        past.replay(Exchange("old", write()))


def conditional(effect: str, operator: str, key: str, value: str = "blue") -> str:
    return write(effect, Condition={operator: {key: value}})


UNKNOWN = [
    (PUSHES, conditional("Deny", "StringEquals", "aws:SourceVpc"), "undecidable"),
    (PUSHES, conditional("Deny", "StringNotEquals", "aws:SourceVpc"), "undecidable"),
    (PUSHES, conditional("Deny", "Null", "aws:SourceVpc", "true"), "undecidable"),
    (PUSHES, write("Deny", resource="arn:aws:ecr:*:*:repository/${aws:SourceVpc}"), "undecidable"),
    (PUSHES, write("Deny", resource="arn:aws:ecr:*:*:repository/x-${aws:SourceVpc}"), "allowed"),
    (PUSHES, conditional("Deny", "StringEquals", "aws:userid", "${aws:SourceVpc}"), "undecidable"),
    (InForce(identity=sets()), conditional("Allow", "StringEquals", "aws:SourceVpc"), "undecidable"),
    # whatever the key were, the answer is the same
    (PUSHES, conditional("Allow", "StringEquals", "aws:SourceVpc"), "allowed"),
    (InForce(identity=sets()), conditional("Deny", "StringEquals", "aws:SourceVpc"), "denied"),
    (InForce(identity=sets(made(DENY))), conditional("Allow", "StringEquals", "aws:SourceVpc"), "denied"),
    (PUSHES, write("Deny", "ecr:ListImages", Condition={"Bool": {"aws:SourceVpc": "true"}}), "allowed"),
    (
        PUSHES,
        write("Deny", Condition={"StringEquals": {"aws:SourceVpc": "a", "aws:userid": "nobody"}}),
        "allowed",
    ),
    # a key that the gate gives wherever it applies was not there
    (PUSHES, conditional("Deny", "StringNotEquals", "aws:PrincipalTag/team"), "denied"),
    (PUSHES, conditional("Deny", "StringEquals", "aws:PrincipalTag/team"), "allowed"),
    (PUSHES, conditional("Deny", "Null", "aws:ResourceTag/team", "true"), "denied"),
    (PUSHES, conditional("Deny", "StringNotEquals", "token.example.com:sub"), "denied"),
]


@pytest.mark.parametrize(("force", "text", "expected"), UNKNOWN)
def test_a_key_that_the_record_lacks_makes_undecidable_only_what_hangs_on_it(force: InForce, text: str, expected: str):
    past = Past().decide(force)
    assert words(past, put(text)) == [expected]
    if expected == "undecidable":
        (outcome,) = past.replay(put(text))
        assert outcome is not None
        assert outcome.missing == ("aws:SourceVpc",)


@pytest.mark.parametrize(("force", "text", "expected"), UNKNOWN)
def test_what_is_decided_without_a_key_holds_for_each_of_its_values(force: InForce, text: str, expected: str):
    judgement = decision(force=force)
    (change,) = Past().decide(force).records()
    changed = put(text).apply(force, change.case)
    assert changed is not None
    answers = set()
    for value in (None, "blue", "team-a/app", USER.unique_id, "true"):
        known = {} if value is None else {"aws:sourcevpc": value}
        request = replace(judgement.request, context={**judgement.request.context, **known})
        answers.add("allowed" if answer(request, changed).allowed else "denied")
    assert answers == ({"allowed", "denied"} if expected == "undecidable" else {expected})


def test_only_keys_that_the_answer_hangs_on_are_named():
    text = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Action": "ecr:Put*",
                    "Resource": "*",
                    "Condition": {"Bool": {"aws:SourceVpc": "a"}},
                },
                {
                    "Effect": "Deny",
                    "Action": "ecr:List*",
                    "Resource": "*",
                    "Condition": {"Bool": {"aws:VpcSourceIp": "a"}},
                },
            ],
        }
    )
    (outcome,) = Past().decide(PUSHES).replay(put(text))
    assert outcome == Outcome(None, missing=("aws:SourceVpc",))


def test_a_not_resource_that_hangs_on_an_unknown_key_is_undecidable():
    text = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Deny",
                "Action": "*",
                "NotResource": "arn:aws:ecr:*:*:repository/${aws:SourceVpc}",
            },
        }
    )
    assert words(Past().decide(PUSHES), put(text)) == ["undecidable"]


def test_a_value_that_was_left_out_of_the_record_is_unknown():
    past = Past().decide(PUSHES, useragent="x" * 5000)
    assert words(past, put(conditional("Deny", "StringLike", "aws:UserAgent", "x*"))) == ["undecidable"]


def test_a_key_that_an_older_release_did_not_give_is_unknown():
    (record,) = Past().decide(PUSHES).records()
    old = replace(record, case=replace(record.case, known=frozenset({"aws:userid"})))
    replay = Replay([put(conditional("Deny", "StringEquals", "aws:PrincipalTag/team"))], {}.get)
    assert replay.outcome(old) == Outcome(None, lost="old")
    texts = dict.fromkeys(record.case.policies.digests, ALLOW.text)
    replay = Replay([put(conditional("Deny", "StringEquals", "aws:PrincipalTag/team"))], texts.get)
    assert replay.outcome(old) == Outcome(None, missing=("aws:PrincipalTag/team",))


def test_the_time_is_that_of_each_decision():
    past = Past()
    for second in range(4):
        past.decide(PUSHES, at=NOON + second)
    text = conditional("Deny", "DateGreaterThan", "aws:CurrentTime", "2023-11-14T22:13:21Z")
    assert words(past, put(text)) == ["allowed", "allowed", "denied", "denied"]
    text = conditional("Deny", "NumericLessThan", "aws:EpochTime", str(int(NOON) + 1))
    assert words(past, put(text)) == ["denied", "allowed", "allowed", "allowed"]


def test_limits_of_sessions_hold_whatever_policies_say():
    session = replace(USER, session=replace(SESSION.session, kind=SessionKind.TOKEN))  # type: ignore[type-var]
    past = Past().decide(PUSHES, principal=session, action="iam:ListUsers", resource="*")
    assert words(past, put(write(action="*"))) == ["denied"]


def test_an_answer_that_changed_without_the_change_says_so():
    judgement = decision(force=PUSHES, allowed=False)
    past = Past()
    past.segment.add(judgement)
    (outcome,) = past.replay(put(write(action="ecr:ListImages")))
    assert outcome is not None
    assert outcome.verdict is not None
    assert (outcome.verdict.allowed, outcome.before) == (True, True)


def test_tags_and_addresses_are_those_of_the_request():
    keys: dict[str, Value] = {"principaltag/team": "blue", "tagkeys": ("a", "b")}
    past = Past().decide(PUSHES, **keys)
    for operator, key, value, expected in (
        ("StringEquals", "aws:PrincipalTag/Team", "blue", "denied"),
        ("StringEquals", "aws:PrincipalTag/Team", "red", "allowed"),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", "denied"),
        ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", "allowed"),
        ("ForAnyValue:StringEquals", "aws:TagKeys", "b", "denied"),
    ):
        assert words(past, put(conditional("Deny", operator, key, value))) == [expected], (operator, value)

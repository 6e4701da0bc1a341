import hashlib
import json
from dataclasses import replace

from auth.audit.record import Record, as_json
from auth.audit.segment import LONGEST_VALUE, Cases, Digests, Segment, read_records
from auth.authorize import KEYS, Judgement
from auth.policy.document import Kind
from auth.policy.evaluate import InForce, Reason, Verdict
from tests.unit.auth.audit.decisions import NOON, REPOSITORY, SESSION, USER, as_read, decision, policy, sets


def read(segment: Segment) -> list[Record]:
    cases, records = segment.encode(segment.extent)
    found = Cases(cases).cases
    return list(read_records(records, found, set(range(len(found)))))


def through(*judgements: Judgement) -> list[Record]:
    segment = Segment(Digests())
    for judgement in judgements:
        segment.add(judgement)
    segment.end_round()
    return read(segment)


def test_what_was_decided_comes_back_whole():
    managed = policy("managed", '{"managed": 1}', arn="arn:aws:iam::123456789012:policy/managed")
    inline = policy("inline", '{"inline": 1}')
    control = policy("control", '{"control": 1}', Kind.CONTROL)
    of_repository = policy("team-a/app", '{"repository": 1}', Kind.REPOSITORY)
    force = InForce(
        identity=sets(inline, managed),
        session=sets(),
        controls=(sets(control), sets(control)),
        repository=sets(of_repository),
        owner="210987654321",
        federated_without=True,
    )
    verdict = Verdict(False, Reason.EXPLICIT_DENY, Kind.IDENTITY, managed.statements, ("aws:RequestTag/team",))
    given = decision(NOON + 0.25, principal=SESSION, force=force, verdict=verdict, tagkeys=("a", "b"), referer="é\n")
    (record,) = through(given)
    case = record.case
    assert (record.at, record.request_id) == (NOON + 0.25, "request-1")
    assert case.principal == as_read(SESSION)
    assert (case.action, case.resource) == ("ecr:PutImage", REPOSITORY)
    assert record.context == given.request.context
    assert (case.allowed, case.reason, case.kind) == (False, Reason.EXPLICIT_DENY, Kind.IDENTITY)
    assert case.missing == ("aws:RequestTag/team",)
    assert [(one.policy, one.kind, one.sid, one.number) for one in case.statements] == [
        (managed.arn, Kind.IDENTITY, "Push", 0)
    ]
    used = case.policies
    assert [(one.name, one.arn, one.digest) for one in used.identity or ()] == [
        ("inline", "", hashlib.sha256(b'{"inline": 1}').hexdigest()),
        ("managed", managed.arn, hashlib.sha256(b'{"managed": 1}').hexdigest()),
    ]
    assert (used.session, used.boundary, used.trust) == ((), None, None)
    assert len(used.controls) == 2
    assert (used.owner, used.federated_without, used.anonymous_resource) == ("210987654321", True, False)
    assert case.known == KEYS


def test_every_decision_is_there_once_in_the_order_in_which_it_was_made():
    segment = Segment(Digests())
    given = [
        decision(NOON + number / 1000, request_id=f"request-{number}", resource=f"{REPOSITORY}{number % 7}")
        for number in range(1000)
    ]
    for start in range(0, 1000, 100):
        for judgement in given[start : start + 100]:
            segment.add(judgement)
        segment.end_round()
    found = read(segment)
    assert [record.request_id for record in found] == [f"request-{number}" for number in range(1000)]
    assert [record.case.resource for record in found] == [judgement.request.resource for judgement in given]
    assert len({id(record.case) for record in found}) == 7
    assert (segment.extent.count, segment.extent.started_at, segment.extent.ended_at) == (1000, NOON, NOON + 0.999)


def test_a_segment_that_grows_is_whole_each_time_it_is_written():
    segment = Segment(Digests())
    for number in range(5):
        segment.add(decision(NOON + number, request_id=str(number), resource=f"{REPOSITORY}{number}"))
        segment.end_round()
        assert [record.request_id for record in read(segment)] == [str(one) for one in range(number + 1)]
    before = segment.extent
    segment.add(decision(request_id="later", action="ecr:ListImages"))
    assert segment.extent == before
    segment.close()
    assert [record.request_id for record in read(segment)] == ["0", "1", "2", "3", "4", "later"]


def test_decisions_that_differ_in_time_alone_cost_a_few_bytes_each():
    segment = Segment(Digests())
    for number in range(2000):
        segment.add(decision(NOON + number / 1000, request_id="0" * 36))
    segment.end_round()
    assert sum(map(len, segment.encode(segment.extent))) < 2000 * 8


def test_the_same_policies_loaded_again_are_the_same_case():
    first = decision(force=InForce(identity=sets(policy("one"))))
    again = decision(force=InForce(identity=sets(policy("one"))))
    changed = decision(force=InForce(identity=sets(policy("one", '{"Id": "changed"}'))))
    records = through(first, again, changed)
    assert records[0].case is records[1].case
    assert records[0].case is not records[2].case


def test_a_value_that_is_too_long_is_left_out_and_named():
    (record,) = through(decision(useragent="x" * LONGEST_VALUE, referer="x" * (LONGEST_VALUE + 1)))
    assert record.case.omitted == ("aws:referer",)
    assert "aws:referer" not in record.context
    assert record.context["aws:useragent"] == "x" * LONGEST_VALUE


def test_a_context_may_be_all_but_empty():
    empty = decision()
    empty = replace(empty, request=replace(empty.request, context={}))
    one = replace(empty, request=replace(empty.request, context={"aws:userid": "x"}))
    first, second = through(empty, one)
    assert (dict(first.case.context), dict(second.case.context)) == ({}, {"aws:userid": "x"})


def test_nothing_secret_is_kept_of_a_session():
    session = replace(SESSION.session, policies=("a policy's text",), tags=(("team", "blue"),))  # type: ignore[type-var]
    segment = Segment(Digests())
    segment.add(decision(principal=replace(USER, session=session)))
    segment.end_round()
    (record,) = read(segment)
    assert record.case.principal.session == as_read(SESSION).session


def test_a_record_as_json_says_who_what_and_why():
    used = policy("managed", "{}", arn="arn:aws:iam::123456789012:policy/managed")
    verdict = Verdict(True, Reason.ALLOWED, None, used.statements)
    (record,) = through(decision(principal=SESSION, force=InForce(identity=sets(used)), verdict=verdict))
    shown = json.loads(json.dumps(as_json(record)))
    assert shown["time"] == "2023-11-14T22:13:20.000Z"
    assert shown["decision"] == "allowed"
    assert shown["principal"]["session"]["name"] == "build-7"
    assert shown["source"] == "192.0.2.7"
    assert shown["statements"] == [{"policy": used.arn, "kind": "identity-based policy", "sid": "Push", "number": 0}]
    assert shown["policies"] == {
        "identity-based policy": [{"policy": used.arn, "sha256": hashlib.sha256(b"{}").hexdigest()}]
    }
    assert shown["context"]["aws:epochtime"] == "1700000000"

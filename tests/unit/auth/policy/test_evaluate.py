from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.access import Principal
from auth.policy.document import Kind, Statement
from auth.policy.evaluate import InForce, PolicySet, Reason, Request, evaluate, naming_of, sentence
from auth.policy.principals import Naming
from tests.unit.auth.policy.made import (
    ACCOUNT,
    ACTIONS,
    ANONYMOUS,
    BUILD,
    FEDERATED,
    FOREIGN,
    ISSUER,
    MANY,
    NORA,
    OTHER,
    REPOSITORY,
    RESOURCES,
    ROLE,
    ROOT,
    STEADY,
    WEB,
    allow,
    contexts,
    deny,
    drawn,
    forces,
    named,
    policies,
    request,
    requests,
    sets,
)

ALLOW = policies(allow())
OTHERWISE = policies(allow("s3:*"))


def reason(force: InForce, principal: Principal = NORA, **rest: str) -> Reason:
    return evaluate(request(principal, **rest), force).reason


# laws over all policies


@MANY
@given(requests, forces)
def test_evaluation_never_raises(asked: Request, force: InForce):
    for thorough in (False, True):
        verdict = evaluate(asked, force, thorough=thorough)
        assert verdict.allowed is (verdict.reason in {Reason.ALLOWED, Reason.ROOT})
        assert verdict.allowed or sentence(asked, verdict).startswith(
            f"User: {asked.principal.arn} is not authorized to perform"
        )


@MANY
@given(requests, forces)
def test_a_thorough_evaluation_answers_the_same_and_names_as_much_or_more(asked: Request, force: InForce):
    quick, thorough = evaluate(asked, force), evaluate(asked, force, thorough=True)
    assert (quick.allowed, quick.reason, quick.kind) == (thorough.allowed, thorough.reason, thorough.kind)
    assert set(quick.statements) <= set(thorough.statements)
    assert set(quick.missing) <= set(thorough.missing)


_FIELDS = {"identity": Kind.IDENTITY, "boundary": Kind.BOUNDARY, "session": Kind.SESSION}


@MANY
@given(requests, forces, st.sampled_from(["", *_FIELDS]), st.data())
def test_adding_a_deny_never_allows(asked: Request, force: InForce, field: str, data: st.DataObject):
    added = data.draw(drawn(_FIELDS.get(field, Kind.CONTROL), ("Deny",)))
    if field:
        present = getattr(force, field)
        harder = replace(force, **{field: PolicySet([*present.policies, added])}) if present is not None else force
    else:
        levels = [PolicySet([*level.policies, added]) for level in force.controls]
        harder = replace(force, controls=tuple(levels))
    assert evaluate(asked, force).allowed or not evaluate(asked, harder).allowed


@MANY
@given(requests, forces, st.sampled_from(["identity", "repository", "registry", "boundary", "session"]))
def test_nothing_allows_what_an_explicit_deny_covers(asked: Request, force: InForce, field: str):
    everything = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    if field in {"repository", "registry"}:
        covering = policies(everything | {"NotPrincipal": {"AWS": OTHER}}, kind=Kind(f"{field} policy"))
    else:
        covering = policies(everything, kind=_FIELDS[field])
    verdict = evaluate(asked, replace(force, **{field: covering}))
    assert (verdict.allowed, verdict.reason) == (False, Reason.EXPLICIT_DENY)


def found_by_looking(found: PolicySet, asked: Request) -> list[Statement]:
    return [
        one
        for each in found.policies
        for one in each.statements
        if one.actions.cover(asked.action)
        and (one.resources is None or one.resources.cover(asked.resource, asked.context))
        and all(clause.holds(asked.context) for clause in one.clauses)
    ]


@MANY
@given(requests, sets(Kind.IDENTITY))
def test_the_index_finds_what_looking_at_every_statement_finds(asked: Request, found: PolicySet):
    missing: dict[str, str] = {}
    assert found.about(asked, missing) == found_by_looking(found, asked)
    assert not missing.keys() & asked.context.keys()


@STEADY
@given(
    sets(Kind.IDENTITY), st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(RESOURCES), contexts), min_size=2)
)
def test_what_a_set_remembers_of_one_request_changes_nothing_for_another(found: PolicySet, several: list):
    for action, resource, context in several:
        asked = request(NORA, action, resource, context)
        assert found.about(asked, {}) == PolicySet(found.policies).about(asked, {})


def test_a_set_remembers_within_bounds_however_many_actions_it_is_asked_about():
    found = policies(*(allow(f"ecr:*{number}") for number in range(100)))
    for number in range(12_000):
        assert len(found.about(request(action=f"ecr:Get{number}"), {})) >= 1
    assert len(found._by_action) <= 5_001


# the order


@pytest.mark.parametrize(
    ("force", "principal", "expected"),
    [
        (InForce(identity=ALLOW), NORA, Reason.ALLOWED),
        (InForce(identity=OTHERWISE), NORA, Reason.NO_IDENTITY),
        (InForce(identity=PolicySet()), NORA, Reason.NO_IDENTITY),
        (InForce(), NORA, Reason.NO_IDENTITY),
        (InForce(), ROOT, Reason.ROOT),
        (InForce(controls=(OTHERWISE,)), ROOT, Reason.NO_CONTROL),
        (InForce(controls=(policies(allow("*"), kind=Kind.CONTROL), PolicySet())), ROOT, Reason.NO_CONTROL),
        (InForce(identity=ALLOW, controls=(ALLOW, OTHERWISE)), NORA, Reason.NO_CONTROL),
        (InForce(identity=OTHERWISE, controls=(OTHERWISE,)), NORA, Reason.NO_CONTROL),
        (InForce(identity=ALLOW, boundary=OTHERWISE), NORA, Reason.NO_BOUNDARY),
        (InForce(identity=OTHERWISE, boundary=OTHERWISE), NORA, Reason.NO_IDENTITY),
        (InForce(identity=ALLOW, session=OTHERWISE), BUILD, Reason.NO_SESSION),
        (InForce(identity=ALLOW, boundary=OTHERWISE, session=OTHERWISE), BUILD, Reason.NO_BOUNDARY),
        (InForce(identity=ALLOW, session=ALLOW, boundary=ALLOW, controls=(ALLOW,)), BUILD, Reason.ALLOWED),
        (InForce(identity=ALLOW, federated_without=True), FEDERATED, Reason.NO_SESSION),
        (InForce(federated_without=True), FEDERATED, Reason.NO_SESSION),
        (InForce(session=ALLOW), FEDERATED, Reason.ALLOWED),
        (InForce(), ANONYMOUS, Reason.NO_RESOURCE),
        (InForce(identity=ALLOW), ANONYMOUS, Reason.NO_RESOURCE),
    ],
)
def test_each_kind_of_policy_has_its_say(force: InForce, principal: Principal, expected: Reason):
    assert reason(force, principal) is expected


@pytest.mark.parametrize("field", ["identity", "boundary", "session", "repository", "registry", "controls"])
def test_a_deny_anywhere_outweighs_every_allow(field: str):
    force = InForce(identity=ALLOW, boundary=ALLOW, session=ALLOW, controls=(ALLOW,))
    denying = policies(deny("ecr:Put*"))
    if field in {"repository", "registry"}:
        denying = policies(named("*", "Deny", Resource="*"), kind=Kind(f"{field} policy"))
    harder = replace(force, **{field: (ALLOW, denying) if field == "controls" else denying})
    assert reason(force) is Reason.ALLOWED
    for principal in (NORA, ROOT, BUILD):
        verdict = evaluate(request(principal), harder)
        assert (verdict.reason, [one.effect for one in verdict.statements]) == (Reason.EXPLICIT_DENY, ["Deny"])


def test_of_several_denies_all_are_named_and_the_kind_is_that_of_the_first():
    force = InForce(identity=policies(deny(), allow(), deny("*")), boundary=policies(deny(), kind=Kind.BOUNDARY))
    verdict = evaluate(request(), force)
    assert verdict.kind is Kind.IDENTITY
    assert [(one.kind, one.number) for one in verdict.statements] == [
        (Kind.IDENTITY, 0),
        (Kind.IDENTITY, 2),
        (Kind.BOUNDARY, 0),
    ]


# policies of resources


@pytest.mark.parametrize(
    ("principal", "written", "by_itself", "within_limits"),
    [
        (NORA, NORA.arn, True, False),
        (NORA, "*", True, False),
        (NORA, ACCOUNT, False, True),
        (BUILD, BUILD.arn, True, False),
        (BUILD, ROLE, True, True),
        (BUILD, "*", True, True),
        (BUILD, ACCOUNT, False, True),
        (FEDERATED, FEDERATED.arn, True, False),
    ],
)
@pytest.mark.parametrize("field", ["repository", "registry"])
def test_within_an_account_a_resource_allows_as_closely_as_it_names(
    principal: Principal, written: str, by_itself: bool, within_limits: bool, field: str
):
    resource = policies(named({"AWS": written}, Resource="*"), kind=Kind(f"{field} policy"))
    alone = InForce(identity=OTHERWISE, **{field: resource})
    assert reason(alone, principal) is (Reason.ALLOWED if by_itself else Reason.NO_IDENTITY)
    limited = replace(alone, identity=ALLOW, boundary=OTHERWISE, session=OTHERWISE)
    assert reason(limited, principal) is (Reason.NO_BOUNDARY if within_limits else Reason.ALLOWED)


def test_a_condition_on_the_principals_arn_frees_everyone_from_limits():
    condition = {"ArnEquals": {"aws:PrincipalArn": ROLE}}
    resource = policies(named("*", Condition=condition), kind=Kind.REPOSITORY)
    force = InForce(identity=OTHERWISE, boundary=OTHERWISE, session=OTHERWISE, repository=resource)
    assert evaluate(request(BUILD, context={"aws:principalarn": ROLE}), force).allowed
    assert not evaluate(request(BUILD, context={"aws:principalarn": NORA.arn}), force).allowed


@pytest.mark.parametrize("written", [NORA.arn, ACCOUNT, "*"])
def test_across_accounts_both_sides_must_allow(written: str):
    resource = policies(named({"AWS": written}), kind=Kind.REPOSITORY)
    force = InForce(identity=ALLOW, repository=resource, owner=OTHER)
    assert reason(force, resource=FOREIGN) is Reason.ALLOWED
    assert reason(replace(force, identity=OTHERWISE), resource=FOREIGN) is Reason.NO_IDENTITY
    assert reason(replace(force, repository=None), resource=FOREIGN) is Reason.NO_RESOURCE
    assert reason(replace(force, boundary=OTHERWISE), resource=FOREIGN) is Reason.NO_BOUNDARY
    assert reason(replace(force, session=OTHERWISE), resource=FOREIGN) is Reason.NO_SESSION
    assert reason(replace(force, identity=None), ROOT, resource=FOREIGN) is (
        Reason.NO_RESOURCE if written == NORA.arn else Reason.ALLOWED
    )


def test_without_credentials_there_is_what_a_resource_allows_to_everyone_where_that_is_set():
    force = InForce(repository=policies(named("*"), kind=Kind.REPOSITORY), owner=ACCOUNT)
    assert reason(force, ANONYMOUS) is Reason.NO_RESOURCE
    assert reason(replace(force, anonymous_resource=True), ANONYMOUS) is Reason.ALLOWED
    named_account = policies(named({"AWS": ACCOUNT}), kind=Kind.REPOSITORY)
    assert reason(replace(force, anonymous_resource=True, repository=named_account), ANONYMOUS) is Reason.NO_RESOURCE


def test_not_principal_spares_nobody_who_has_a_boundary():
    sparing = {"Effect": "Deny", "Action": "ecr:*", "NotPrincipal": {"AWS": [NORA.arn, ACCOUNT]}}
    force = InForce(identity=ALLOW, repository=policies(sparing, kind=Kind.REPOSITORY))
    assert reason(force) is Reason.ALLOWED
    assert reason(replace(force, boundary=ALLOW)) is Reason.EXPLICIT_DENY
    assert reason(force, BUILD) is Reason.EXPLICIT_DENY


# trust


def trusting(principal: object, action: str = "sts:AssumeRole") -> PolicySet:
    return policies(named(principal, action=action), kind=Kind.TRUST)


ASSUME = policies(allow("sts:*"))


@pytest.mark.parametrize(
    ("force", "principal", "expected"),
    [
        (InForce(identity=ASSUME, trust=trusting({"AWS": ACCOUNT})), NORA, Reason.ALLOWED),
        (InForce(identity=ALLOW, trust=trusting({"AWS": ACCOUNT})), NORA, Reason.NO_IDENTITY),
        (InForce(identity=ALLOW, trust=trusting({"AWS": NORA.arn})), NORA, Reason.ALLOWED),
        (InForce(identity=ASSUME, trust=trusting({"AWS": BUILD.arn})), NORA, Reason.NO_TRUST),
        (InForce(identity=ASSUME, trust=PolicySet()), NORA, Reason.NO_TRUST),
        (InForce(trust=PolicySet()), ROOT, Reason.NO_TRUST),
        (InForce(identity=ASSUME, trust=trusting({"AWS": ACCOUNT}), owner=OTHER), NORA, Reason.ALLOWED),
        (InForce(identity=ALLOW, trust=trusting({"AWS": NORA.arn}), owner=OTHER), NORA, Reason.NO_IDENTITY),
        (InForce(identity=ASSUME, trust=trusting({"AWS": OTHER}), owner=OTHER), NORA, Reason.NO_TRUST),
        (InForce(trust=trusting({"Federated": ISSUER}), owner=ACCOUNT), WEB, Reason.ALLOWED),
        (InForce(trust=trusting({"Federated": ISSUER + "/other"}), owner=ACCOUNT), WEB, Reason.NO_TRUST),
        (InForce(trust=trusting("*"), owner=ACCOUNT, anonymous_resource=True), WEB, Reason.NO_TRUST),
        (InForce(trust=trusting("*"), owner=ACCOUNT, anonymous_resource=True), ANONYMOUS, Reason.NO_TRUST),
    ],
)  # fmt: skip
def test_a_role_is_assumed_only_as_its_trust_policy_allows(force: InForce, principal: Principal, expected: Reason):
    assert reason(force, principal, action="sts:AssumeRole", resource=ROLE) is expected


@pytest.mark.parametrize("everyone", ["*", {"AWS": "*"}])
@pytest.mark.parametrize("principal", [WEB, NORA])
def test_a_deny_for_everyone_is_for_whoever_comes(everyone: object, principal: Principal):
    """Though an allow for everyone is not for those whom an identity provider vouches for."""
    trusted = {"Effect": "Allow", "Principal": {"Federated": ISSUER, "AWS": ACCOUNT}, "Action": "sts:*"}
    nobody = {"Effect": "Deny", "Principal": everyone, "Action": "sts:*"}
    force = InForce(identity=ASSUME, trust=policies(trusted, nobody, kind=Kind.TRUST), owner=ACCOUNT)
    assert reason(force, principal, action="sts:AssumeRole", resource=ROLE) is Reason.EXPLICIT_DENY


def test_a_service_assumes_a_role_whose_trust_names_it():
    asked = request(ANONYMOUS, "sts:AssumeRole", ROLE, {"aws:principalservicename": "ecs-tasks.amazonaws.com"})
    force = InForce(trust=trusting({"Service": "ecs-tasks.amazonaws.com"}), owner=ACCOUNT)
    assert evaluate(asked, force).allowed
    assert not evaluate(asked, replace(force, trust=trusting({"Service": "ec2.amazonaws.com"}))).allowed


# what is said


def test_missing_keys_are_those_that_matching_statements_ask_for_as_they_write_them():
    condition = {"StringEquals": {"AWS:PrincipalTag/Team": "${aws:RequestTag/Team}", "aws:username": "nora"}}
    identity = policies(allow(Condition=condition), allow("s3:*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    verdict = evaluate(request(context={"aws:username": "nora"}), InForce(identity=identity))
    assert verdict.missing == ("AWS:PrincipalTag/Team", "aws:RequestTag/Team")


@pytest.mark.parametrize(
    ("kind", "field", "words"),
    [
        (Kind.IDENTITY, "identity", "an identity-based policy: arn:aws:iam::1:policy/p"),
        (Kind.BOUNDARY, "boundary", "a permissions boundary: arn:aws:iam::1:policy/p"),
        (Kind.SESSION, "session", "a session policy: arn:aws:iam::1:policy/p"),
        (Kind.CONTROL, "controls", "a service control policy: arn:aws:iam::1:policy/p"),
        (Kind.REPOSITORY, "repository", "a resource-based policy"),
        (Kind.REGISTRY, "registry", "a resource-based policy"),
        (Kind.TRUST, "trust", "the role trust policy"),
    ],
)
def test_a_denial_names_the_kind_and_the_policy_of_ones_own_side(kind: Kind, field: str, words: str):
    statement = deny("*")
    if kind in {Kind.REPOSITORY, Kind.REGISTRY}:
        statement = named("*", "Deny", Resource="*")
    if kind is Kind.TRUST:
        statement = named("*", "Deny", action="sts:AssumeRole")
    denying = policies(statement, kind=kind, arn="arn:aws:iam::1:policy/p")
    force = replace(InForce(identity=policies(allow("*"))), **{field: (denying,) if field == "controls" else denying})
    asked = request(action="sts:AssumeRole" if kind is Kind.TRUST else "ecr:PutImage")
    assert sentence(asked, evaluate(asked, force)) == (
        f"User: {NORA.arn} is not authorized to perform: {asked.action} on resource: {REPOSITORY} "
        f"with an explicit deny in {words}"
    )


def test_an_inline_policy_that_denies_is_not_named():
    asked = request()
    verdict = evaluate(asked, InForce(identity=policies(deny(), name="inline")))
    assert sentence(asked, verdict).endswith("with an explicit deny in an identity-based policy")


@pytest.mark.parametrize(
    ("force", "why"),
    [
        (InForce(identity=PolicySet()), "because no identity-based policy allows the ecr:PutImage action"),
        (InForce(identity=ALLOW, owner=OTHER), "because no resource-based policy allows the ecr:PutImage action"),
        (InForce(identity=ALLOW, boundary=OTHERWISE), "because no permissions boundary allows the ecr:PutImage action"),
        (InForce(identity=ALLOW, session=OTHERWISE), "because no session policy allows the ecr:PutImage action"),
        (
            InForce(identity=ALLOW, controls=(OTHERWISE,)),
            "because no service control policy allows the ecr:PutImage action",
        ),
        (InForce(identity=ALLOW, trust=PolicySet()), "because no role trust policy allows the ecr:PutImage action"),
    ],
)
def test_a_denial_by_silence_names_the_kind_that_said_nothing(force: InForce, why: str):
    asked = request()
    assert sentence(asked, evaluate(asked, force)).endswith(f"on resource: {REPOSITORY} {why}")


def test_a_statement_of_an_identity_based_policy_names_nobody():
    assert naming_of(ALLOW.policies[0].statements[0], request(), InForce()) is Naming.NONE

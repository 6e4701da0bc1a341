"""Decisions as the gate makes them, without the gate."""

from dataclasses import replace

from auth.access import Circumstances, Principal, PrincipalKind, Session, SessionKind, Value
from auth.authorize import Judgement
from auth.policy.document import Kind, Place, Policy, Source, Statement
from auth.policy.evaluate import InForce, PolicySet, Reason, Request, Verdict
from base.clock import moment

ACCOUNT = "123456789012"
REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team-a/app"
NOON = 1_700_000_000.0

USER = Principal(
    PrincipalKind.USER,
    ACCOUNT,
    f"arn:aws:iam::{ACCOUNT}:user/ci/alice",
    "AIDAALICE",
    f"arn:aws:iam::{ACCOUNT}:user/ci/alice",
    "AIDAALICE",
    "alice",
    "AKIAEXAMPLE",
)
SESSION = Principal(
    PrincipalKind.ROLE_SESSION,
    ACCOUNT,
    f"arn:aws:sts::{ACCOUNT}:assumed-role/puller/build-7",
    "AROAPULLER:build-7",
    f"arn:aws:iam::{ACCOUNT}:role/puller",
    "AROAPULLER",
    "puller",
    "ASIAEXAMPLE",
    Session(SessionKind.ROLE, "build-7", NOON - 60, NOON + 3540, source_identity="alice", chained=True),
)


def policy(name: str, text: str = "{}", kind: Kind = Kind.IDENTITY, arn: str = "") -> Policy:
    """One statement, which is enough to be named."""
    statement = Statement(arn or name, kind, Source.USER, 0, "Push", "Allow", Place(1, 1), Place(1, 2), {})
    return Policy(name, arn, kind, Source.USER, "2012-10-17", "", (statement,), text)


def decision(
    at: float = NOON,
    *,
    principal: Principal = USER,
    action: str = "ecr:PutImage",
    resource: str = REPOSITORY,
    allowed: bool = True,
    request_id: str = "request-1",
    force: InForce | None = None,
    verdict: Verdict | None = None,
    **keys: Value,
) -> Judgement:
    """`keys` are further context keys of aws:, named without it."""
    context: dict[str, Value] = {
        "aws:currenttime": moment(int(at)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(int(at)),
        "aws:userid": principal.unique_id,
        "aws:sourceip": "192.0.2.7",
        **{f"aws:{key}": value for key, value in keys.items()},
    }
    if verdict is None:
        verdict = Verdict(allowed, Reason.ALLOWED if allowed else Reason.NO_IDENTITY)
    circumstances = Circumstances(source_ip="192.0.2.7", region="us-east-1", request_id=request_id)
    return Judgement(at, Request(principal, action, resource, context), circumstances, force or InForce(), verdict)


def sets(*policies: Policy) -> PolicySet:
    return PolicySet(policies)


def as_read(principal: Principal) -> Principal:
    """What a record keeps of a principal: of its session not what is in the context and among the policies."""
    session = principal.session
    if session is None:
        return principal
    return replace(principal, session=replace(session, policies=(), policy_arns=(), tags=(), transitive=(), claims=()))
